"""The prepared data set on disk, `data/prepared/`, and how a model is fed from it.

inputs.npy    (n, …) uint8 or float32, int32 for token ids, memory-mappable
labels.npy    (n,) int64
ids.npy       (n,) text, what each record is called; missing: by its row
groups.npy    (n,) int64, equal for records that belong together; missing: each alone
dataset.json  name, kind, n, classes, class_names, shape, vocabulary, mean, std, source, sha256,
              skipped and notices (what was left out and what looks odd, for people)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nonmember import files
from nonmember.kinds import KINDS, Kind, Outline, largest

if TYPE_CHECKING:
    from nonmember.datasets import Arrays


def save(arrays: Arrays, name: str, folder: str | Path) -> None:
    """Write a data set; the sha256 covers inputs, labels, normalisation and groups."""
    folder = Path(folder)
    inputs = np.ascontiguousarray(arrays.inputs)
    labels = np.ascontiguousarray(arrays.labels, dtype=np.int64)
    facts: tuple[Any, ...] = (inputs.dtype, inputs.shape, arrays.mean, arrays.std)
    if arrays.vocabulary is not None:
        facts = (*facts, arrays.vocabulary)
    digest = hashlib.sha256(str(facts).encode())
    digest.update(inputs.data)
    digest.update(labels.data)
    if arrays.groups is not None:
        digest.update(np.ascontiguousarray(arrays.groups, dtype=np.int64).data)
    (folder / "dataset.json").unlink(missing_ok=True)  # nothing half-new can be loaded
    files.write_array(folder / "inputs.npy", inputs)
    files.write_array(folder / "labels.npy", labels)
    for name_of, values in (("ids", arrays.ids), ("groups", arrays.groups)):
        (folder / f"{name_of}.npy").unlink(missing_ok=True)
        if values is not None:
            files.write_array(folder / f"{name_of}.npy", np.array(values))
    files.write_json(
        folder / "dataset.json",
        {
            "name": name,
            "kind": arrays.kind.name,
            "n": len(labels),
            "classes": len(arrays.class_names),
            "class_names": arrays.class_names,
            "shape": list(inputs.shape[1:]),
            "vocabulary": arrays.vocabulary,
            "groups": None if arrays.groups is None else len(np.unique(arrays.groups)),
            "mean": arrays.mean,
            "std": arrays.std,
            "source": arrays.source,
            "sha256": digest.hexdigest(),
            "skipped": arrays.skipped,
            "notices": [notice.model_dump() for notice in arrays.notices],
        },
    )


@dataclass(frozen=True)
class Normalise:
    """(batch, …) raw inputs -> what a model reads, in its memory format.

    float32: bytes of images scaled to 0–1, then (x − mean) / std; images with channels last.
    Token ids stay as they are.
    mean, std: one number, or one a channel (images) or feature (tables).
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    kind: Kind

    def __call__(self, raw: Tensor) -> Tensor:
        if not self.kind.numeric:
            return raw
        x, divisor = raw.float(), self.kind.divisor(raw)
        if divisor != 1:
            x = x / divisor
        if self.mean != (0.0,) or self.std != (1.0,):
            shape = (1, -1) + (1,) * (raw.ndim - 2)
            mean = torch.tensor(self.mean, device=raw.device).reshape(shape)
            std = torch.tensor(self.std, device=raw.device).reshape(shape)
            x = (x - mean) / std
        return self.laid_out(x)

    def laid_out(self, x: Tensor) -> Tensor:
        """The same inputs in the memory format of a model: images with channels last."""
        return x.contiguous(memory_format=torch.channels_last) if self.kind.is_image else x


@dataclass(frozen=True)
class Prepared:
    """The prepared data, memory-mapped: rows are read when they are taken."""

    folder: Path
    name: str
    classes: int
    shape: tuple[int, ...]
    normalise: Normalise
    sha256: str
    inputs: np.ndarray
    labels: np.ndarray
    vocabulary: int | None = None
    ids: np.ndarray | None = None
    groups: np.ndarray | None = None

    @property
    def kind(self) -> Kind:
        """What the inputs are."""
        return self.normalise.kind

    @property
    def outline(self) -> Outline:
        """The size of the data."""
        return Outline(
            len(self.labels), self.classes, self.shape, self.kind, self.vocabulary,
            largest(self.groups),
        )  # fmt: skip

    def in_memory(self) -> Prepared:
        """The same with arrays that can be sent to another machine."""
        return replace(self, inputs=np.array(self.inputs), labels=np.array(self.labels))

    def take(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Raw inputs and labels of some rows, as tensors of their own."""
        inputs = np.ascontiguousarray(self.inputs[rows])
        return torch.from_numpy(inputs), torch.from_numpy(self.labels[rows])

    def record_ids(self, rows: np.ndarray) -> list[str]:
        """What some rows are called where they came from: a path, a line, a name, or the row."""
        named = rows if self.ids is None else self.ids[rows]
        return [str(name) for name in named.tolist()]


def load(folder: str | Path) -> Prepared:
    """Open a folder that `save` wrote; ValueError if its files do not belong together or do not
    state the kind of the data."""
    folder = Path(folder)
    meta = files.read_json(folder / "dataset.json")
    if meta.get("kind") not in KINDS:
        raise ValueError(
            f"{folder / 'dataset.json'}: kind must be one of {', '.join(KINDS)}, found "
            f"{meta.get('kind')}; run `dvc repro prepare`"
        )
    inputs = np.load(folder / "inputs.npy", mmap_mode="r", allow_pickle=False)
    labels = np.load(folder / "labels.npy", allow_pickle=False)
    ids, groups = (_optional(folder / f"{name}.npy", meta["n"]) for name in ("ids", "groups"))
    if list(inputs.shape) != [meta["n"], *meta["shape"]] or labels.shape != (meta["n"],):
        raise ValueError(
            f"{folder}: inputs {inputs.shape} and labels {labels.shape} do not match dataset.json"
        )
    return Prepared(
        folder=folder,
        name=meta["name"],
        classes=meta["classes"],
        shape=tuple(meta["shape"]),
        normalise=Normalise(tuple(meta["mean"]), tuple(meta["std"]), KINDS[meta["kind"]]),
        sha256=meta["sha256"],
        inputs=inputs,
        labels=labels,
        vocabulary=meta["vocabulary"],
        ids=ids,
        groups=groups,
    )


def _optional(path: Path, n: int) -> np.ndarray | None:
    """(n,), memory-mapped; None if there is no such file, ValueError if it has another length."""
    if not path.exists():
        return None
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    if values.shape != (n,):
        raise ValueError(f"{path}: must hold {n} values, as dataset.json says, is {values.shape}")
    return values
