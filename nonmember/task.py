"""One model to train, as data; and the models of an arm: 0 is the target, 1 + i is shadow i."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from nonmember.data.canaries import Canaries
from nonmember.data.prepared import Prepared
from nonmember.data.splits import Rows
from nonmember.settings import Settings


class TrainOptions(Settings):
    """The `train` section of params.yaml."""

    optimizer: Literal["sgd", "adam"] = Field("sgd", description="update rule")
    lr: float | dict[int, float] = Field(
        0.1,
        description="a number, or first epoch (from 0): rate, such as {0: 0.1, 50: 0.01, 80: "
        "0.001}",
    )
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="constant | cosine: from lr, a number, to 0 over the epochs"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    nesterov: bool = Field(False, description="Nesterov's form of the momentum")
    weight_decay: float = Field(0.0005, ge=0, description="weight decay of the optimiser")
    epochs: int = Field(
        40, ge=1, description="passes over the training set; the model of the last one is kept"
    )
    batch_size: int = Field(128, ge=1, description="samples a step")
    augment: Literal["none", "crop_flip"] = Field(
        "none", description="none | crop_flip: pad images by 4, crop and flip them at random"
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="fp32 | bf16: fast where the processor has it"
    )

    @field_validator("lr")
    @classmethod
    def _positive(cls, lr: float | dict[int, float]) -> float | dict[int, float]:
        values = lr if isinstance(lr, dict) else {0: lr}
        if min(values, default=-1) != 0 or any(rate <= 0 for rate in values.values()):
            raise ValueError("must be a number > 0, or a mapping epoch: rate that starts at 0")
        return lr

    @model_validator(mode="after")
    def _consistent(self) -> TrainOptions:
        if self.schedule == "cosine" and isinstance(self.lr, dict):
            raise ValueError("train.schedule: cosine needs a single number as train.lr")
        if isinstance(self.lr, dict) and max(self.lr) >= self.epochs:
            raise ValueError(
                f"train.lr: epoch {max(self.lr)} is never reached, train.epochs is {self.epochs} "
                "(epochs count from 0)"
            )
        if self.nesterov and self.momentum == 0:
            raise ValueError("train.nesterov: needs train.momentum > 0")
        return self

    def lr_at(self, epoch: int) -> float:
        """Learning rate during `epoch`, counted from 0."""
        if isinstance(self.lr, dict):
            return self.lr[max(start for start in self.lr if start <= epoch)]
        if self.schedule == "cosine":
            return self.lr * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        return self.lr


@dataclass(frozen=True)
class Task:
    """One model to train: everything that makes it, and nothing else.

    name: for people, not part of the identity. model, defense: active settings with `name`.
    data: sha256 of the prepared data. train_rows, inference_rows: (k,) int64 rows of it.
    canaries: members that train with a wrong label.
    """

    name: str
    model: Mapping[str, Any]
    defense: Mapping[str, Any]
    train: TrainOptions
    seed: int
    data: str
    train_rows: np.ndarray
    inference_rows: np.ndarray
    canaries: Canaries = field(default_factory=Canaries.none)

    def recipe(self) -> dict[str, Any]:
        """The settings as JSON, without the rows."""
        return {
            "model": dict(self.model),
            "defense": dict(self.defense),
            "train": self.train.model_dump(mode="json"),
            "seed": self.seed,
            "data": self.data,
        }


def child_seed(seed: int, model: int) -> int:
    """The seed of model 0 (the target) or 1 + i (shadow i), whatever the number of shadows."""
    return int(np.random.SeedSequence([seed, model]).generate_state(1)[0])


def make_task(
    recipe: Mapping[str, Any],
    rows: Rows,
    data: Prepared,
    arm: str,
    model: int,
    canaries: Canaries | None = None,
) -> Task:
    """recipe: `data/config/<arm>.json`. model: 0 is the target, 1 + i is shadow i."""
    return Task(
        name=f"{arm} target" if model == 0 else f"{arm} shadow {model - 1}",
        model=recipe["model"],
        defense=recipe["defense"],
        train=TrainOptions(**_number_keys(recipe["train"])),
        seed=child_seed(recipe["seed"], model),
        data=data.sha256,
        train_rows=rows.train,
        inference_rows=rows.inference,
        canaries=(canaries or Canaries.none()).within(rows.train),
    )


def _number_keys(train: Mapping[str, Any]) -> dict[str, Any]:
    """JSON turns the epochs of an `lr` mapping into text; turn them back."""
    lr = train["lr"]
    fixed = {int(epoch): rate for epoch, rate in lr.items()} if isinstance(lr, dict) else lr
    return {**train, "lr": fixed}
