"""What `prepare` says of a data set: what was read, and what looks odd about it.

A check is a function of the name in `nonmember.notices.KNOWN` that yields sentences; those of one
source alone are with the source.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

import numpy as np

from nonmember.data import neighbours
from nonmember.data.copies import first_equal
from nonmember.kinds import TABLE
from nonmember.notices import Notice, accepted, found

if TYPE_CHECKING:
    from nonmember.datasets import Arrays

FEW = 10  # records of a class below which no split can do it justice
LISTED = 20  # classes, columns or the like that are named one by one
MAJORITY = 0.95  # share of one class above which accuracy says little
LONG_RUN = 10  # whole numbers in a row that may be a measurement
SHARE = 0.02  # of near-copies below which they change no number


def lines(arrays: Arrays, name: str, accept: Collection[str] = ()) -> list[str]:
    """Kind, sizes, classes, what was skipped and what looks odd, a line each."""
    n, classes, shape = arrays.outline[:3]
    size = " × ".join(map(str, shape))
    rows = [f"{name}: {arrays.kind.word}, {n} samples of {size}, {classes} classes"]
    rows.append(f"samples a class: {_of_classes(arrays)}")
    if arrays.groups is not None:
        rows.append(f"groups: {len(np.unique(arrays.groups))}")
    said = [notice.line() for notice in accepted(arrays.notices, accept)]
    return [*rows, *arrays.skipped, *said]


def _of_classes(arrays: Arrays) -> str:
    counts = _counts(arrays)
    if len(counts) <= LISTED:
        pairs = zip(arrays.class_names, counts.tolist(), strict=True)
        return ", ".join(f"{name} {count}" for name, count in pairs)
    return f"{counts.min()} at least, {np.median(counts):g} in the median, {counts.max()} at most"


def _counts(arrays: Arrays) -> np.ndarray:
    return np.bincount(arrays.labels, minlength=len(arrays.class_names))


def notices(arrays: Arrays, accept: Collection[str] = ()) -> list[Notice]:
    """What looks odd, with exact counts; the source's own notices come first.

    ValueError for what is refused and not in `accept`.
    """
    own = [found(name, says, accept) for name, check in CHECKS.items() for says in check(arrays)]
    return [*arrays.notices, *own]


def rare_classes(arrays: Arrays) -> Iterator[str]:
    counts = _counts(arrays)
    rare = np.flatnonzero(counts < FEW)
    if len(rare):
        named = _some([f"{arrays.class_names[c]} {counts[c]}" for c in rare])
        yield f"classes of fewer than {FEW} samples: {len(rare)} ({named})"


def imbalance(arrays: Arrays) -> Iterator[str]:
    share = _counts(arrays) / len(arrays.labels)
    if share.max() >= MAJORITY:
        name = arrays.class_names[int(share.argmax())]
        percent = f"{100 * share.max():.1f} %"
        yield f"{percent} of the samples are of class {name}, the accuracy of guessing it"


def measured_labels(arrays: Arrays) -> Iterator[str]:
    """Many numbers with few samples each, or a long run whose counts rise and fall smoothly."""
    names, counts = arrays.class_names, _counts(arrays)
    if len(names) < LONG_RUN or not all(name.removeprefix("-").isdecimal() for name in names):
        return
    few = len(names) >= 15 and np.median(counts) < 2 * FEW
    numbers = np.array([int(name) for name in names])
    steps = np.diff(numbers)
    dense = (steps > 0).all() and len(numbers) >= 0.8 * (numbers[-1] - numbers[0] + 1)
    uneven = counts.max() >= 4 * counts.min()
    smooth = uneven and np.corrcoef(counts[1:], counts[:-1])[0, 1] > 0.6
    if few or (dense and smooth):
        yield (
            f"labels: {len(names)} whole numbers from {names[0]} to {names[-1]}, "
            f"{np.median(counts):g} samples each in the median, look like a measurement; only "
            "classification is audited"
        )


def copies(arrays: Arrays) -> Iterator[str]:
    first = first_equal(arrays.inputs)
    count = int((first != np.arange(len(first))).sum())
    if count:
        other = int((arrays.labels != arrays.labels[first]).sum())
        yield f"exact copies of an earlier input: {count}, with another label: {other}"


def near_copies(arrays: Arrays) -> Iterator[str]:
    if not arrays.kind.numeric:
        return
    kept = np.unique(first_equal(arrays.inputs))
    groups = np.arange(len(arrays.labels)) if arrays.groups is None else arrays.groups
    near, asked = neighbours.near_copies(arrays.inputs[kept], groups[kept], arrays.kind.is_image)
    if asked and near >= max(SHARE * asked, 3):
        yield (
            f"near-copies: {100 * near / asked:.0f} % of the samples are much nearer to another "
            "one than samples of these data are; if they are of one person or source, use "
            "split.group"
        )


def row_numbers(arrays: Arrays) -> Iterator[str]:
    if arrays.kind is not TABLE:
        return
    for i in range(arrays.inputs.shape[1]):
        if counts_rows(arrays.inputs[:, i]):
            name = arrays.columns[i] if arrays.columns else f"feature {i} (counted from 0)"
            yield f"{name} counts the rows or numbers the records, which no model may learn from"


def counts_rows(column: np.ndarray) -> bool:
    """Whether (n,) numbers are too evenly apart to be drawn, in any order, or rise row by row.

    Of n independent draws no two are nearer than 20/n² of their range once in e^20; so it is with
    the values of a column in which each occurs equally often.
    """
    n = len(column)
    if n < LISTED:
        return False
    values, often = np.unique(column.astype(np.float64), return_counts=True)
    count = len(values)
    if count >= LISTED and often.max() == often.min() <= 8:
        gaps = np.diff(values)
        return bool(gaps.min() * count**2 > 20 * (values[-1] - values[0]))
    steps = np.diff(column.astype(np.float64))
    if count < n / 8 or count < LISTED:
        return False
    step = np.median(steps)
    return bool(step != 0 and (np.abs(steps - step) <= 1e-3 * abs(step)).mean() > 0.9)


def constant_features(arrays: Arrays) -> Iterator[str]:
    if arrays.kind.is_image or not arrays.kind.numeric:
        return
    alike = np.flatnonzero(arrays.inputs.min(axis=0) == arrays.inputs.max(axis=0))
    if len(alike):
        named = _some([str(column) for column in alike])
        yield f"features with one value in all samples: {len(alike)} (counted from 0: {named})"


def blank_images(arrays: Arrays) -> Iterator[str]:
    if arrays.kind.is_image:
        flat = arrays.inputs.reshape(*arrays.inputs.shape[:2], -1)
        blank = int((flat.min(-1) == flat.max(-1)).all(1).sum())
        if blank:
            yield f"images of one colour: {blank}"


def empty_texts(arrays: Arrays) -> Iterator[str]:
    if not arrays.kind.numeric and (empty := int((arrays.inputs == 0).all(axis=1).sum())):
        yield f"samples of nothing but padding: {empty}"


def shared_ids(arrays: Arrays) -> Iterator[str]:
    if arrays.ids is not None and (shared := len(arrays.ids) - len(set(arrays.ids))):
        yield f"ids that an earlier sample has: {shared}; if they name people, use split.group"


def _some(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")


CHECKS: dict[str, Callable[[Arrays], Iterator[str]]] = {
    check.__name__: check
    for check in (
        row_numbers,
        measured_labels,
        rare_classes,
        imbalance,
        copies,
        near_copies,
        constant_features,
        blank_images,
        empty_texts,
        shared_ids,
    )
}
