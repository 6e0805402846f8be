"""What `npz` and `csv` share: labels become 0 … classes − 1, inputs uint8 or float32."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from nonmember.datasets._base import Arrays
from nonmember.datasets._moments import moments
from nonmember.settings import Settings

MISSING = {"", "nan"}


class TableOptions(Settings):
    standardize: bool = Field(
        True,
        description="shift and scale each feature (or image channel) to mean 0 and deviation 1; "
        "data of only 0 and 1 stay as they are",
    )


def to_arrays(inputs: np.ndarray, labels: np.ndarray, standardize: bool, source: str) -> Arrays:
    """Arrays from clean inputs (n, features) or (n, channels, height, width) and any labels.

    Tables of only 0 and 1 become uint8. Mean and deviation are over all rows.
    """
    codes, names = encode_labels(labels)
    if inputs.ndim == 2 and ((inputs == 0) | (inputs == 1)).all():
        return Arrays(inputs.astype(np.uint8), codes, names, source=source)
    plain = Arrays(inputs, codes, names, source=source)
    if not standardize:
        return plain
    mean, std = moments(inputs, plain.scale)
    return Arrays(inputs, codes, names, mean, std, source)


def encode_labels(labels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(n,) int64 in 0 … classes − 1 and the class names: the sorted distinct labels.

    labels: (n,) whole numbers, booleans or text. Text that is all whole numbers is sorted as
    numbers. Raises ValueError for missing and fractional labels, a single class, and more
    classes than half the rows, which no split could use.
    """
    if labels.dtype.kind in "US":
        labels = _numbers_or_text(labels.astype(np.str_))
    if labels.dtype.kind == "f":
        labels = _whole(labels)
    if labels.dtype.kind not in "biuU":
        raise ValueError(f"labels must be whole numbers or text, not {labels.dtype}")
    values, codes = np.unique(labels, return_inverse=True)
    if len(values) < 2:
        raise ValueError(f"labels: two classes or more are needed, found {values.tolist()}")
    if 2 * len(values) > len(labels):
        raise ValueError(
            f"labels: {len(values)} classes in {len(labels)} rows; is this an id or a measurement?"
        )
    return codes.astype(np.int64), [str(value) for value in values.tolist()]


def _numbers_or_text(labels: np.ndarray) -> np.ndarray:
    labels = np.char.strip(labels)
    missing = np.isin(np.char.lower(labels), sorted(MISSING))
    if missing.any():
        raise ValueError(f"labels: missing in row {int(missing.argmax())} (counted from 0)")
    for kind in (np.int64, np.float64):
        try:
            numbers = labels.astype(kind)
        except (ValueError, OverflowError):
            continue
        # Codes such as 01 and 1 are two classes: as whole numbers they would be one.
        merged = kind == np.int64 and len(np.unique(numbers)) < len(np.unique(labels))
        return labels if merged else numbers
    return labels


def _whole(labels: np.ndarray) -> np.ndarray:
    wrong = ~(np.isfinite(labels) & (labels == np.round(labels)) & (np.abs(labels) < 2**53))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"labels must be whole numbers or text, row {row} (counted from 0) is {labels[row]}"
        )
    return labels.astype(np.int64)
