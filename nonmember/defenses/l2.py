"""l2: the same penalty on every weight, λ·Σθ².

Paper: Shokri et al. 2017 (section VIII); the uniform penalty that PAST (Fig. 5) is compared with.
All parameters count, biases and batch norm too. The penalty's gradient 2λ·θ is the optimiser's
weight decay, so it comes on top of `train.weight_decay` as 2·l2_lambda and costs no time.
`l2_lambda = 0` is plain training; the loss reported for an epoch is the cross-entropy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field
from torch import Tensor

from nonmember.defenses._base import Defense
from nonmember.settings import Settings

if TYPE_CHECKING:
    from nonmember.defenses._run import Run


class L2(Defense):
    """Cross-entropy plus the sum of the squared weights."""

    paper = (
        "Shokri et al. 2017, Membership Inference Attacks Against Machine Learning Models, "
        "https://arxiv.org/abs/1610.05820"
    )
    changes = "step"
    limits = "A penalty strong enough to hide members costs test accuracy (PAST, Fig. 5)."
    neutral: ClassVar = {"l2_lambda": 0.0}
    try_first = "l2_lambda 0.001, then up by factors of 3. Untuned."

    class Options(Settings):
        """Settings of l2."""

        l2_lambda: float = Field(
            0.001, ge=0, description="weight of the sum of θ²; train.weight_decay comes on top"
        )

    def start(self, run: Run, required: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Raise the optimiser's weight decay."""
        for group in run.optimizer.param_groups:
            group["weight_decay"] += 2 * self.options.l2_lambda
