"""Loss gap: add the difference of the members' and the reference set's mean loss to the loss.

Paper: Hu, Zhang and Wei, Privacy-aware Sparsity Tuning, Appendix B (the comparison to PAST).
Changes the loss, `CE + gap_lambda · |mean CE of the batch − mean CE of as many non-members|`.
`gap_lambda = 0` is plain cross-entropy.

Where the paper is silent: the non-members are drawn from the reference set anew in every step and
gradient flows through their loss too (it is what makes the reference set leak, Fig. 8); in batch
norm they are a batch of their own and leave the running statistics alone; the penalty starts after
`gap_warmup` epochs. The second pass doubles the cost of a step: where its gradient was kept for a
few steps, as PAST can keep its own, trainings became unstable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from nonmember.defenses._base import Batch, Defense
from nonmember.defenses._inference import answers, draw, forward_inference
from nonmember.settings import Settings

if TYPE_CHECKING:
    from nonmember.defenses._run import Run
    from nonmember.task import TrainOptions


class LossGap(Defense):
    """The gap itself as penalty. In a loop of your own give `loss` the batch of non-members."""

    needs_inference = True
    paper = (
        "Hu, Zhang and Wei 2024, Defending Membership Inference Attacks via Privacy-aware "
        "Sparsity Tuning, Appendix B, https://arxiv.org/abs/2410.06814"
    )
    changes = "loss"
    limits = "The reference set is trained on and leaks like the members: see its own loss."
    neutral: ClassVar = {"gap_lambda": 0.0}
    try_first = (
        "gap_lambda 0.5, from a sweep on shoppers; half of it where training does not get going."
    )

    class Options(Settings):
        """Settings of the loss gap. The paper names no values; with 1 `shoppers` hardly trains: the
        absolute value's gradient does not shrink with the gap."""

        gap_lambda: float = Field(
            0.5, ge=0, description="weight of the gap; at 1 shoppers hardly trains"
        )
        gap_warmup: int = Field(0, ge=0, description="epochs of plain cross-entropy first")

    options: Options

    def loss(self, batch: Batch, others: Batch | None = None) -> Tensor:
        """The scalar to minimise. others: non-members; drawn from `batch.run` if None.

        Raises ValueError without either.
        """
        members = F.cross_entropy(batch.logits, batch.labels)
        if self.options.gap_lambda == 0 or batch.epoch <= self.options.gap_warmup:
            return members
        if others is None:
            if batch.run is None:
                raise self.outside("it needs a batch of non-members, `others`, found None")
            others = forward_inference(batch.run, draw(batch.run, len(batch.labels)))
        gap = (members - F.cross_entropy(others.logits, others.labels)).abs()
        return members + self.options.gap_lambda * gap

    def check_training(self, options: TrainOptions, members: int) -> list[str]:
        """A warm-up that ends."""
        warmup = self.options.gap_warmup
        if warmup < options.epochs:
            return []
        return [
            f"defense.gap_warmup: must be below train.epochs = {options.epochs}, found {warmup}"
        ]

    def facts(self, run: Run) -> dict[str, float]:
        """Mean loss (nats) and accuracy of members and reference set, in evaluation mode.

        A reference set that does better than the test set has leaked.
        """
        sides = {
            "members": (run.inputs, run.labels),
            "inference": (run.inference_inputs, run.inference_labels),
        }
        facts = {}
        for name, (raw, labels) in sides.items():
            logits = answers(run, run.model, raw)
            facts[f"{name}_loss"] = float(F.cross_entropy(logits, labels))
            facts[f"{name}_accuracy"] = float((logits.argmax(dim=1) == labels).float().mean())
        return facts
