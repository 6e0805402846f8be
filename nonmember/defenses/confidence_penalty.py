"""Confidence penalty: reward predictions of high entropy.

Paper: Pereyra et al. 2017; RelaxLoss (ICLR 2022), Eq. 15–16: CE − α·H(p), the mean over the batch
of both. Changes the training loss only. `penalty_alpha = 0` is plain cross-entropy.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from nonmember.defenses._base import Batch, Defense
from nonmember.settings import Settings


class ConfidencePenalty(Defense):
    """Cross-entropy minus a multiple of the prediction's entropy."""

    paper = (
        "Pereyra et al. 2017, Regularizing Neural Networks by Penalizing Confident Output "
        "Distributions, https://arxiv.org/abs/1701.06548"
    )
    changes = "loss"
    limits = "From about penalty_alpha 1 on the entropy outweighs the labels."
    neutral: ClassVar = {"penalty_alpha": 0.0}
    try_first = "penalty_alpha 0.1, 0.3 and 0.5. Untuned."

    class Options(Settings):
        """Settings of the confidence penalty."""

        penalty_alpha: float = Field(
            0.1, ge=0, description="weight of the entropy (RelaxLoss tries 0.1 0.3 0.5 1 2 4 8)"
        )

    def loss(self, batch: Batch) -> Tensor:
        """The scalar of Eq. 15, in nats."""
        log_p = F.log_softmax(batch.logits, dim=1)  # (batch, classes)
        entropy = -(log_p.exp() * log_p).sum(dim=1).mean()
        return F.nll_loss(log_p, batch.labels) - self.options.penalty_alpha * entropy
