"""Early stopping: release the model of an earlier epoch.

Paper: RelaxLoss (Chen, Yu and Fritz, ICLR 2022), appendix B.5: checkpoints at epochs 25, 50 … of
300 (CIFAR) or 10, 20 … of 120 (tables). Changes the phases: training ends after `stop_epoch`
epochs, with the learning rates of the whole training (0: after `train.epochs`). Neutral:
`stop_epoch = 0` and `stop_validation = 0`.

`stop_validation > 0` sets a share of the *training* set aside, trains on the rest, and keeps the
epoch with the highest accuracy on that share (the earliest of equals). Nothing is chosen on test
samples. The share is still part of the model's training set: an audit counts it as members.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from nonmember.data.batches import batches
from nonmember.defenses._base import Defense
from nonmember.defenses._epochs import one_epoch
from nonmember.defenses._inference import answers, own_stream
from nonmember.settings import Settings

if TYPE_CHECKING:
    from nonmember.defenses._run import Run
    from nonmember.task import TrainOptions


@dataclass
class Best:
    """The rows that choose an epoch, those that train, and the best epoch so far."""

    validation: Tensor  # (held,) rows
    training: Tensor  # (members − held,) rows
    epoch: int = 0
    accuracy: float | None = None  # on `validation`, fraction; None if that is empty
    weights: dict[str, Tensor] = field(default_factory=dict)


class EarlyStopping(Defense):
    """Plain training that ends early."""

    paper = (
        "Chen, Yu and Fritz 2022, RelaxLoss, appendix B.5, ICLR, https://arxiv.org/abs/2207.05801"
    )
    changes = "phases"
    limits = (
        "No epoch is chosen on test data: it is fixed, or a share of the members chooses it, which "
        "counts as members though no gradient step has seen it."
    )
    neutral: ClassVar = {"stop_epoch": 0, "stop_validation": 0.0}
    try_first = "stop_epoch at a quarter of train.epochs, then half of that. Untuned."

    class Options(Settings):
        """Settings of early stopping."""

        stop_epoch: int = Field(
            10, ge=0, description="epochs to train, at most train.epochs; 0: all"
        )
        stop_validation: float = Field(
            0.0,
            ge=0,
            lt=1,
            description="share of the training set that chooses the epoch; 0: the last one is kept",
        )
        stop_patience: int = Field(
            0, ge=0, description="epochs without a better one before training ends; 0: never"
        )

    options: Options

    def check(self, classes: int) -> list[str]:
        """Patience needs something to wait for."""
        o = self.options
        if o.stop_patience > 0 and o.stop_validation == 0:
            return ["defense.stop_patience: needs defense.stop_validation above 0"]
        return []

    def check_training(self, options: TrainOptions, members: int) -> list[str]:
        """No epoch that training does not reach, and samples on both sides of the share."""
        problems = []
        if self.options.stop_epoch > options.epochs:
            problems.append(
                f"defense.stop_epoch: must be at most train.epochs = {options.epochs}, found "
                f"{self.options.stop_epoch}"
            )
        share = self.options.stop_validation
        if share > 0 and not 1 <= round(members * share) < members - 1:
            problems.append(
                f"defense.stop_validation: {share} of {members} samples leaves too few to train on "
                "or to choose by; change it or split.size"
            )
        return problems

    def start(self, run: Run, required: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Set the validation share aside."""
        n = len(run.labels)
        order = torch.randperm(n, generator=own_stream(run, 2)).to(run.device)
        held = round(n * self.options.stop_validation)
        run.remember(Best(order[:held], order[held:]))

    def rows(self, run: Run, batch_size: int) -> Iterable[Tensor]:
        """All rows but the validation share, in the usual random order."""
        if self.options.stop_validation == 0:
            return run.shuffled(batch_size)
        rows = run.state(Best).training
        order = torch.randperm(len(rows), generator=run.generator).to(run.device)
        return batches(rows[order], batch_size)

    def fit(self, run: Run) -> None:
        """Epoch by epoch, until the last one or until patience ends; then go back to the best."""
        last = self.options.stop_epoch or run.options.epochs
        for epoch in range(last):
            run.phase(one_epoch(run.options, epoch), total=last)
            if not self._choose(run):
                break
        run.model.load_state_dict(run.state(Best).weights)

    def _choose(self, run: Run) -> bool:
        """Keep this epoch's weights if none was better; False once patience has ended."""
        best, accuracy = run.state(Best), _accuracy(run)
        if accuracy is None or best.accuracy is None or accuracy > best.accuracy:
            best.epoch, best.accuracy, best.weights = run.epoch, accuracy, _copy(run)
        patience = self.options.stop_patience
        return patience == 0 or run.epoch - best.epoch < patience

    def facts(self, run: Run) -> dict[str, float]:
        """The released epoch, and its accuracy on the validation share if there is one."""
        best = run.state(Best)
        facts = {"released_epoch": float(best.epoch)}
        return facts if best.accuracy is None else facts | {"validation_accuracy": best.accuracy}


def _accuracy(run: Run) -> float | None:
    """Share of the validation rows that the model now answers right, None without any."""
    rows = run.state(Best).validation
    if len(rows) == 0:
        return None
    hits = answers(run, run.model, run.inputs[rows]).argmax(dim=1) == run.labels[rows]
    return hits.double().mean().item()


def _copy(run: Run) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in run.model.state_dict().items()}
