"""Center-based relaxed learning: keep members from being fitted more closely than others.

Paper: Fang and Kim, Center-Based Relaxed Learning Against Membership Inference Attacks,
UAI 2024, Algorithm 1. Changes the training loss only; the class centres train beside the model
and are not released.

Ablations (Table 2, Fig. 7): `lambda_rcl = 0` is ImpRelaxLoss, without centres; `tau_rce = tau_rcl =
0` is the Relaxed Center Loss, without normalisation.

The level. The paper publishes no `alpha_rce`. START · log C, for C classes, cost at most 2 points
of test accuracy on eleven of twelve data sets and models that were tried (13.6 on 247 members, too
few steps), but it can help the attacker: on `shoppers`, on Location30 and on images under an MLP
the strongest attack fell below the undefended model's only from 0.2 to 0.34 · log C. So go up in
steps of START · log C to 0.4 · log C, and keep the highest level whose accuracy you can afford and
whose highest AUC lies below that of `none`. Levels that give the same model to the last digit are
levels that training never reached. The last epoch counts as much: an odd one descends, and gave
back about half of the accuracy lost at 0.2 to 0.34 · log C, for up to 4 points of AUC.

Where we read the paper against its letter: Eq. 4 prints a stray minus; Eq. 9 passes tau_rcl where
Eq. 5 means tau_rce. The thresholds act on the batch mean, the epoch is counted from 1. The text is
silent on a stop-gradient; without one, the step on the soft label raises the true-class logit, so
`crl_stop_gradient` is on by default. Off, with `crl_py_max`, `center_momentum`,
`center_weight_decay` and `center_scaled`, the published code is restored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nonmember.defenses._base import Batch, Defense
from nonmember.defenses._soft import soft_cross_entropy, true_class_probability
from nonmember.optimizers import PartOptions
from nonmember.settings import Settings

START = 0.1  # of log C: the level to try first, and the step to go up by


def first_level(classes: int) -> float:
    """The alpha_rce to try first with this number of classes, nats."""
    return round(START * math.log(classes), 2)


def shrink(vectors: Tensor, tau: float) -> Tensor:
    """v / (1 + tau·‖v‖₂) per row of (batch, d): norms stay below 1 / tau (Eq. 5)."""
    return vectors / (1 + tau * vectors.norm(dim=1, keepdim=True))


def cross_entropy_floor(classes: int, tau: float) -> float:
    """The least cross-entropy of logits whose norm is below 1 / tau, in nats."""
    if tau == 0:
        return 0.0
    gap = math.sqrt(classes / (classes - 1)) / tau
    return math.log1p((classes - 1) * math.exp(-gap))


class CRL(Defense):
    """The loss of CRL, `L_rce + lambda_rcl · L_rcl`.

    In a loop of your own: `centers = crl.make_parts(classes, d)` gives the centres, to be stepped
    by an optimiser of their own at `center_lr`; `crl.loss(Batch(logits, labels, features, epoch,
    centers))` the scalar to minimise.
    """

    uses_features = True
    paper = (
        "Fang and Kim 2024, Center-Based Relaxed Learning Against Membership Inference Attacks, UAI"
    )
    changes = "loss"
    limits = "The thresholds act on the batch mean: single records may stay exposed."
    neutral: ClassVar = {"alpha_rce": 0.0, "tau_rce": 0.0, "lambda_rcl": 0.0}
    try_first = (
        f"alpha_rce null, which is {START} · log C, then steps of that size up to {4 * START:g} · "
        "log C in one comparison. Keep the highest level whose accuracy you can afford and whose "
        "highest AUC lies below that of none."
    )

    class Options(Settings):
        """Settings of CRL. The paper publishes none of the first five, and no crl_py_max but 1, no
        bound: apart from alpha_rce, the defaults are the best that `python -m benchmarks.sweep`
        found for `shoppers`."""

        alpha_rce: float | None = Field(
            None,
            ge=0,
            description=f"level of the relaxed loss, nats; null: {START} · log C",
        )
        tau_rce: float = Field(
            0.14, ge=0, description="logits are divided by 1 + tau_rce · norm; 0: not at all"
        )
        alpha_rcl: float = Field(
            0.27, ge=0, description="level of the relaxed centre loss; at most 2 / tau_rcl²"
        )
        tau_rcl: float = Field(
            1.0,
            ge=0,
            le=1e6,
            description="features and centres are divided by 1 + tau_rcl · norm; 0: not at all",
        )
        lambda_rcl: float = Field(
            0.1, ge=0, description="weight of the centre loss; 0: ImpRelaxLoss, without centres"
        )
        center_lr: float = Field(
            0.001, gt=0, description="learning rate of the centres' own SGD, constant"
        )
        center_momentum: float = Field(
            0.0, ge=0, lt=1, description="momentum of the centres' SGD; published code: 0.9"
        )
        center_weight_decay: float = Field(
            0.0, ge=0, description="weight decay of the centres' SGD; published code: 0.0005"
        )
        center_scaled: bool = Field(
            False,
            description="scale the centres' gradient by lambda_rcl, as the published code does",
        )
        crl_stop_gradient: bool = Field(
            True,
            description="no gradient through the soft label and the centre weights; published "
            "code: false",
        )
        crl_py_max: float = Field(
            0.6,
            gt=0,
            le=1,
            description="upper bound on p_y in the soft label and the centre weights; paper: 1, "
            "none",
        )

    options: Options

    def check(self, classes: int) -> list[str]:
        """The thresholds must lie where a batch can be on either side of them."""
        o = self.options
        problems = []
        low, high = cross_entropy_floor(classes, o.tau_rce), math.log(classes)
        if not low <= level(o, classes) <= high:
            first = first_level(classes)
            hint = f"; start at {first:g} ({START} · log C) and go up" if low < first else ""
            found = f"null, which is {first:g}" if o.alpha_rce is None else o.alpha_rce
            problems.append(
                f"defense.alpha_rce: must be between {low:.3g} (the least loss that tau_rce "
                f"{o.tau_rce} allows) and log({classes}) = {high:.3g}, found {found}{hint}"
            )
        shrunk = o.tau_rcl * o.tau_rcl
        if o.lambda_rcl > 0 and o.alpha_rcl * shrunk > 2:
            problems.append(
                f"defense.alpha_rcl: must be between 0 and {2 / shrunk:.3g} (the largest "
                f"centre loss that tau_rcl {o.tau_rcl} allows), found {o.alpha_rcl}"
            )
        return problems

    def settle(self, classes: int) -> CRL.Options:
        """The options with the level for this many classes as a number."""
        return self.options.model_copy(update={"alpha_rce": level(self.options, classes)})

    def make_parts(self, classes: int, feature_dim: int) -> nn.Module | None:
        """The class centres (classes, d), standard normal; None if lambda_rcl is 0."""
        return nn.Embedding(classes, feature_dim) if self.options.lambda_rcl > 0 else None

    def part_options(self) -> PartOptions:
        """The centres' own SGD, constant over the training."""
        o = self.options
        return PartOptions(o.center_lr, o.center_momentum, o.center_weight_decay)

    def loss(self, batch: Batch) -> Tensor:
        """The scalar of Algorithm 1, line 22. Reads logits, labels, features, epoch, parts.

        With the stop-gradient its gradients have a closed form, in half the time that autograd
        takes over a small batch. To differentiate it twice, take `traced_loss`.
        """
        o = self.options
        centers = self._centers(batch) if o.lambda_rcl > 0 else None
        if o.crl_stop_gradient:
            features = None if centers is None else batch.features
            return _ClosedForm.apply(batch.logits, features, centers, batch, o)
        return self.traced_loss(batch)

    def traced_loss(self, batch: Batch) -> Tensor:
        """`loss` with its gradients left to autograd."""
        o = self.options
        p_y = cache(lambda: true_class_probability(batch, o.crl_py_max, o.crl_stop_gradient))
        relaxed = self._relaxed_cross_entropy(batch, p_y)
        if o.lambda_rcl == 0:
            return relaxed
        return relaxed + o.lambda_rcl * self._relaxed_center(batch, p_y)

    def _relaxed_cross_entropy(self, batch: Batch, p_y: Callable[[], Tensor]) -> Tensor:
        o = self.options
        logits = shrink(batch.logits, o.tau_rce)
        loss = F.cross_entropy(logits, batch.labels)
        alpha = level(o, logits.shape[1])
        if batch.epoch % 2 == 0:
            return (loss - alpha).abs()
        if loss > alpha:
            return loss
        return soft_cross_entropy(logits, batch.labels, p_y()).mean()

    def _centers(self, batch: Batch) -> Tensor:
        """(batch, d) centres of the samples' classes."""
        if batch.features is None or not isinstance(batch.parts, nn.Embedding):
            raise ValueError("CRL with lambda_rcl > 0 needs Batch.features and Batch.parts")
        return batch.parts(batch.labels)

    def _relaxed_center(self, batch: Batch, p_y: Callable[[], Tensor]) -> Tensor:
        o = self.options
        centers, features = self._centers(batch), batch.features
        assert features is not None
        if not o.center_scaled and centers.requires_grad:
            # Algorithm 1, line 24: the centres follow the gradient of L_rcl, not lambda·L_rcl.
            centers.register_hook(lambda gradient: gradient / o.lambda_rcl)
        q = shrink(features, o.tau_rcl)
        distance = (q - shrink(centers, o.tau_rcl)).square().sum(dim=1)  # (batch,)
        loss = distance.mean() / 2
        if batch.epoch % 2 == 0:
            return (loss - o.alpha_rcl).abs()
        if loss > o.alpha_rcl:
            return loss
        origin = q.square().sum(dim=1)
        near = p_y()
        return torch.mean(near * distance + (1 - near) * origin) / 2


def level(o: CRL.Options, classes: int) -> float:
    """alpha_rce, or where it is None the one to start with, nats."""
    return first_level(classes) if o.alpha_rce is None else o.alpha_rce


class _ClosedForm(torch.autograd.Function):
    """`CRL.traced_loss` under the stop-gradient, with its gradients worked out."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        features: Tensor | None,
        centers: Tensor | None,
        batch: Batch,
        o: CRL.Options,
    ) -> Tensor:
        p_y = cache(lambda: true_class_probability(batch, o.crl_py_max, stop_gradient=True))
        loss, *gradients = _cross_entropy_part(logits, batch, p_y, o)
        if features is not None and centers is not None:
            more, *others = _center_part(features, centers, batch, p_y, o)
            loss = loss + o.lambda_rcl * more
            gradients += others
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Any) -> Any:
        gradients = [gradient * slopes[0] for gradient in ctx.saved_tensors]
        return (*gradients, *[None] * (5 - len(gradients)))


def _cross_entropy_part(
    logits: Tensor, batch: Batch, p_y: Callable[[], Tensor], o: CRL.Options
) -> tuple[Tensor, Tensor]:
    """L_rce and its gradient: softmax(z) − target, for z the shrunk logits, times a sign."""
    own = batch.labels[:, None]
    z, back = _shrunk(logits, o.tau_rce)
    log_p = F.log_softmax(z, dim=1)
    loss = F.nll_loss(log_p, batch.labels)
    alpha = level(o, z.shape[1])
    sign = _sign(loss, alpha, batch.epoch)
    slope = log_p.exp()
    if sign == 0:
        p = p_y()[:, None]
        target = ((1 - p) / (z.shape[1] - 1)).expand_as(z).scatter(1, own, p)
        loss = (target * log_p).sum() / -len(z)
        slope.sub_(target)
    else:
        slope.scatter_add_(1, own, slope.new_full(own.shape, -1.0))
        loss = (loss - alpha).abs() if batch.epoch % 2 == 0 else loss
    return loss, back(slope.mul_((sign or 1) / len(z)))


def _center_part(
    features: Tensor, centers: Tensor, batch: Batch, p_y: Callable[[], Tensor], o: CRL.Options
) -> tuple[Tensor, Tensor, Tensor]:
    """L_rcl, lambda_rcl times its gradient w.r.t. the features, and what the centres follow.

    For shrunk features q and centres c: q − w·c and w·(c − q), where w is p_y below the threshold
    of an odd epoch and 1 otherwise, times a sign.
    """
    q, back_q = _shrunk(features, o.tau_rcl)
    c, back_c = _shrunk(centers, o.tau_rcl)
    towards = gap = q - c
    loss = gap.square().sum() / (2 * len(q))
    sign = _sign(loss, o.alpha_rcl, batch.epoch)
    if sign == 0:
        w = p_y()[:, None]
        loss = (w * gap.square() + (1 - w) * q.square()).sum() / (2 * len(q))
        towards, gap = q - w * c, w * gap
    elif batch.epoch % 2 == 0:
        loss = (loss - o.alpha_rcl).abs()
    scale = (sign or 1) / len(q)
    # Algorithm 1, line 24: the centres follow the gradient of L_rcl, not lambda·L_rcl.
    own = -scale * (o.lambda_rcl if o.center_scaled else 1.0)
    return loss, back_q(towards * (scale * o.lambda_rcl)), back_c(gap * own)


def _sign(loss: Tensor, threshold: float, epoch: int) -> int:
    """1 to descend, −1 to climb (even epochs), 0 to relax (odd epochs)."""
    if loss.item() > threshold:
        return 1
    return -1 if epoch % 2 == 0 else 0


def _shrunk(vectors: Tensor, tau: float) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """`shrink`, and what maps its gradient (overwritten) to that of `vectors`."""
    norms = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    factors = (norms * tau).add_(1).reciprocal_()
    shrunk = vectors * factors

    def back(slope: Tensor) -> Tensor:
        along = (slope * shrunk).sum(dim=1, keepdim=True)
        along.mul_(-tau).div_(norms.clamp_min(torch.finfo(norms.dtype).tiny))
        return slope.mul_(factors).addcmul_(shrunk, along)

    return shrunk, back
