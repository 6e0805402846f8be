"""The folder that stage `extract` writes, `data/signals/<arm>/`, memory-mapped and checked.

sample_ids.npy   (samples,) int64    row of the prepared data
labels.npy       (samples,) int64
membership.npy   (models, samples) int8   1 member, 0 non-member, 2 reference set, -1 neither;
                                          model 0 is the target, model 1 + i is shadow i
logits.npy       (models, samples, classes) float32
<signal>.npy     (models, samples) or (models, samples, width) float32, NaN where membership
                                          is -1
canary.npy       (samples,) bool     optional: labels.npy has a wrong label, as in training
inputs.npy       (samples, 2 + d) float32  optional: how typical of its class a sample is (low:
                                          very), and what it looks like, in few numbers
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TARGET = 0
INFERENCE = 2
TYPICAL = 2  # columns of inputs.npy before what a sample looks like
_SHAPES = {  # file: (dtype, dimensions)
    "sample_ids": (np.dtype(np.int64), ("samples",)),
    "labels": (np.dtype(np.int64), ("samples",)),
    "membership": (np.dtype(np.int8), ("models", "samples")),
    "logits": (np.dtype(np.float32), ("models", "samples", "classes")),
}
_OPTIONAL = {
    "canary": (np.dtype(np.bool_), ("samples",)),
    "inputs": (np.dtype(np.float32), ("samples", "d")),
}
_SIGNAL = (np.dtype(np.float32), ("models", "samples"))


@dataclass(frozen=True, eq=False)
class SignalFiles:
    """The arrays of the folder at `path`, none of them read yet but the small ones."""

    path: Path
    ids: np.ndarray
    labels: np.ndarray
    membership: np.ndarray
    logits: np.ndarray
    canary: np.ndarray
    inputs: np.ndarray | None
    signals: Mapping[str, np.ndarray]


def open_folder(path: Path) -> SignalFiles:
    """The folder, checked.

    Raises FileNotFoundError for a missing file and ValueError, naming file, rule and value, for
    files whose shapes, dtypes or contents do not fit together.
    """
    arrays = {name: _load(path / f"{name}.npy") for name in _SHAPES}
    extra = {file.stem: _load(file) for file in sorted(path.glob("*.npy"))}
    arrays |= {name: array for name, array in extra.items() if name in _OPTIONAL}
    signals = {name: array for name, array in extra.items() if name not in arrays}
    _check_shapes(path, arrays, signals)
    opened = SignalFiles(
        path,
        arrays["sample_ids"],
        arrays["labels"],
        arrays["membership"],
        arrays["logits"],
        np.array(arrays.get("canary", np.zeros(len(arrays["labels"]), np.bool_))),
        arrays.get("inputs"),
        signals,
    )
    _check_values(opened)
    return opened


def _load(file: Path) -> np.ndarray:
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; run the stage extract")
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:  # cut short, empty, or no array
        raise ValueError(f"{file} is damaged ({error}); run the stage extract") from error


def _check_shapes(
    path: Path, arrays: Mapping[str, np.ndarray], signals: Mapping[str, np.ndarray]
) -> None:
    sizes: dict[str, tuple[int, str]] = {}
    for name, array in {**arrays, **signals}.items():
        dtype, dims = {**_SHAPES, **_OPTIONAL}.get(name, _SIGNAL)
        free = name in signals  # the last dimension may be there, of any size
        if array.dtype != dtype or array.ndim not in (len(dims), len(dims) + free):
            raise ValueError(
                f"{path / name}.npy must be ({', '.join(dims)}{'[, width]' * free}) {dtype}, got "
                f"{array.shape} {array.dtype}"
            )
        for dim, size in zip(dims, array.shape, strict=not free):
            expected, source = sizes.setdefault(dim, (size, name))
            if size != expected:
                raise ValueError(
                    f"{path / name}.npy has {size} {dim} but {source}.npy has {expected}; extract "
                    "the signals again"
                )


def _check_values(opened: SignalFiles) -> None:
    path, labels, classes = opened.path, opened.labels, opened.logits.shape[2]
    if len(np.unique(opened.ids)) != len(opened.ids):
        raise ValueError(f"{path}/sample_ids.npy must not repeat an id")
    if ((labels < 0) | (labels >= classes)).any():
        raise ValueError(
            f"{path}/labels.npy must be in 0 … {classes - 1} (logits.npy has {classes} classes), "
            f"got {labels.min()} … {labels.max()}"
        )
    if not np.isin(opened.membership, (-1, 0, 1, INFERENCE)).all():
        raise ValueError(f"{path}/membership.npy must hold only 1, 0, {INFERENCE} and -1")
    for model, row in enumerate(opened.membership):
        if not ((row == 1).any() and (row == 0).any()):
            raise ValueError(
                f"{path}/membership.npy: model {model} needs members (1) and non-members (0), it "
                "has only one of them"
            )
