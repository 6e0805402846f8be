"""SELENA: members are answered by sub-models that never saw them, then one model is distilled.

Paper: Tang et al., Mitigating Membership Inference Attacks by Self-Distillation Through a Novel
Ensemble Architecture, USENIX Security 2022. Changes the phases: each member is left out of
`selena_left_out` (L) of `selena_models` (K) undefended sub-models, which the fleet trains and
stores; Split-AI answers it with the mean of those L predictions; the released model minimises the
cross-entropy against these answers on the training set.

Where the paper is silent: who is left out where is a function of the task's seed; a sub-model has
the settings of `train` and a seed of its own; the sub-models answer the plain sample once, without
augmentation. The curve's accuracy is against the true labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from nonmember.defenses._base import Batch, Defense
from nonmember.defenses._inference import answers
from nonmember.settings import Settings

if TYPE_CHECKING:
    from nonmember.defenses._run import Run
    from nonmember.task import Task


def left_out(seed: int, members: int, models: int, count: int) -> np.ndarray:
    """(models, members) bool: which member each sub-model does not see, `count` per member."""
    rng = np.random.default_rng([seed, 7])
    ranks = rng.random((members, models)).argsort(axis=1).argsort(axis=1)
    return (ranks < count).T


@dataclass
class SplitAI:
    """What the sub-models say of the members that they did not see."""

    answers: Tensor  # (members, classes) probabilities


class SELENA(Defense):
    """Split-AI and self-distillation."""

    paper = (
        "Tang, Mahloujifar, Song, Shejwalkar, Nasr, Houmansadr and Mittal 2022, Mitigating "
        "Membership Inference Attacks by Self-Distillation Through a Novel Ensemble Architecture, "
        "USENIX Security, https://arxiv.org/abs/2110.08324"
    )
    changes = "phases, loss"
    limits = "Trains K + 1 models; the distilled answers of near duplicates of a member leak."
    try_first = (
        "selena_models 25 and selena_left_out 10, as in the paper. Fewer sub-models train "
        "faster. Untuned."
    )

    class Options(Settings):
        """Settings of SELENA."""

        selena_models: int = Field(25, ge=2, description="sub-models, K")
        selena_left_out: int = Field(
            10, ge=1, description="sub-models that do not see a given member, L < K"
        )

        @model_validator(mode="after")
        def _fewer(self) -> SELENA.Options:
            if self.selena_left_out >= self.selena_models:
                raise ValueError(
                    f"defense.selena_left_out: must be below selena_models "
                    f"({self.selena_models}), found {self.selena_left_out}"
                )
            return self

    options: Options

    def _left_out(self, task: Task) -> np.ndarray:
        o = self.options
        return left_out(task.seed, len(task.train_rows), o.selena_models, o.selena_left_out)

    def requires(self, task: Task) -> dict[str, Task]:
        """The K sub-models, each an undefended training on (K − L)/K of the members."""
        return {
            f"sub-model {i}": replace(
                task,
                name=f"{task.name}: sub-model {i}",
                defense={"name": "none"},
                seed=int(np.random.SeedSequence([task.seed, 8, i]).generate_state(1)[0]),
                train_rows=task.train_rows[~unseen],
                inference_rows=task.inference_rows[:0],
            )
            for i, unseen in enumerate(self._left_out(task))
        }

    def start(self, run: Run, required: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Split-AI's answer to every member, (members, classes) probabilities."""
        initial = {name: value.clone() for name, value in run.model.state_dict().items()}
        total = torch.zeros(len(run.labels), run.classes, device=run.device)
        for i, unseen in enumerate(self._left_out(run.task)):
            rows = torch.from_numpy(unseen).to(run.device)
            if not rows.any():
                continue
            run.model.load_state_dict(required[f"sub-model {i}"])
            total[rows] += F.softmax(answers(run, run.model, run.inputs[rows]), dim=1)
        run.model.load_state_dict(initial)
        run.remember(SplitAI(total / self.options.selena_left_out))

    def loss(self, batch: Batch) -> Tensor:
        """Cross-entropy against Split-AI's answers, nats. Reads logits, rows and the run."""
        if batch.run is None or batch.rows is None:
            raise self.outside("it needs the answers of sub-models, by Batch.run and Batch.rows")
        return F.cross_entropy(batch.logits, batch.run.state(SplitAI).answers[batch.rows])
