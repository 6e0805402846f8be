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

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from nonmember.attacks._base import Attack
from nonmember.settings import Settings
from nonmember.views import View

if TYPE_CHECKING:
    from torch import Tensor, nn


IN_MEMORY = 2**28  # bytes of inputs that are kept from one epoch to the next
_BLOCK = 2**22


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
        table = _Table(views, self._inputs)
        self._center, self._scale = self._standard(table)
        with _reproducible(self.seed):
            self._net = self._train(table)

    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64, log-odds."""
        import torch

        from nonmember.compute import one_thread

        out = np.empty((len(view), 2))
        with torch.no_grad(), one_thread():
            for rows in _blocks(len(view), view.logits.shape[1]):
                some = View(view.ids[rows], view.labels[rows], view.logits[rows])
                inputs = (self._inputs(some) - self._center) / self._scale
                out[rows] = self._net(torch.from_numpy(inputs)).numpy()
        return out[:, 1] - out[:, 0]

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

    def _standard(self, table: _Table) -> tuple[np.ndarray, np.ndarray]:
        """Center and scale of each input; probabilities and labels stay as they are."""
        center = _sum(table.blocks()) / len(table)
        squares = ((block - center) ** 2 for block in table.blocks())
        scale = np.sqrt(_sum(squares) / len(table))
        kept = {"probabilities_label": 0, "log_probabilities_label": table.width // 2}
        as_is = slice(kept.get(self.options.nn_input, table.width), None)
        center[as_is], scale[as_is] = 0, 1
        return center.astype(np.float32), np.where(scale > 0, scale, 1).astype(np.float32)

    def _train(self, table: _Table) -> nn.Module:
        import torch
        from torch.nn import functional as F

        from nonmember import optimizers

        options = self.options
        net = self._build(table.width)
        optimizer = optimizers.SGD(
            net.parameters(),
            options.nn_lr,
            options.nn_momentum,
            weight_decay=options.nn_weight_decay,
            fused=True,
        )
        drops = [round(share * options.nn_epochs) for share in options.nn_lr_drops]
        for epoch in range(options.nn_epochs):
            for group in optimizer.param_groups:
                group["lr"] *= 0.1 ** drops.count(epoch)
            for rows in torch.randperm(len(table)).split(options.nn_batch):
                optimizers.forget_gradients(optimizer)
                inputs, member = table.take(rows.numpy())
                logits = net(torch.from_numpy((inputs - self._center) / self._scale))
                F.cross_entropy(logits, torch.from_numpy(member)).backward()
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


class _Table:
    """The inputs of all samples of several views, float32, and who is a member.

    What fits into IN_MEMORY is kept; else a row is made anew from its logits whenever it is read,
    and these stay where they lie.
    """

    def __init__(self, views: Sequence[View], make: Callable[[View], np.ndarray]) -> None:
        self._make, self._kept = make, None
        self._labels: list[np.ndarray] = []
        self._readers: list[Callable[[np.ndarray], np.ndarray]] = []
        members = []
        for view in views:
            self._labels.append(view.labels)
            self._readers.append(view.read_logits or view.logits.__getitem__)
            members.append(np.asarray(view.member, np.bool_))
        self._member = np.concatenate(members)
        self._ends = np.cumsum([len(labels) for labels in self._labels])
        self._classes = view.logits.shape[1]
        self.width = self._some(0, np.arange(1)).shape[1]
        if 4 * len(self) * self.width <= IN_MEMORY:
            self._kept = np.concatenate(list(self.blocks()))

    def __len__(self) -> int:
        return len(self._member)

    def blocks(self) -> Iterator[np.ndarray]:
        """(k, width) float32, some rows after the other."""
        if self._kept is not None:
            yield from (self._kept[rows] for rows in _blocks(len(self), self._classes))
            return
        for number, labels in enumerate(self._labels):
            for rows in _blocks(len(labels), self._classes):
                yield self._some(number, np.arange(len(labels))[rows])

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (k, width) float32 and memberships (k,) int64 of rows 0 … len − 1."""
        member = self._member[rows].astype(np.int64)
        if self._kept is not None:
            return self._kept[rows], member
        inputs = np.empty((len(rows), self.width), np.float32)
        whose = np.searchsorted(self._ends, rows, "right")
        logits = np.empty((len(rows), self._classes), np.float32)
        labels = np.empty(len(rows), np.int64)
        for number in np.unique(whose):
            here = whose == number
            inside = rows[here] - (self._ends[number] - len(self._labels[number]))
            logits[here], labels[here] = self._readers[number](inside), self._labels[number][inside]
        inputs[:] = self._make(View(rows, labels, logits))
        return inputs, member

    def _some(self, number: int, rows: np.ndarray) -> np.ndarray:
        labels = self._labels[number][rows]
        return self._make(View(rows, labels, self._readers[number](rows))).astype(np.float32)


def _blocks(rows: int, classes: int) -> Iterator[slice]:
    """Some rows at a time, so that a block's inputs in float64 take some 64 MiB."""
    count = max(_BLOCK // classes, 1)
    return (slice(begin, begin + count) for begin in range(0, rows, count))


def _sum(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Sum of all rows, one after the other in float64, however they are cut into blocks."""
    total: np.ndarray | None = None
    for block in blocks:
        rest = block if total is None else np.concatenate([total[None], block])
        total = np.add.reduce(rest, axis=0, dtype=np.float64)
    assert total is not None
    return total


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
