"""Self-distillation: a second model of the same architecture learns from the first one's answers.

Paper: RelaxLoss (Chen, Yu and Fritz, ICLR 2022), Eq. 17–18:

    α·T²·KL + (1 − α)·CE, both softmaxes of the KL at temperature T

Changes the phases: the fleet trains and stores the teacher, an undefended model of the same rows
and seed (the one of the `undefended` arm, where there is one); the student starts afresh.
`distill_alpha = 0` is plain training.

Where we read the paper against its letter: Eq. 17 prints the student as the first argument of the
KL divergence; Hinton et al. and common code have KL(teacher ‖ student), which we take, as the mean
over the batch. The paper is silent on the teacher's mode and data: it answers in evaluation mode,
for the batch as the student sees it, augmentation included.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nonmember.defenses._base import Batch, Defense
from nonmember.defenses._inference import answers
from nonmember.settings import Settings

if TYPE_CHECKING:
    from nonmember.defenses._run import Run
    from nonmember.task import Task


@dataclass
class Teacher:
    """The teacher, None where nothing is asked of it."""

    model: nn.Module | None = None
    answers: Tensor | None = None  # (members, classes) logits; None under augmentation


class Distillation(Defense):
    """Trains a student on labels and on a teacher's softened answers."""

    paper = (
        "Hinton et al. 2015, Distilling the Knowledge in a Neural Network, "
        "https://arxiv.org/abs/1503.02531; Eq. 17 of RelaxLoss, https://arxiv.org/abs/2207.05801"
    )
    changes = "phases, loss"
    limits = "The teacher's answers on members still carry membership (SELENA avoids that)."
    neutral: ClassVar = {"distill_alpha": 0.0}
    try_first = (
        "distill_temperature 1, 2, 5 and 10 at distill_alpha 0.5, as RelaxLoss does. Untuned."
    )

    class Options(Settings):
        """Settings of distillation."""

        distill_alpha: float = Field(
            0.5, ge=0, le=1, description="weight of the teacher's answers; the labels have the rest"
        )
        distill_temperature: float = Field(
            2.0, gt=0, description="softens both answers (RelaxLoss tries 1 2 5 10 20 50 100)"
        )

    options: Options

    def requires(self, task: Task) -> dict[str, Task]:
        """The teacher: the same task, undefended."""
        if self.options.distill_alpha == 0:
            return {}
        name = f"{task.name}: teacher"
        return {"teacher": replace(task, name=name, defense={"name": "none"})}

    def start(self, run: Run, required: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Without augmentation the teacher answers once, for all rows."""
        if "teacher" not in required:
            return
        teacher = copy.deepcopy(run.model).eval().requires_grad_(False)
        teacher.load_state_dict(required["teacher"])
        plain = run.options.augment == "none"
        run.remember(Teacher(teacher, answers(run, teacher, run.inputs) if plain else None))

    def loss(self, batch: Batch, teacher: Tensor | None = None) -> Tensor:
        """The scalar of Eq. 17. teacher: (batch, classes) its logits; asked for if None."""
        alpha, heat = self.options.distill_alpha, self.options.distill_temperature
        plain = F.cross_entropy(batch.logits, batch.labels)
        if alpha == 0:
            return plain
        if teacher is None:
            teacher = self._ask(batch)
        divergence = F.kl_div(
            F.log_softmax(batch.logits / heat, dim=1),
            F.log_softmax(teacher / heat, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return alpha * heat**2 * divergence + (1 - alpha) * plain

    def _ask(self, batch: Batch) -> Tensor:
        teacher = Teacher() if batch.run is None else batch.run.state(Teacher)
        if batch.run is None or teacher.model is None:
            raise self.outside("it needs the teacher's logits, `teacher`, found None")
        if teacher.answers is not None and batch.rows is not None:
            return teacher.answers[batch.rows]
        with torch.no_grad(), batch.run.autocast():
            logits: Tensor = teacher.model(batch.inputs)
        return logits.float()
