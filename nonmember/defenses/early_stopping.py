"""Early stopping: release the model of an earlier epoch.

Paper: RelaxLoss (Chen, Yu and Fritz, ICLR 2022), appendix B.5: checkpoints at epochs 25, 50 … of
300 (CIFAR) or 10, 20 … of 120 (tables). Changes the phases: training ends after `stop_epoch`
epochs, with the learning rates of the whole training (0: after `train.epochs`). Neutral:
`stop_epoch = 0` and `stop_validation = 0`.

`stop_validation > 0` sets a share of the *training* set aside, trains on the rest, and keeps the
epoch with the highest accuracy on that share (the earliest of equals). Nothing is chosen on test
samples. The share is still part of the model's training set: an audit counts it as members.

One training yields the whole curve: the weights of every epoch in `stop_curve` are stored beside
the released ones, and `at_epoch` gives the model that would have been released there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from nonmember.defenses._base import Defense
from nonmember.defenses._epochs import one_epoch
from nonmember.defenses._inference import answers, own_stream
from nonmember.settings import Settings

if TYPE_CHECKING:
    from nonmember.defenses._run import Run
    from nonmember.task import TrainOptions
    from nonmember.training.train import Trained


def at_epoch(trained: Trained, epoch: int) -> Trained:
    """The model after `epoch` epochs; ValueError unless `stop_curve` had that epoch."""
    prefix = f"epoch{epoch}."
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in trained.extras.items()
        if name.startswith(prefix)
    }
    if not weights:
        known = sorted({int(n.partition(".")[0].removeprefix("epoch")) for n in trained.extras})
        raise ValueError(f"defense.stop_curve: no weights of epoch {epoch}, there are {known}")
    return dataclasses.replace(
        trained, weights=weights, extras={}, curve=[r for r in trained.curve if r["epoch"] <= epoch]
    )


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
        stop_curve: list[Annotated[int, Field(ge=1)]] = Field(
            [], description="epochs whose weights are kept too"
        )

    def check(self, classes: int) -> list[str]:
        """Patience needs something to wait for."""
        o = self.options
        if o.stop_patience > 0 and o.stop_validation == 0:
            return ["defense.stop_patience: needs defense.stop_validation above 0"]
        return []

    def check_training(self, options: TrainOptions, members: int) -> list[str]:
        """No epoch that training does not reach, and samples on both sides of the share."""
        wanted = {
            "stop_epoch": self.options.stop_epoch,
            "stop_curve": max(self.options.stop_curve, default=0),
        }
        problems = [
            f"defense.{key}: must be at most train.epochs = {options.epochs}, found {latest}"
            for key, latest in wanted.items()
            if latest > options.epochs
        ]
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
        run.memory["validation"], run.memory["kept"] = order[:held], order[held:]

    def rows(self, run: Run, batch_size: int) -> Iterable[Tensor]:
        """All rows but the validation share, in the usual random order."""
        from nonmember.data.batches import batches

        if self.options.stop_validation == 0:
            return run.shuffled(batch_size)
        kept = run.memory["kept"]
        order = torch.randperm(len(kept), generator=run.generator).to(run.device)
        return batches(kept[order], batch_size)

    def fit(self, run: Run) -> None:
        """Epoch by epoch, until the last one or until patience ends; then go back to the best."""
        o = self.options
        stop = o.stop_epoch or run.options.epochs
        last = max([stop, *o.stop_curve])
        choosing = True
        for epoch in range(last):
            run.phase(one_epoch(run.options, epoch), total=last)
            if run.epoch in o.stop_curve:
                run.memory.setdefault("curve", {})[run.epoch] = _copy(run)
            if choosing and run.epoch <= stop:
                choosing = self._choose(run)
            if not choosing and run.epoch >= max(o.stop_curve, default=0):
                break
        run.model.load_state_dict(run.memory["released"])

    def _choose(self, run: Run) -> bool:
        """Keep this epoch's weights if none was better; False once patience has ended."""
        facts = run.memory.setdefault("facts", {})
        rows = run.memory["validation"]
        found = {"released_epoch": float(run.epoch)}
        if len(rows) > 0:
            guesses = answers(run, run.model, run.inputs[rows]).argmax(dim=1)
            hits = guesses == run.labels[rows]
            found["validation_accuracy"] = hits.double().mean().item()
        # Without a validation share every epoch is better than the one before.
        if found.get("validation_accuracy", 0.0) > facts.get("validation_accuracy", -1.0):
            run.memory["released"] = _copy(run)
            facts.update(found)
        patience = self.options.stop_patience
        return patience == 0 or run.epoch - facts["released_epoch"] < patience

    def extras(self, run: Run) -> dict[str, Tensor]:
        """The weights of the epochs in `stop_curve`."""
        return {
            f"epoch{epoch}.{name}": tensor
            for epoch, weights in run.memory.get("curve", {}).items()
            for name, tensor in weights.items()
        }

    def facts(self, run: Run) -> dict[str, float]:
        """The released epoch, and its accuracy on the validation share if there is one."""
        return run.memory["facts"]


def _copy(run: Run) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in run.model.state_dict().items()}
