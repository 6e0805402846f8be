"""Mixup and MMD: train on mixed samples, and pull members' predictions towards non-members'.

Paper: Li, Li and Ribeiro, Membership Inference Attacks and Defenses in Classification Models,
CODASPY 2021, https://arxiv.org/abs/2002.12062. Changes the data (mixup) and the loss,

    CE of the mixed samples + mmd_lambda · MMD²(softmax of the members, softmax of non-members)

with a Gaussian kernel on unmixed samples; the non-members come from the reference set, drawn anew
with the members' classes, and get no gradient. `mixup_alpha = mmd_lambda = 0` is plain training.

As in the authors' code the penalty acts in epochs after one at whose end the accuracies of members
and reference set differ by `mmd_min_gap`, never in the last epoch; the estimate is the biased one
and the kernel's width is 1. Their code alternates a pass of mixup with a pass of MMD alone; at
learning rates such as 0.1 the latter makes the model constant, so we add the two in each step.
`mmd_by_class: false` (their code) compares the two batches as a whole, `true` averages the MMD² of
the classes. Members of a class that the reference set lacks take no part. The curve's accuracy is
that of mixed samples against their first label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from nonmember.defenses._base import Batch, Defense
from nonmember.defenses._inference import (
    answers,
    draw_like,
    forward_inference,
    frozen_statistics,
    own_stream,
)
from nonmember.kinds import Kind
from nonmember.settings import Settings

if TYPE_CHECKING:
    from nonmember.defenses._run import Run


def mmd2(x: Tensor, y: Tensor, width: float) -> Tensor:
    """Biased MMD² of (n, d) and (m, d) under exp(−‖a − b‖² / 2 width²)."""
    both = torch.cat([x, y])
    squares = both.square().sum(dim=1)
    distance = squares[:, None] - 2 * both @ both.T + squares
    kernel = torch.exp(distance.clamp(min=0) / (-2 * width**2))
    n = len(x)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


def mmd2_by_class(x: Tensor, y: Tensor, labels: Tensor, width: float) -> Tensor:
    """The mean over classes of `mmd2`; x and y have the same (n,) labels."""
    each = [mmd2(x[labels == c], y[labels == c], width) for c in labels.unique()]
    return torch.stack(each).mean()


@dataclass
class Mixing:
    """The batch that was mixed last, and what the epoch asks for."""

    draws: np.random.Generator  # of the shares
    share: float = 1.0  # of a sample in its mixture
    partners: Tensor | None = None  # (batch,) labels of the other samples; None: unmixed
    penalised: bool = False  # whether MMD acts


class MixupMMD(Defense):
    """Mixup in every step, MMD once the gap calls for it."""

    needs_inference = True
    paper = (
        "Li, Li and Ribeiro 2021, Membership Inference Attacks and Defenses in Classification "
        "Models, CODASPY, https://arxiv.org/abs/2002.12062"
    )
    changes = "data, loss"
    limits = "Matches batches of predictions, not single records; delicate in mmd_lambda."
    neutral: ClassVar = {"mixup_alpha": 0.0, "mmd_lambda": 0.0}
    try_first = "mmd_lambda 3, less where test accuracy falls. Untuned."

    class Options(Settings):
        """Settings of mixup and MMD."""

        mixup_alpha: float = Field(
            1.0,
            ge=0,
            description="both parameters of the Beta distribution of the shares; 0: no mixup",
        )
        mmd_lambda: float = Field(
            3.0,
            ge=0,
            description="weight of the distance between answers to members and to the reference "
            "set",
        )
        mmd_min_gap: float = Field(
            0.03, ge=0, le=1, description="gap of accuracy from which on MMD acts, share of 1"
        )
        mmd_width: float = Field(1.0, gt=0, description="width of the Gaussian kernel")
        mmd_by_class: bool = Field(
            False, description="compare class by class instead of whole batches"
        )

    options: Options

    def check_kind(self, kind: Kind) -> list[str]:
        """A mixture must be an input."""
        if kind.numeric or self.options.mixup_alpha == 0:
            return []
        return [
            f"defense.mixup_alpha: mixes inputs, which {kind.word} cannot be; set it to 0, which "
            "leaves the penalty"
        ]

    def start(self, run: Run, required: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Open the stream of the shares."""
        run.remember(Mixing(np.random.default_rng([run.task.seed, 2])))

    def batch(self, run: Run, rows: Tensor) -> Batch:
        """The batch mixed with a permutation of itself, one Beta-distributed share a batch."""
        alpha = self.options.mixup_alpha
        if alpha == 0:
            return super().batch(run, rows)
        mixing = run.state(Mixing)
        inputs, labels = run.take(rows)
        share = mixing.share = float(mixing.draws.beta(alpha, alpha))
        partner = torch.randperm(len(rows), generator=own_stream(run, 2)).to(run.device)
        mixing.partners = labels[partner]
        return run.forward(share * inputs + (1 - share) * inputs[partner], labels, rows)

    def loss(self, batch: Batch) -> Tensor:
        """share · CE(label) + (1 − share) · CE(partner's label) of a batch made by `batch`, and
        the penalty where it acts."""
        loss = F.cross_entropy(batch.logits, batch.labels)
        run = batch.run
        if run is None or batch.rows is None:
            raise self.outside("it mixes the batch, and needs Batch.run and Batch.rows (or: mmd2)")
        mixing = run.state(Mixing)
        if mixing.partners is not None:
            others = F.cross_entropy(batch.logits, mixing.partners)
            loss = mixing.share * loss + (1 - mixing.share) * others
        if mixing.penalised:
            loss = loss + self.options.mmd_lambda * self._penalty(run, batch.rows)
        return loss

    def end_epoch(self, run: Run) -> None:
        """Decide whether the next epoch has the penalty; the last one never has."""
        o = self.options
        last = run.epoch >= run.options.epochs - 1
        acts = o.mmd_lambda > 0 and not last and self._gap(run) >= o.mmd_min_gap
        run.state(Mixing).penalised = acts

    def _penalty(self, run: Run, rows: Tensor) -> Tensor:
        """MMD² of the members at `rows`, unmixed, and as many non-members of the same classes."""
        o = self.options
        with frozen_statistics(run.model):  # the mixed batch has set them in this step
            members = run.forward(*run.take(rows))
        others, there = draw_like(run, members.labels)
        if not there.any():
            return members.logits.sum() * 0
        with torch.no_grad():
            theirs = forward_inference(run, others)
        p = F.softmax(members.logits, dim=1)[there]
        q = F.softmax(theirs.logits, dim=1)[there]
        if o.mmd_by_class:
            return mmd2_by_class(p, q, members.labels[there], o.mmd_width)
        return mmd2(p, q, o.mmd_width)

    def _gap(self, run: Run) -> float:
        """|accuracy of members − of the reference set|, in evaluation mode, without mixing."""
        pairs = ((run.inputs, run.labels), (run.inference_inputs, run.inference_labels))
        hits = [(answers(run, run.model, x).argmax(dim=1) == y).double().mean() for x, y in pairs]
        return float((hits[0] - hits[1]).abs())
