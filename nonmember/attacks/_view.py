"""How an attack reads several views as one table, a class at a time, and the inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nonmember.views import View


def examples(
    views: Sequence[View], numbers: Callable[[View], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """What `numbers` makes of each view, (samples, …), and who is a member, (samples,) bool.

    One view in memory at a time. Every view must have `member`.
    """
    pairs = [(numbers(view), np.asarray(view.member, np.bool_)) for view in views]
    inputs, members = zip(*pairs, strict=True)
    return np.concatenate(inputs), np.concatenate(members)


def class_means(values: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(classes,) means of (n,), with the overall mean counted as one more sample."""
    totals = np.bincount(labels, values, classes)
    return np.asarray((totals + values.mean()) / (np.bincount(labels, minlength=classes) + 1))


def without_own_fold(
    values: np.ndarray, labels: np.ndarray, classes: int, seed: int, folds: int = 5
) -> np.ndarray:
    """(n,) each sample's class mean, by the samples of the other folds, drawn at random.

    A mean without the sample alone would tell a regression what that sample's own value is.
    """
    fold = np.random.default_rng(seed).permutation(len(labels)) % folds
    means = np.empty(len(labels))
    for left_out in range(folds):
        own = fold == left_out
        means[own] = class_means(values[~own], labels[~own], classes)[labels[own]]
    return means


def read_inputs(view: View, attack: str) -> np.ndarray:
    """(n, d) float64; ValueError if they were not extracted."""
    if view.inputs is None:
        raise ValueError(f"signal 'inputs' was not extracted; the attack {attack} needs it")
    return np.asarray(view.inputs, np.float64)
