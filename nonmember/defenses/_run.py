"""The training in progress as a defense sees it: what its hooks may read, change and call.

`nonmember.training.run.Run` is the one there is. Defenses know this much of it and no more, so
that they can be read, and tested, without the trainer.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from nonmember.kinds import Kind
from nonmember.task import Task, TrainOptions

S = TypeVar("S")


@dataclass(frozen=True)
class Batch:
    """One mini-batch after the forward pass: all a loss may read.

    logits: (batch, classes) float32. labels: (batch,) int64.
    features: (batch, d) float32, the input of the last linear layer; only where
        `Defense.uses_features`.
    inputs: (batch, …), normalised. rows: (batch,) positions in the training set.
    epoch: counted from 1. parts: the defense's own trained modules. run: the training in
        progress, None in somebody else's loop.
    """

    logits: Tensor
    labels: Tensor
    features: Tensor | None = None
    epoch: int = 1
    parts: nn.Module | None = None
    inputs: Tensor | None = None
    rows: Tensor | None = None
    run: Run | None = None


class Run(Protocol):
    """One training in progress.

    inputs (members, …) raw and labels (members,): the training set. inference_inputs,
    inference_labels: the reference set, empty where there is none. All lie on `device`.
    epoch: counted from 1, 0 before the first.
    """

    task: Task
    model: nn.Module
    parts: nn.Module | None
    options: TrainOptions
    classes: int
    inputs: Tensor
    labels: Tensor
    inference_inputs: Tensor
    inference_labels: Tensor
    device: torch.device
    generator: torch.Generator
    epoch: int
    optimizer: torch.optim.Optimizer
    part_optimizer: torch.optim.Optimizer | None

    def state(self, kind: type[S]) -> S:
        """What a defense keeps from hook to hook: this run's one object of the class `kind`.

        That is the one it was given to `remember`, else `kind()`, made at the first call.
        """

    def remember(self, state: object) -> None:
        """Keep an object as this run's `state` of its class, instead of any before it."""

    @property
    def kind(self) -> Kind:
        """What the inputs are."""

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Augmented, normalised inputs and labels of some rows of the training set."""

    def take_inference(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised inputs and labels of some rows of the reference set."""

    def prepare(self, raw: Tensor) -> Tensor:
        """Raw inputs as the model takes them: normalised, in its memory format."""

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of forward passes, as a context."""

    def forward(self, inputs: Tensor, labels: Tensor, rows: Tensor | None = None) -> Batch:
        """Pass inputs through the model; logits and features come back as float32."""

    def descend(self, loss: Tensor) -> None:
        """One optimiser step of the model and of the defense's parts along −∇loss."""

    def backward(self, loss: Tensor) -> None:
        """∇loss as the only gradient of the model and of the defense's parts."""

    def step(self) -> None:
        """One step of the optimisers along the gradients at hand."""

    def phase(self, options: TrainOptions, total: int | None = None) -> None:
        """`options.epochs` epochs at the learning rates of `options`."""

    def shuffled(self, batch_size: int) -> list[Tensor]:
        """All training rows once, in random order, in batches."""
