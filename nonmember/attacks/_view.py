"""Known non-members class by class, and the inputs: for attacks that ask how hard a sample is."""

from __future__ import annotations

import numpy as np

from nonmember.views import View


def class_means(values: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(classes,) means of (n,), pulled to the overall mean as by one more sample."""
    totals = np.bincount(labels, values, classes)
    return np.asarray((totals + values.mean()) / (np.bincount(labels, minlength=classes) + 1))


def read_inputs(view: View, attack: str) -> np.ndarray:
    """(n, d) float64; ValueError if they were not extracted."""
    if view.inputs is None:
        raise ValueError(f"signal 'inputs' was not extracted; the attack {attack} needs it")
    return np.asarray(view.inputs, np.float64)
