"""l1: the same penalty on every weight, λ·Σ|θ|.

Paper: the uniform penalty that PAST (Hu, Zhang and Wei 2024, section 4 and Fig. 5) is compared
with; there it acts in tuning, here in the whole training (`past` with `past_weights: uniform` is
the other). All parameters count, biases and batch norm too. `l1_lambda = 0` is plain training.

The penalty's gradient λ·sign(θ) is added to that of the cross-entropy, 0 where θ = 0; the loss
reported for an epoch is the cross-entropy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from nonmember.defenses._base import Batch, Defense
from nonmember.settings import Settings

if TYPE_CHECKING:
    from nonmember.defenses._run import Run


class L1(Defense):
    """Cross-entropy plus the sum of the absolute values of the weights."""

    paper = (
        "Shokri et al. 2017, Membership Inference Attacks Against Machine Learning Models, "
        "https://arxiv.org/abs/1610.05820; as in PAST, https://arxiv.org/abs/2410.06814"
    )
    changes = "step"
    limits = "A penalty strong enough to hide members costs test accuracy (PAST, Fig. 5)."
    neutral: ClassVar = {"l1_lambda": 0.0}
    try_first = "l1_lambda 0.0001, then up by factors of 3. Untuned."

    class Options(Settings):
        """Settings of l1."""

        l1_lambda: float = Field(
            1e-4, ge=0, description="weight of the sum of |θ| (PAST tunes with 0.0001 to 0.005)"
        )

    def update(self, run: Run, rows: Tensor) -> tuple[Tensor, Batch]:
        """One step on cross-entropy plus penalty; the loss returned is the cross-entropy."""
        batch = self.batch(run, rows)
        loss = self.loss(batch)
        run.backward(loss)
        with torch.no_grad():
            for parameter in run.model.parameters():
                if parameter.grad is not None:
                    parameter.grad.add_(parameter.sign(), alpha=self.options.l1_lambda)
        run.step()
        return loss, batch
