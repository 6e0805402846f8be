"""DMP: answer from a student that has only seen the teacher's answers on non-members.

Paper: Shejwalkar and Houmansadr, Membership Privacy for Machine Learning Models Through Knowledge
Transfer, AAAI 2021. Changes the phases: an undefended teacher (the fleet trains and stores it; it
is the undefended model itself) answers the reference set, the samples with the lowest entropy of
the answer are kept, and a fresh student minimises

    T² · KL(softmax(teacher / T) ‖ softmax(student / T)), batch mean

on these. No member reaches the student. Their synthetic reference data from a GAN is not here.

Where the paper is silent: the student has the epochs, learning rate and augmentation of `train`;
the teacher answers the plain sample once, without augmentation. The curve's accuracy is measured
on the samples kept. `dmp_share = 1` keeps the whole reference set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from nonmember.defenses._base import Batch, Defense
from nonmember.defenses._inference import answers
from nonmember.settings import Settings

if TYPE_CHECKING:
    from nonmember.defenses._run import Run
    from nonmember.task import Task


def entropy(logits: Tensor) -> Tensor:
    """(n, classes) logits -> (n,) float64 entropy of their softmax, nats."""
    log_p = F.log_softmax(logits.double(), dim=1)
    return -(log_p.exp() * log_p).sum(dim=1)


def distil_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(teacher ‖ student) of two (batch, classes) logits at a temperature, batch mean."""
    return temperature**2 * F.kl_div(
        F.log_softmax(student / temperature, dim=1),
        F.log_softmax(teacher / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )


@dataclass
class Taught:
    """What the teacher says of the reference set."""

    answers: Tensor  # (reference samples, classes) logits


class DMP(Defense):
    """Distillation for membership privacy."""

    needs_inference = True
    paper = (
        "Shejwalkar and Houmansadr 2021, Membership Privacy for Machine Learning Models Through "
        "Knowledge Transfer, AAAI, https://arxiv.org/abs/1906.06589"
    )
    changes = "phases, data, loss"
    limits = "As accurate as the reference set is large; that set becomes the training set."
    try_first = "The largest reference set you can spare, with dmp_share 0.8. Untuned."

    class Options(Settings):
        """Settings of DMP."""

        dmp_share: float = Field(
            0.8,
            gt=0,
            le=1,
            description="share of the reference set that is taken, lowest entropy first",
        )
        dmp_temperature: float = Field(
            1.0, gt=0, description="softens the answers of teacher and student"
        )

    options: Options

    def requires(self, task: Task) -> dict[str, Task]:
        """The teacher: the undefended model of the same task."""
        return {"teacher": replace(task, name=f"{task.name}: teacher", defense={"name": "none"})}

    def start(self, run: Run, required: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Let the teacher answer, choose the reference set and make it the training set."""
        initial = {name: value.clone() for name, value in run.model.state_dict().items()}
        run.model.load_state_dict(required["teacher"])
        taught = answers(run, run.model, run.inference_inputs)
        run.model.load_state_dict(initial)
        count = max(2, round(self.options.dmp_share * len(taught)))
        chosen = entropy(taught).argsort(stable=True)[:count].sort().values
        run.inputs, run.labels = run.inference_inputs[chosen], run.inference_labels[chosen]
        run.remember(Taught(taught[chosen]))

    def loss(self, batch: Batch) -> Tensor:
        """Reads logits, and the teacher's answers on `rows` from the run."""
        if batch.run is None or batch.rows is None:
            raise self.outside(
                "it needs a teacher's answers, by Batch.run and Batch.rows (elsewhere: distil_loss)"
            )
        taught = batch.run.state(Taught).answers[batch.rows]
        return distil_loss(batch.logits, taught, self.options.dmp_temperature)

    def facts(self, run: Run) -> dict[str, float]:
        """How many samples the student was taught on."""
        return {"reference_samples": float(len(run.labels))}
