"""What a defense can change about training and release; every default is plain cross-entropy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from nonmember.defenses._run import Batch, Run
from nonmember.kinds import Kind
from nonmember.optimizers import PartOptions
from nonmember.settings import Settings
from nonmember.task import Task, TrainOptions

__all__ = ["Batch", "Defense"]

# By which a defense acts beside its loss; nothing calls them in somebody else's loop.
_HOOKS = (
    "requires", "adapt", "start", "fit", "rows", "batch", "update", "end_epoch", "extras",
    "release",
)  # fmt: skip


class Defense:
    """One defense. A subclass overrides the one or two hooks it needs.

    Its settings are a class `Options`, declared as its own by `options: Options`.
    An instance holds settings only; what a training accumulates lives in its `Run`.
    paper, changes (loss, step, data, model, phases, released predictor), limits, try_first (the
    values to begin with, and whether anybody tuned them): for the list of defenses. neutral:
    options under which it is plain training, None where no options are. uses_features: whether
    `Batch.features` is filled. needs_inference: whether it needs a split with a reference set,
    which PAST calls inference set. base_key: the option, if any, that names another defense, whose
    settings go along as `{"name": …, its keys}`.
    """

    Options: ClassVar[type[Settings]] = Settings
    paper: ClassVar[str] = ""
    changes: ClassVar[str] = ""
    limits: ClassVar[str] = ""
    try_first: ClassVar[str] = ""
    neutral: ClassVar[Mapping[str, Any] | None] = None
    uses_features: ClassVar[bool] = False
    needs_inference: ClassVar[bool] = False
    base_key: ClassVar[str] = ""
    options: Settings

    def __init__(self, options: Settings | None = None, **values: Any) -> None:
        self.options = options if options is not None else self.Options(**values)

    def check(self, classes: int) -> list[str]:
        """What is impossible about the options for this many classes: `key: problem` lines."""
        return []

    def settle(self, classes: int) -> Settings:
        """The options with a number in place of each default that depends on the classes."""
        return self.options

    def check_kind(self, kind: Kind) -> list[str]:
        """What is impossible about the options for inputs of this kind: `key: problem` lines."""
        return []

    def check_training(self, options: TrainOptions, members: int) -> list[str]:
        """What is impossible about this training on `members` samples: `key: problem` lines."""
        return []

    def requires(self, task: Task) -> dict[str, Task]:
        """Models to train first; the fleet trains, stores and hands them to `start`."""
        return {}

    def adapt(self, model: nn.Module) -> nn.Module:
        """The architecture this defense trains and releases (dropout, another norm layer)."""
        return model

    def make_parts(self, classes: int, feature_dim: int) -> nn.Module | None:
        """Modules that train beside the model and are not released (centres, an attacker)."""
        return None

    def part_options(self) -> PartOptions:
        """The parts' own optimiser, whose learning rate is constant."""
        return PartOptions()

    def start(self, run: Run, required: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Called once before the first epoch; `required` holds the weights of `requires`."""

    def fit(self, run: Run) -> None:
        """All phases of the training. Default: one phase of `train.epochs` epochs."""
        run.phase(run.options)

    def rows(self, run: Run, batch_size: int) -> Iterable[Tensor]:
        """The training rows of each step of an epoch. Default: all, shuffled, in batches."""
        return run.shuffled(batch_size)

    def batch(self, run: Run, rows: Tensor) -> Batch:
        """Inputs to forward pass for some training rows (mixup changes the data here)."""
        inputs, labels = run.take(rows)
        return run.forward(inputs, labels, rows)

    def loss(self, batch: Batch) -> Tensor:
        """The scalar to minimise on a batch. Default: mean cross-entropy in nats.

        Outside a training of ours (`batch.run` is None) it is the whole defense, or it raises
        ValueError: a loop that only minimises it would have the name of the defense and no more.
        """
        hooks = [name for name in _HOOKS if getattr(type(self), name) is not getattr(Defense, name)]
        if batch.run is None and hooks:
            raise self.outside(f"it acts through {', '.join(hooks)}, and its loss is plain")
        return F.cross_entropy(batch.logits, batch.labels)

    def outside(self, why: str) -> ValueError:
        """What `loss` raises in somebody else's loop, where it is not the defense."""
        name = type(self).__name__
        return ValueError(
            f"{name}.loss alone does not defend: {why}; "
            f"train with `nonmember.train(model, (x, y), {name}(…))`"
        )

    def update(self, run: Run, rows: Tensor) -> tuple[Tensor, Batch]:
        """One step on some training rows; returns the loss and the batch it came from."""
        batch = self.batch(run, rows)
        loss = self.loss(batch)
        run.descend(loss)
        return loss, batch

    def end_epoch(self, run: Run) -> None:
        """Called after each epoch (weight averaging, a warm-up that ends)."""

    def extras(self, run: Run) -> dict[str, Tensor]:
        """Tensors that the released predictor needs beside the model's weights."""
        return {}

    def release(self, logits: Tensor, extras: Mapping[str, Tensor]) -> Tensor:
        """Raw logits (batch, classes) -> the logits a user of the model gets to see."""
        return logits

    def facts(self, run: Run) -> dict[str, float]:
        """Numbers to record with the model, such as a formal epsilon."""
        return {}
