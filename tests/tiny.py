"""Tiny prepared data and tasks that train in milliseconds, for tests of trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from nonmember.data import prepared
from nonmember.data.prepared import Prepared
from nonmember.data.splits import Rows, SplitOptions, shadow_rows, target_rows
from nonmember.datasets import Arrays
from nonmember.kinds import IMAGE, TABLE, TOKENS, Kind, Outline
from nonmember.task import Task, make_task
from nonmember.training import fingerprint
from nonmember.training.build import build_model
from nonmember.training.store import Store
from nonmember.training.train import Trained, seed_all

CLASSES = 3
MLP: dict[str, Any] = {"name": "mlp", "widths": [12, 8]}
# No weight decay: a weight that moves has received a gradient.
TRAIN: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.0, "epochs": 2, "batch_size": 6}


def kind_of(shape: tuple[int, ...]) -> Kind:
    """Images in three dimensions, tables in one."""
    return IMAGE if len(shape) == 3 else TABLE


def outline(shape: tuple[int, ...], classes: int = CLASSES) -> Outline:
    """Of an image or table data set with inputs of this shape."""
    return Outline(144, classes, shape, kind_of(shape))


def arrays(shape: tuple[int, ...], n: int = 144, seed: int = 0) -> Arrays:
    """Normal float32 inputs whose mean depends on the class."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % CLASSES)
    centers = rng.normal(size=(CLASSES, *shape))
    inputs = rng.normal(size=(n, *shape)) + 2 * centers[labels]
    return Arrays(
        inputs.astype(np.float32),
        labels.astype(np.int64),
        ["a", "b", "c"],
        [0.1],
        [1.2],
        "drawn",
        kind=kind_of(shape),
    )


def tokens(n: int = 144, vocabulary: int = 40, length: int = 9, seed: int = 0) -> Arrays:
    """Texts of 1 to `length` tokens, half of them from a part of the vocabulary of their class."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % CLASSES)
    part = (vocabulary - 1) // CLASSES
    own = 1 + labels[:, None] * part + rng.integers(part, size=(n, length))
    ids = np.where(rng.random((n, length)) < 0.5, own, rng.integers(1, vocabulary, (n, length)))
    ids[np.arange(length) >= rng.integers(1, length + 1, (n, 1))] = 0
    return Arrays(
        ids.astype(np.int32),
        labels,
        ["a", "b", "c"],
        source="drawn",
        kind=TOKENS,
        vocabulary=vocabulary,
    )


def save(folder: Path, shape: tuple[int, ...] = (5,), n: int = 144, seed: int = 0) -> Prepared:
    """A prepared data set of a table (one number in `shape`) or images (three) in a folder."""
    prepared.save(arrays(shape, n, seed), "tiny", folder)
    return prepared.load(folder)


def rows(data: Prepared, model: int = 0, **split: Any) -> Rows:
    """Rows of model 0, the target, or 1 + i, shadow i; by default with a reference set."""
    options = SplitOptions(**split)
    if model == 0:
        return target_rows(data.labels, options, 0)
    return shadow_rows(data.labels, options, 0, model - 1)


def task(
    data: Prepared,
    defense: dict[str, Any] | None = None,
    model: int = 0,
    seed: int = 0,
    net: dict[str, Any] | None = None,
    split: dict[str, Any] | None = None,
    **train_options: Any,
) -> Task:
    """The task of a model; `train_options` replace those of TRAIN."""
    recipe = {
        "seed": seed,
        "model": net or MLP,
        "defense": defense or {"name": "none"},
        "train": {**TRAIN, **train_options},
    }
    return make_task(recipe, rows(data, model, **split or {}), data, "tiny", model)


def stored(store: Store, task: Task) -> Trained:
    """The finished training of a task."""
    return store.get(fingerprint.of_task(task))


def start(task: Task, data: Prepared) -> tuple[nn.Module, Tensor, Tensor]:
    """The model before its first step, in training mode, and all training inputs and labels.

    With `epochs=1`, a batch of them all and no momentum, `train` takes one step from here.
    """
    seed_all(task.seed)
    model = build_model(task, data.outline)
    inputs, labels = data.take(task.train_rows)
    return model.train(), data.normalise(inputs), labels


def gradient(x: Tensor) -> Tensor:
    """What `backward` left in x; AssertionError if it left nothing."""
    assert x.grad is not None
    return x.grad


ONE_STEP: dict[str, Any] = {"epochs": 1, "batch_size": 1000, "momentum": 0.0}
