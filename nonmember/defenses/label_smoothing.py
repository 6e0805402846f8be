"""Label smoothing: pull the prediction towards the uniform one.

Paper: Chen, Yu and Fritz, RelaxLoss, ICLR 2022, Eq. 14: α·KL(U ‖ p) + (1 − α)·CE, where U is
uniform over the classes. Its gradient is that of Szegedy et al. 2016 (section 7), cross-entropy
against (1 − α)·one-hot + α/C, from which it differs by the constant α·log C. Changes the training
loss only; `smoothing_alpha = 0` is plain cross-entropy, 1 ignores the labels.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from nonmember.defenses._base import Batch, Defense
from nonmember.settings import Settings


class LabelSmoothing(Defense):
    """Cross-entropy against a smoothed label."""

    paper = (
        "Szegedy et al. 2016, Rethinking the Inception Architecture, "
        "https://arxiv.org/abs/1512.00567; Eq. 14 of RelaxLoss, https://arxiv.org/abs/2207.05801"
    )
    changes = "loss"
    limits = "The more alike members' predictions are made, the better a shadow model tells them."
    neutral: ClassVar = {"smoothing_alpha": 0.0}
    try_first = (
        "smoothing_alpha 0.1, with an eye on the adaptive attacks: on shoppers it leaks more "
        "than plain training. Untuned."
    )

    class Options(Settings):
        """Settings of label smoothing."""

        smoothing_alpha: float = Field(
            0.1, ge=0, le=1, description="share of the label spread over all classes"
        )

    def loss(self, batch: Batch) -> Tensor:
        """The scalar of Eq. 14, in nats."""
        alpha = self.options.smoothing_alpha
        smoothed = F.cross_entropy(batch.logits, batch.labels, label_smoothing=alpha)
        return smoothed - alpha * math.log(batch.logits.shape[1])
