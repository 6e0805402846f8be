"""What `prepare` says of a data set: what was read, and what looks odd about it."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nonmember.datasets import Arrays

FEW = 10  # records of a class below which no split can do it justice
LISTED = 20  # classes, columns or the like that are named one by one


def lines(arrays: Arrays, name: str) -> list[str]:
    """Kind, sizes, classes, what was skipped and what looks odd, a line each."""
    n, classes, shape = arrays.outline[:3]
    size = " × ".join(map(str, shape))
    rows = [f"{name}: {arrays.kind.word}, {n} samples of {size}, {classes} classes"]
    rows.append(f"samples a class: {_of_classes(arrays)}")
    if arrays.groups is not None:
        rows.append(f"groups: {len(np.unique(arrays.groups))}")
    return [*rows, *arrays.skipped, *(f"notice: {notice}" for notice in arrays.notices)]


def _of_classes(arrays: Arrays) -> str:
    counts = np.bincount(arrays.labels, minlength=len(arrays.class_names))
    if len(counts) <= LISTED:
        pairs = zip(arrays.class_names, counts.tolist(), strict=True)
        return ", ".join(f"{name} {count}" for name, count in pairs)
    return f"{counts.min()} at least, {np.median(counts):g} in the median, {counts.max()} at most"


def notices(arrays: Arrays) -> list[str]:
    """What looks odd, with exact counts; the source's own notices come first."""
    checks = (_rare_classes, _copies, _constant, _empty, _shared_ids)
    return [*arrays.notices, *(notice for check in checks for notice in check(arrays))]


def _rare_classes(arrays: Arrays) -> Iterator[str]:
    counts = np.bincount(arrays.labels, minlength=len(arrays.class_names))
    rare = np.flatnonzero(counts < FEW)
    if len(rare):
        named = _some([f"{arrays.class_names[c]} {counts[c]}" for c in rare])
        yield f"classes of fewer than {FEW} samples: {len(rare)} ({named})"


def _copies(arrays: Arrays) -> Iterator[str]:
    """An exact copy on the other side of a split is a member and none at once."""
    first: dict[bytes, int] = {}
    copies = mislabelled = 0
    for label, values in zip(arrays.labels.tolist(), arrays.inputs, strict=True):
        before = first.setdefault(blake2b(values.tobytes(), digest_size=16).digest(), label)
        copies += 1
        mislabelled += before != label
    copies -= len(first)
    if copies:
        yield f"exact copies of an earlier input: {copies}, with another label: {mislabelled}"


def _constant(arrays: Arrays) -> Iterator[str]:
    if arrays.kind.is_image or not arrays.kind.numeric:
        return
    alike = np.flatnonzero(arrays.inputs.min(axis=0) == arrays.inputs.max(axis=0))
    if len(alike):
        named = _some([str(column) for column in alike])
        yield f"features with one value in all samples: {len(alike)} (counted from 0: {named})"


def _empty(arrays: Arrays) -> Iterator[str]:
    if not arrays.kind.numeric and (empty := int((arrays.inputs == 0).all(axis=1).sum())):
        yield f"samples of nothing but padding: {empty}"


def _shared_ids(arrays: Arrays) -> Iterator[str]:
    if arrays.ids is not None and (shared := len(arrays.ids) - len(set(arrays.ids))):
        yield f"ids that an earlier sample has: {shared}; if they name people, use split.group"


def _some(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")
