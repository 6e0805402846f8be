"""One training in progress: the state that a defense's hooks read and change."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from nonmember import optimizers
from nonmember.data.batches import batches, crop_flip, pick
from nonmember.data.prepared import Normalise
from nonmember.defenses import Batch, Defense
from nonmember.features import FeatureReader
from nonmember.kinds import Kind
from nonmember.task import Task, TrainOptions

S = TypeVar("S")
Progress = Callable[[int, int, float, float], None]  # epoch, epochs, loss, accuracy


@dataclass
class Run:
    """One training in progress: what a defense's hooks may read and change."""

    task: Task
    defense: Defense
    model: nn.Module
    parts: nn.Module | None
    options: TrainOptions
    classes: int
    inputs: Tensor  # raw, (members, …)
    labels: Tensor
    inference_inputs: Tensor
    inference_labels: Tensor
    normalise: Normalise
    device: torch.device
    generator: torch.Generator
    progress: Progress
    epoch: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.normalise.kind.is_image:
            self.model.to(memory_format=torch.channels_last)
        self.inputs = self.normalise.laid_out(self.inputs)
        self.optimizer = optimizers.make_optimizer(self.model, self.options)
        self.part_optimizer = (
            optimizers.make_part_optimizer(self.parts, self.defense.part_options())
            if self.parts is not None
            else None
        )
        self._states: dict[type, object] = {}
        self._reader = FeatureReader(self.model) if self.defense.uses_features else None

    def state(self, kind: type[S]) -> S:
        """The one object of the class `kind`: the remembered one, else `kind()`, made now."""
        if kind not in self._states:
            self._states[kind] = kind()
        state = self._states[kind]
        assert isinstance(state, kind)
        return state

    def remember(self, state: object) -> None:
        """Keep an object as the `state` of its class, instead of any before it."""
        self._states[type(state)] = state

    @property
    def kind(self) -> Kind:
        """What the inputs are."""
        return self.normalise.kind

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Augmented, normalised inputs and labels of some rows of the training set."""
        raw = pick(self.inputs, rows)
        if self.options.augment == "crop_flip":
            raw = crop_flip(raw, self.generator)
        return self.prepare(raw), self.labels[rows]

    def take_inference(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised inputs and labels of some rows of the reference set."""
        raw = pick(self.inference_inputs, rows)
        return self.prepare(raw), self.inference_labels[rows]

    def prepare(self, raw: Tensor) -> Tensor:
        """Raw inputs as the model takes them: normalised, in its memory format."""
        return self.normalise(raw)

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of forward passes, as a context."""
        if self.options.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def forward(self, inputs: Tensor, labels: Tensor, rows: Tensor | None = None) -> Batch:
        """Pass inputs through the model; logits and features come back as float32."""
        features = None
        with self.autocast():
            if self._reader is None:
                logits = self.model(inputs)
            else:
                logits, features = self._reader(inputs)
        return Batch(
            logits=logits.float(),
            labels=labels,
            features=None if features is None else features.float(),
            epoch=self.epoch,
            parts=self.parts,
            inputs=inputs,
            rows=rows,
            run=self,
        )

    def descend(self, loss: Tensor) -> None:
        """One optimiser step of the model and of the defense's parts along −∇loss."""
        self.backward(loss)
        self.step()

    def backward(self, loss: Tensor) -> None:
        """∇loss as the only gradient of the model and of the defense's parts."""
        for optimizer in self._optimizers():
            optimizers.forget_gradients(optimizer)
        loss.backward()

    def step(self) -> None:
        """One step of the optimisers along the gradients at hand."""
        for optimizer in self._optimizers():
            optimizers.step(optimizer)

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return [o for o in (self.optimizer, self.part_optimizer) if o is not None]

    def phase(self, options: TrainOptions, total: int | None = None) -> None:
        """`options.epochs` epochs at the learning rates of `options`.

        total: epochs of all phases together, for the progress line.
        """
        total = total or self.epoch + options.epochs
        for epoch in range(options.epochs):
            self.epoch += 1
            lr = options.lr_at(epoch)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            loss, accuracy = self._one_epoch(options.batch_size)
            self.defense.end_epoch(self)
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"{self.task.name}: the loss became {loss} in epoch {self.epoch}; lower "
                    f"train.lr ({lr} here) or the defense's strength"
                )
            row = {"epoch": self.epoch, "loss": loss, "accuracy": accuracy, "lr": lr}
            self.curve.append({key: round(value, 6) for key, value in row.items()})
            self.progress(self.epoch, total, loss, accuracy)

    def _one_epoch(self, batch_size: int) -> tuple[float, float]:
        self.model.train()
        sizes, losses, logits, labels = [], [], [], []
        for rows in self.defense.rows(self, batch_size):
            loss, batch = self.defense.update(self, rows)
            sizes.append(len(rows))
            losses.append(loss.detach())
            logits.append(batch.logits.detach())
            labels.append(batch.labels)
        if not sum(sizes):  # no step, or under Poisson sampling nobody drawn in any
            return 0.0, 0.0
        weights = torch.tensor(sizes, dtype=torch.float64)
        loss_sum = (torch.stack(losses).cpu().double() * weights).sum()
        hits = (torch.cat(logits).argmax(dim=1) == torch.cat(labels)).sum()
        return float(loss_sum / weights.sum()), float(hits / weights.sum())

    def shuffled(self, batch_size: int) -> list[Tensor]:
        """All training rows once, in random order, in batches."""
        order = torch.randperm(len(self.labels), generator=self.generator).to(self.device)
        return batches(order, batch_size)
