"""train(task, prepared): one function trains target and shadows, whatever the defense.

The data is resident on the device, batches are index lists, crop and flip act per sample before
normalisation, the last epoch is kept. Same task -> same weights, bit for bit on one machine.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from nonmember import optimizers
from nonmember.architectures import architectures
from nonmember.canaries import Canaries
from nonmember.defenses import Batch, Defense, defenses
from nonmember.features import FeatureReader, last_linear
from nonmember.prepared import Normalise, Prepared
from nonmember.settings import Settings

Weights = dict[str, Tensor]
Progress = Callable[[int, int, float, float], None]  # epoch, epochs, loss, accuracy


class TrainOptions(Settings):
    """The `train` section of params.yaml."""

    optimizer: Literal["sgd", "adam"] = Field("sgd", description="update rule")
    lr: float | dict[int, float] = Field(
        0.1, description="learning rate, or first epoch (from 0) -> learning rate from there on"
    )
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="cosine: from lr to 0 over the epochs; needs a single lr"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD momentum")
    nesterov: bool = Field(False, description="Nesterov momentum")
    weight_decay: float = Field(0.0005, ge=0, description="l2 penalty of the optimiser")
    epochs: int = Field(40, ge=1, description="passes over the training set; the last is kept")
    batch_size: int = Field(128, ge=1, description="samples a step")
    augment: Literal["none", "crop_flip"] = Field(
        "none", description="crop_flip: pad by 4, random crop, random horizontal flip (images)"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: autocast")

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

    def build_defense(self) -> Defense:
        """The defense with its settings; ValueError if they are wrong."""
        options = dict(self.defense)
        cls = defenses.get(options.pop("name"))
        return cls(cls.Options(**options))

    def build_model(self, shape: tuple[int, ...], classes: int) -> nn.Module:
        """The architecture as the defense adapts it, freshly initialised."""
        options = dict(self.model)
        cls = architectures.get(options.pop("name"))
        model = cls(cls.Options(**options)).build(shape, classes)
        return self.build_defense().adapt(model)

    def recipe(self) -> dict[str, Any]:
        """The settings as JSON, without the rows."""
        return {
            "model": dict(self.model),
            "defense": dict(self.defense),
            "train": self.train.model_dump(mode="json"),
            "seed": self.seed,
            "data": self.data,
        }


@dataclass
class Trained:
    """A finished training: weights and extras on the CPU, and one entry an epoch of the curve.

    curve: epoch -> `epoch`, `loss` and `accuracy` on the training batches as they went by, `lr`.
    """

    weights: Weights
    extras: Weights
    curve: list[dict[str, float]]
    facts: dict[str, float]


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
    memory: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.channels_last = self.inputs.ndim == 4
        if self.channels_last:
            self.model.to(memory_format=torch.channels_last)
            self.inputs = self.inputs.contiguous(memory_format=torch.channels_last)
        self.optimizer = optimizers.make_optimizer(self.model, self.options)
        self.part_optimizer = (
            optimizers.make_part_optimizer(self.parts, self.defense.part_options())
            if self.parts is not None
            else None
        )
        self._reader = FeatureReader(self.model) if self.defense.uses_features else None

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Augmented, normalised inputs and labels of some rows of the training set."""
        raw = _pick(self.inputs, rows)
        if self.options.augment == "crop_flip":
            raw = crop_flip(raw, self.generator)
        return self.prepare(raw), self.labels[rows]

    def take_inference(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised inputs and labels of some rows of the inference set."""
        raw = _pick(self.inference_inputs, rows)
        return self.prepare(raw), self.inference_labels[rows]

    def prepare(self, raw: Tensor) -> Tensor:
        """Raw inputs as the model takes them: normalised, in its memory format."""
        x = self.normalise(raw)
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x

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


def _pick(inputs: Tensor, rows: Tensor) -> Tensor:
    """`inputs[rows]`, by whole rows of memory and keeping channels_last."""
    if inputs.ndim != 4:
        return inputs.index_select(0, rows)
    return inputs.movedim(1, -1).index_select(0, rows).movedim(-1, 1)


def batches(order: Tensor, batch_size: int) -> list[Tensor]:
    """Consecutive pieces of `order`; a last piece of one joins its neighbour (batch norm)."""
    pieces = list(order.split(batch_size))
    if len(pieces) > 1 and len(pieces[-1]) == 1:
        pieces[-2:] = [torch.cat(pieces[-2:])]
    return pieces


def crop_flip(images: Tensor, generator: torch.Generator, pad: int = 4) -> Tensor:
    """(batch, channels, h, w) raw images, each padded by zeros, cropped and flipped on its own."""
    batch, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (pad, pad, pad, pad))
    draw = torch.randint(0, 2 * pad + 1, (2, batch, 1), generator=generator)
    flip = torch.randint(0, 2, (batch, 1), generator=generator).bool()
    ys = draw[0] + torch.arange(height)  # (batch, h)
    xs = draw[1] + torch.arange(width)
    xs = torch.where(flip, xs.flip(1), xs).to(images.device)
    rows = torch.arange(batch, device=images.device)[:, None, None]
    cropped = padded.movedim(1, -1)[rows, ys.to(images.device)[:, :, None], xs[:, None, :]]
    return cropped.movedim(-1, 1)


def seed_all(seed: int) -> torch.Generator:
    """Seed torch's global generators and return a CPU generator of its own for the data order."""
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def train(
    task: Task,
    prepared: Prepared,
    required: Mapping[str, Trained] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Trained:
    """Train the task's model on the task's rows.

    required: finished trainings of `defense.requires(task)`, by the same names.
    Raises FloatingPointError if loss or weights stop being finite, ValueError if `prepared` is not
    the data that the task was made for or if the defense cannot be trained with these options.
    """
    defense = task.build_defense()
    problems = defense.check(prepared.classes)
    if problems := problems + defense.check_training(task.train, len(task.train_rows)):
        raise ValueError("; ".join(problems))
    place = torch.device(device)
    if task.data != prepared.sha256:
        raise ValueError(f"{task.name}: made for other data than {prepared.folder} holds now")
    with _own_rng(place), exact():
        generator = seed_all(task.seed)
        model = task.build_model(prepared.shape, prepared.classes).to(place)
        feature_dim = last_linear(model).in_features
        parts = defense.make_parts(prepared.classes, feature_dim)
        inputs, true = prepared.take(task.train_rows)
        labels = torch.from_numpy(task.canaries.relabel(task.train_rows, true.numpy()))
        others = [t.to(place) for t in prepared.take(task.inference_rows)]
        run = Run(
            task=task,
            defense=defense,
            model=model,
            parts=None if parts is None else parts.to(place),
            options=task.train,
            classes=prepared.classes,
            inputs=inputs.to(place),
            labels=labels.to(place),
            inference_inputs=others[0],
            inference_labels=others[1],
            normalise=prepared.normalise,
            device=place,
            generator=generator,
            progress=progress or (lambda *_: None),
        )
        defense.start(run, {name: t.weights for name, t in (required or {}).items()})
        defense.fit(run)
        trained = Trained(
            weights=_on_cpu(run.model.state_dict()),
            extras=_on_cpu(defense.extras(run)),
            curve=run.curve,
            facts=defense.facts(run),
        )
        _require_finite(run)
        return trained


def _require_finite(run: Run) -> None:
    """Ask the finished model: the loss of the last step says nothing of what that step did."""
    with torch.no_grad():
        logits = run.model.eval()(run.prepare(run.inputs[:64]))
    if not logits.isfinite().all():
        raise FloatingPointError(
            f"{run.task.name}: its outputs are infinite or NaN after the last epoch; lower "
            "train.lr or the defense's strength"
        )


def restore(task: Task, trained: Trained, prepared: Prepared, device: str = "cpu") -> nn.Module:
    """The trained model in eval mode on `device`."""
    with _own_rng(torch.device("cpu")):
        model = task.build_model(prepared.shape, prepared.classes)
    model.load_state_dict(trained.weights)
    return model.to(torch.device(device)).eval()


def _own_rng(place: torch.device) -> AbstractContextManager[None]:
    """Random numbers inside leave those outside as they were; no other GPU is woken for it."""
    return torch.random.fork_rng([place] if place.type == "cuda" else [])


def exact() -> AbstractContextManager[None]:
    """cuDNN as exact as it can be: fp32 is fp32, and equal inputs give equal results."""
    return torch.backends.cudnn.flags(
        enabled=torch.backends.cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False
    )


def _on_cpu(tensors: Mapping[str, Tensor]) -> Weights:
    return {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}


def renamed(task: Task, **changes: Any) -> Task:
    """A copy of a task with some fields changed, for `Defense.requires`."""
    return dataclasses.replace(task, **changes)
