"""Convex-concave loss: a concave term that keeps the members' losses apart.

Paper: Liu, Feng, Zhuang, Cao and Wei, Mitigating Privacy Risk in Membership Inference by
Convex-Concave Loss, ICML 2024. Changes the training loss only, to the batch mean of

    ccl_beta · (ccl_alpha · CE − (1 − ccl_alpha) · e^p)          `exponential`
    ccl_beta · (ccl_alpha · CE − (1 − ccl_alpha) · (p + p²/2))   `quadratic`

with p the softmax at the label. Cross-entropy is convex and draws all members' losses together;
a term concave in the loss lets hard samples go and so spreads them. `ccl_alpha = ccl_beta = 1` is
plain cross-entropy.

Forms and scale are those of the published code, whose example has 0.5 and 0.05 at learning rate
0.1: ccl_beta makes the weight decay count as much more.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from nonmember.defenses._base import Batch, Defense
from nonmember.settings import Settings


class CCL(Defense):
    """A convex and a concave function of the true class's probability."""

    paper = (
        "Liu et al. 2024, Mitigating Privacy Risk in Membership Inference by Convex-Concave "
        "Loss, ICML, https://arxiv.org/abs/2402.05453"
    )
    changes = "loss"
    limits = "Aims at the spread of the losses: attacks that know how hard a sample is see past it."
    neutral: ClassVar = {"ccl_alpha": 1.0, "ccl_beta": 1.0}
    try_first = (
        "ccl_alpha 0.5, then more and less; ccl_beta 0.2, or the published 0.05 where "
        "train.weight_decay is small. Untuned."
    )

    class Options(Settings):
        """Settings of the convex-concave loss."""

        ccl_alpha: float = Field(
            0.5, ge=0, le=1, description="share of cross-entropy; the rest of the loss is concave"
        )
        ccl_beta: float = Field(0.05, gt=0, description="scale of the whole loss")
        ccl_form: Literal["exponential", "quadratic"] = Field(
            "exponential", description="form of the concave term"
        )

    def loss(self, batch: Batch) -> Tensor:
        """The scalar; negative where p is large. Reads logits and labels."""
        o = self.options
        convex = F.cross_entropy(batch.logits, batch.labels, reduction="none")  # (batch,)
        p = (-convex).exp()
        concave = -p.exp() if o.ccl_form == "exponential" else -(p + p.square() / 2)
        mixed: Tensor = o.ccl_alpha * convex + (1 - o.ccl_alpha) * concave
        return o.ccl_beta * mixed.mean()
