"""Thresholds of "member if score >= t", fitted for the best balanced accuracy."""

from __future__ import annotations

import numpy as np

from nonmember.metrics.membership import by_membership


def fit_threshold(scores: np.ndarray, member: np.ndarray) -> float:
    """The threshold t with the best balanced accuracy of "member if score >= t".

    t lies half way between two neighbouring scores, or is −inf (all are members) or inf (none);
    of equally good ones the highest.
    """
    by_membership(scores, member)
    return _best(np.asarray(scores, np.float64), np.asarray(member, bool))


def fit_class_thresholds(
    scores: np.ndarray,
    member: np.ndarray,
    labels: np.ndarray,
    classes: int,
    min_class_samples: int = 10,
) -> np.ndarray:
    """(classes,) thresholds like `fit_threshold`'s, each from the samples of its class.

    A class with fewer than `min_class_samples` members or non-members gets the global threshold.
    """
    labels = np.asarray(labels)
    if labels.shape != np.shape(scores) or ((labels < 0) | (labels >= classes)).any():
        raise ValueError(f"labels must be {np.shape(scores)} in 0 … {classes - 1}")
    thresholds = np.full(classes, fit_threshold(scores, member))
    scores, member = np.asarray(scores, np.float64), np.asarray(member, bool)
    for label, rows in enumerate(rows_by_class(labels, classes)):
        inside = int(member[rows].sum())
        if min(inside, len(rows) - inside) >= max(min_class_samples, 1):
            thresholds[label] = _best(scores[rows], member[rows])
    return thresholds


def rows_by_class(labels: np.ndarray, classes: int) -> list[np.ndarray]:
    """The positions of each class's samples, `classes` arrays."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, classes)))


def cuts(scores: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What every possible threshold gives, from accusing nobody to accusing all, each (k,).

    Returns thresholds, falling from inf to −inf, and the members and the non-members at or above.
    """
    order = np.argsort(-scores)
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[:-1] > ordered[1:], True)) + 1  # of equal scores
    hits = np.concatenate([[0], np.cumsum(member[order])[ends - 1]])
    ends = np.concatenate([[0], ends])
    above, below = ordered[ends[1:-1] - 1], ordered[ends[1:-1]]
    middle = above / 2 + below / 2  # halves first: the sum may overflow
    middle = np.where((below < middle) & (middle <= above), middle, above)
    return np.concatenate([[np.inf], middle, [-np.inf]]), hits, ends - hits


def _best(scores: np.ndarray, member: np.ndarray) -> float:
    thresholds, hits, alarms = cuts(scores, member)
    # Whole numbers, so that equally good cuts are exactly equal.
    return float(thresholds[(hits * alarms[-1] - alarms * hits[-1]).argmax()])
