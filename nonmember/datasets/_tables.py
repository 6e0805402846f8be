"""What `npz` and `csv` share: labels become 0 … classes − 1, inputs uint8 or float32."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from nonmember.datasets._base import Arrays
from nonmember.datasets._moments import moments
from nonmember.kinds import BINARY, IMAGE, TABLE
from nonmember.settings import Settings

MISSING = {"", "nan"}
CODE = re.compile(r"[+-]?0\d")


class TableOptions(Settings):
    standardize: bool = Field(
        True,
        description="each feature or channel to mean 0, standard deviation 1; data of only 0 "
        "and 1 stay",
    )


def to_arrays(inputs: np.ndarray, labels: np.ndarray, standardize: bool, source: str) -> Arrays:
    """Arrays from clean inputs (n, features) or (n, channels, height, width) and any labels.

    Tables of only 0 and 1 are binary and become uint8. Mean and standard deviation are those of all
    rows.
    """
    codes, names = encode_labels(labels)
    if inputs.ndim == 2 and ((inputs == 0) | (inputs == 1)).all():
        return Arrays(inputs.astype(np.uint8), codes, names, source=source, kind=BINARY)
    kind = IMAGE if inputs.ndim == 4 else TABLE
    plain = Arrays(inputs, codes, names, source=source, kind=kind)
    if not standardize:
        return plain
    mean, std = moments(inputs, plain.scale)
    return replace(plain, mean=mean, std=std)


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
        # Codes such as 01 and 1 are two classes: as numbers they would be one. So would codes of
        # more digits than a number holds.
        merged = len(np.unique(numbers)) < len(np.unique(labels))
        codes = kind == np.int64 or any(CODE.match(label) for label in np.unique(labels))
        large = (
            kind == np.float64 and np.isfinite(numbers).all() and (np.abs(numbers) >= 2**53).any()
        )
        return labels if (merged and codes) or large else numbers
    return labels


def encode_groups(values: np.ndarray) -> np.ndarray:
    """(n,) int64, equal where values are. values: (n,) whole numbers or text, else ValueError."""
    if values.dtype.kind not in "biuUS":
        raise ValueError(f"split.group: must be whole numbers or text, not {values.dtype}")
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def require_float32(low: np.ndarray, high: np.ndarray, names: Sequence[str]) -> None:
    """ValueError for a feature of which float32 would keep less than a thousand steps.

    low, high: (features,) float64, the least and the largest value of each.
    """
    steps = np.finfo(np.float32).eps * np.maximum(np.abs(low), np.abs(high)) * 1000
    lost = np.flatnonzero((high > low) & (high - low < steps))
    if len(lost):
        first = lost[0]
        raise ValueError(
            f"{names[first]} lies between {low[first]:.17g} and {high[first]:.17g}, too far from 0 "
            f"for float32, in which data are kept; subtract {low[first]:.17g}"
        )


def _whole(labels: np.ndarray) -> np.ndarray:
    wrong = ~(np.isfinite(labels) & (labels == np.round(labels)) & (np.abs(labels) < 2**53))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"labels must be whole numbers or text, row {row} (counted from 0) is {labels[row]}"
        )
    return labels.astype(np.int64)
