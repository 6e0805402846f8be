"""RelaxLoss: hold the training loss at a level, and flatten the posteriors below it.

Paper: Chen, Yu and Fritz, RelaxLoss: Defending Membership Inference Attacks without Losing
Utility, ICLR 2022, Algorithm 1. Changes the training loss only. `relax_alpha = 0` is plain
cross-entropy.

The authors published two variants of the flattening step. `image`: it acts on wrongly predicted
samples only, and the cross-entropy of every sample is subtracted. `table`: it acts on all, with
p_y bounded by `relax_py_max` (0.3 on Purchase100, 0.1 on Texas100). Algorithm 1 stops the gradient
at the soft label, the published code does not: `relax_stop_gradient` chooses. Algorithm 1 counts
epochs from 1 and ascends in even ones; the published code counts from 0 (`relax_first_epoch`).
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from nonmember.defenses._base import Batch, Defense
from nonmember.defenses._soft import soft_cross_entropy, true_class_probability
from nonmember.settings import Settings


class RelaxLoss(Defense):
    """The loss of RelaxLoss. Reads Batch.logits, labels and epoch (counted from 1)."""

    paper = (
        "Chen, Yu and Fritz 2022, RelaxLoss: Defending Membership Inference Attacks "
        "without Losing Utility, ICLR, https://arxiv.org/abs/2207.05801"
    )
    changes = "loss"
    limits = "The level acts on the batch mean: single records may stay exposed."
    neutral: ClassVar = {"relax_alpha": 0.0}
    try_first = (
        "relax_alpha of the paper for data like yours: CIFAR-10 ResNet20 1, VGG11 0.4; "
        "CIFAR-100 ResNet20 3, VGG11 0.5; CH-MNIST 0.2; Texas100 2.5; Purchase100 0.8. On "
        "images with relax_variant image. On shoppers no level of a sweep was worth its cost."
    )

    class Options(Settings):
        """Settings of RelaxLoss."""

        relax_alpha: float = Field(
            0.8,
            ge=0,
            description="level of the mean loss, nats",
        )
        relax_variant: Literal["image", "table"] = Field(
            "table", description="which of the two published flattening steps"
        )
        relax_py_max: float = Field(
            0.3,
            gt=0,
            le=1,
            description="table: upper bound on p_y in the soft label (Purchase100 0.3, Texas100 "
            "0.1)",
        )
        relax_first_epoch: Literal[0, 1] = Field(
            1,
            description="number of the first epoch: 1 (paper) or 0 (published code); even epochs "
            "ascend",
        )
        relax_stop_gradient: bool = Field(
            True, description="no gradient through the soft label; published code: false"
        )

    def check(self, classes: int) -> list[str]:
        """Above log(classes) the loss of a constant predictor would already be too small."""
        if self.options.relax_alpha <= math.log(classes):
            return []
        return [
            f"defense.relax_alpha: must be at most log({classes}) = {math.log(classes):.3g}, "
            f"found {self.options.relax_alpha}"
        ]

    def loss(self, batch: Batch) -> Tensor:
        """The scalar to minimise on a batch (Algorithm 1)."""
        alpha = self.options.relax_alpha
        losses = F.cross_entropy(batch.logits, batch.labels, reduction="none")  # (batch,)
        loss = losses.mean()
        if loss >= alpha:
            return loss
        if (batch.epoch - 1 + self.options.relax_first_epoch) % 2 == 0:
            return (loss - alpha).abs()
        return self._flatten(batch, losses)

    def _flatten(self, batch: Batch, losses: Tensor) -> Tensor:
        o = self.options
        table = o.relax_variant == "table"
        p_y = true_class_probability(batch, o.relax_py_max if table else 1.0, o.relax_stop_gradient)
        soft = soft_cross_entropy(batch.logits, batch.labels, p_y)
        if table:
            return soft.mean()
        wrong = batch.logits.argmax(dim=1) != batch.labels
        return (wrong * soft - losses).mean()
