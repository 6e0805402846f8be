"""Center loss: pull the features of a class towards a centre that is learned with them.

Paper: Wen et al., A Discriminative Feature Learning Approach for Deep Face Recognition, ECCV 2016,
Eq. 2–5; CRL (Fang and Kim, section 4.2) starts from it. Changes the training loss; the centres
train beside the model and are not released. `center_loss_lambda = 0` is plain cross-entropy.

The loss is CE + λ/2 · mean ‖q − c_y‖², with q the input of the last linear layer. The centres take
Wen's own step, whatever λ: c_j −= rate · Σ_{y=j} (c_j − q) / (1 + n_j), n_j samples of class j in
the batch. They begin standard normal, as in CRL.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nonmember.defenses._base import Batch, Defense
from nonmember.optimizers import PartOptions
from nonmember.settings import Settings


class CenterLoss(Defense):
    """Cross-entropy plus the squared distance of the feature to its class centre."""

    uses_features = True
    paper = (
        "Wen et al. 2016, A Discriminative Feature Learning Approach for Deep Face Recognition, "
        "ECCV, https://doi.org/10.1007/978-3-319-46478-7_31"
    )
    changes = "loss"
    limits = "Nothing keeps the members' loss from going to zero: meant as the ablation of CRL."
    neutral: ClassVar = {"center_loss_lambda": 0.0}
    try_first = (
        "The values of Wen et al., 0.003 and 0.5. Untuned; an ablation, which leaks more than "
        "plain training on shoppers."
    )

    class Options(Settings):
        """Settings of the center loss; Wen et al. choose .003 and .5."""

        center_loss_lambda: float = Field(0.003, ge=0, description="weight of the center loss")
        center_loss_rate: float = Field(
            0.5,
            gt=0,
            le=1,
            description="share of the way to its class mean that a centre moves in a step",
        )

    def make_parts(self, classes: int, feature_dim: int) -> nn.Module | None:
        """The class centres (classes, d), standard normal; None if center_loss_lambda is 0."""
        if self.options.center_loss_lambda == 0:
            return None
        return nn.Embedding(classes, feature_dim)

    def part_options(self) -> PartOptions:
        """Plain SGD at `center_loss_rate`."""
        return PartOptions(lr=self.options.center_loss_rate)

    def loss(self, batch: Batch) -> Tensor:
        """The scalar of Eq. 5 over the batch size. Reads logits, labels, features and parts."""
        plain = F.cross_entropy(batch.logits, batch.labels)
        if self.options.center_loss_lambda == 0:
            return plain
        if batch.features is None or not isinstance(batch.parts, nn.Embedding):
            raise ValueError("CenterLoss needs Batch.features and Batch.parts, the class centres")
        centers = batch.parts(batch.labels)  # (batch, d)
        away = batch.features - centers.detach()
        distance = away.square().sum(dim=1).mean() / 2
        counts = torch.bincount(batch.labels)[batch.labels]  # (batch,) samples of one's class
        step = away.detach() / -(1 + counts)[:, None]  # Wen's (c − q) / (1 + n), a row a sample
        own = (centers * step).sum()  # has gradient `step` in the centres; its value is taken away
        return plain + self.options.center_loss_lambda * distance + (own - own.detach())
