"""Neural network attack: a small net learns from the shadows what a member's prediction looks like.

Papers: Salem et al. 2019, https://arxiv.org/abs/1806.01246, in two published forms and ours:
  probabilities_label (CRL): the class probabilities, unsorted, and the one-hot label through
    128-64-64 hidden units with dropout. It is blind to a model whose probabilities round to 0 and
    1, as those of CRL do when tau_rce lets the raw logits grow.
  log_probabilities_label (the default): the same net on log-probabilities, which keep what rounding
    hides, standardised by the shadows: the log-odds of the true class, then the other classes in
    decreasing order, then the label. Where each class has a place of its own the net has to find
    out which of them the label means, and with 100 classes memorises the shadows instead.
  sorted_logits (RelaxLoss, https://arxiv.org/abs/2207.05801): the logits in decreasing order
    through 100 hidden units, which are trained here; each rank is standardised by the shadows.
Both: ReLU, SGD, cross-entropy, the learning rate × 0.1 at fixed shares of the epochs. CRL trains
100 epochs; a fifth of that is the default, for speed.
Needs shadows. Score: the net's log-odds of "member", in evaluation mode and float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from nonmember.attacks._base import Attack
from nonmember.attacks._view import examples
from nonmember.settings import Settings
from nonmember.views import View

if TYPE_CHECKING:
    from torch import Tensor, nn


class NeuralNetwork(Attack):
    class Options(Settings):
        nn_input: Literal["log_probabilities_label", "probabilities_label", "sorted_logits"] = (
            Field(
                "log_probabilities_label",
                description="what it sees; or probabilities_label (CRL), sorted_logits (RelaxLoss)",
            )
        )
        nn_epochs: int = Field(20, ge=1, description="epochs of the attack net (CRL: 100)")
        nn_batch: int = Field(256, ge=1, description="samples a step of the attack net")
        nn_lr: float = Field(
            0.1,
            gt=0,
            description="first learning rate of the attack net; times 0.1 after each of "
            "nn_lr_drops",
        )
        nn_lr_drops: list[Annotated[float, Field(gt=0, le=1)]] = Field(
            [0.3, 0.6, 0.9], description="shares of the epochs"
        )
        nn_momentum: float = Field(0.9, ge=0, lt=1, description="momentum of the attack net's SGD")
        nn_weight_decay: float = Field(
            5e-4, ge=0, description="weight decay of the attack net's SGD"
        )
        nn_dropout: float = Field(
            0.2, ge=0, lt=1, description="dropout of the attack net, where its input has the label"
        )

    options: Options

    def _learn(self, views: Sequence[View]) -> None:
        """Train the net; the same (views, seed) give the same net whatever the thread count.

        Raises ValueError if the training diverges.
        """
        inputs, member = examples(views, lambda view: self._inputs(view).astype(np.float32))
        self._center, self._scale = self._standard(inputs)
        with _reproducible(self.seed):
            self._net = self._train((inputs - self._center) / self._scale, member)

    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64, log-odds."""
        import torch

        from nonmember.compute import one_thread

        inputs = (self._inputs(view) - self._center) / self._scale
        with torch.no_grad(), one_thread():
            out = self._net(torch.from_numpy(inputs))  # (n, 2) float64
        return (out[:, 1] - out[:, 0]).numpy()

    def _inputs(self, view: View) -> np.ndarray:
        """(n, 2·classes) or (n, classes) float64."""
        if self.options.nn_input == "sorted_logits":
            return -np.sort(-view.logits.astype(np.float64), axis=1)
        one_hot = np.eye(view.logits.shape[1])[view.labels]
        if self.options.nn_input == "probabilities_label":
            return np.concatenate([np.exp(view.log_probs), one_hot], axis=1)
        others = view.log_probs[one_hot == 0].reshape(len(one_hot), -1)
        odds = view.log_odds[:, None]
        return np.concatenate([odds, -np.sort(-others, axis=1), one_hot], axis=1)

    def _standard(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Center and scale of each input; probabilities and labels stay as they are."""
        scale = inputs.std(axis=0, dtype=np.float64)
        center = inputs.mean(axis=0, dtype=np.float64)
        kept = {"probabilities_label": 0, "log_probabilities_label": inputs.shape[1] // 2}
        as_is = slice(kept.get(self.options.nn_input, inputs.shape[1]), None)
        center[as_is], scale[as_is] = 0, 1
        return center.astype(np.float32), np.where(scale > 0, scale, 1).astype(np.float32)

    def _train(self, inputs: np.ndarray, member: np.ndarray) -> nn.Module:
        import torch
        from torch.nn import functional as F

        from nonmember import optimizers

        options = self.options
        net = self._build(inputs.shape[1])
        optimizer = optimizers.SGD(
            net.parameters(),
            options.nn_lr,
            options.nn_momentum,
            weight_decay=options.nn_weight_decay,
            fused=True,
        )
        drops = [round(share * options.nn_epochs) for share in options.nn_lr_drops]
        x, y = torch.from_numpy(inputs), torch.from_numpy(member.astype(np.int64))
        for epoch in range(options.nn_epochs):
            for group in optimizer.param_groups:
                group["lr"] *= 0.1 ** drops.count(epoch)
            for rows in torch.randperm(len(x)).split(options.nn_batch):
                optimizers.forget_gradients(optimizer)
                logits = net(x.index_select(0, rows))
                F.cross_entropy(logits, y.index_select(0, rows)).backward()
                optimizers.step(optimizer)
        _check_finite(net.parameters())
        return net.eval().double()

    def _build(self, width: int) -> nn.Module:
        from torch import nn

        if self.options.nn_input == "sorted_logits":
            return nn.Sequential(nn.Linear(width, 100), nn.ReLU(), nn.Linear(100, 2))
        layers: list[nn.Module] = []
        for units in (128, 64, 64):
            layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(self.options.nn_dropout)]
            width = units
        return nn.Sequential(*layers, nn.Linear(width, 2))


def _check_finite(parameters: Iterator[Tensor]) -> None:
    if not all(bool(p.isfinite().all()) for p in parameters):
        raise ValueError("attack nn diverged: lower attacks.nn_lr or nn_momentum")


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Own random numbers and one thread: sums depend on how many threads share them."""
    import torch

    from nonmember.compute import one_thread

    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
