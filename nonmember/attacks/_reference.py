"""What the attacks that compare the target with other models on the same samples share."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nonmember import statistics
from nonmember.views import Statistic, View


def log_odds(view: View) -> np.ndarray:
    """The statistic of LiRA and its like, (n,)."""
    return view.log_odds


@lru_cache
def softened(temperature: float) -> Statistic:
    """log p_y of logits that are divided by the temperature, (n,); one function a temperature."""

    def of_rows(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
        if temperature != 1:
            log_p = statistics.log_softmax(log_p / temperature)
        return -statistics.cross_entropy(log_p, labels)

    def log_probability(view: View) -> np.ndarray:
        return view.of(of_rows)

    return log_probability


def read_reference(view: View, statistic: Statistic, attack: str) -> tuple[np.ndarray, np.ndarray]:
    """One statistic of every reference model.

    Returns values (models, n) float64 and inside (models, n) bool: trained on this sample.
    Raises ValueError without reference models, or if one does not say what it was trained on.
    """
    if not view.reference:
        raise ValueError(
            f"attack {attack} compares a model with others, got no reference model; "
            "set shadows.count to 2 or more"
        )
    try:
        inside = view.reference.trained_on()
    except ValueError as error:
        what = f"attack {attack} must know what its reference models trained on"
        raise ValueError(what) from error
    return view.reference.of_each(statistic), inside


def online_needs(key: str, mode: str, assignment: str) -> list[str]:
    """The problem with a key that says `online` when no shadow saw the target's samples."""
    if mode != "online" or assignment == "random_half":
        return []
    return [
        f"attacks.{key}: online needs shadows that train on the target's samples; set "
        "shadows.assignment to random_half, or use offline"
    ]


def mean_where(values: np.ndarray, use: np.ndarray, what: str) -> np.ndarray:
    """Mean over the models in use, (n,); a sample without any gets the mean of the others' means.

    values, use: (models, n). Raises ValueError if no sample has a model in use.
    """
    count = use.sum(axis=0)
    if not count.any():
        raise ValueError(f"no reference model {what} any of the samples")
    total = np.zeros(values.shape[1])
    for row, used in zip(values, use, strict=True):  # no second table beside `values`
        total += np.where(used, row, 0.0)
    mean = total / np.maximum(count, 1)
    return np.where(count > 0, mean, mean[count > 0].mean())
