"""Intervals of rates, 95 %."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import special, stats

Z = float(stats.norm.ppf(0.975))


class Interval(NamedTuple):
    """An estimate and its 95 % interval; all None where the samples do not support one."""

    value: float | None
    low: float | None
    high: float | None


def exact_low(hits: Any, trials: int, error: float) -> np.ndarray:
    """The largest rate that hits or more of `trials` reject, of the shape of hits.

    Clopper and Pearson 1934: the true rate lies below with a probability of at most `error`.
    """
    hits = np.asarray(hits, np.float64)
    bound = special.betaincinv(np.maximum(hits, 1), trials - hits + 1, error)
    return np.where(hits > 0, bound, 0.0)


def exact_high(hits: Any, trials: int, error: float) -> np.ndarray:
    """The smallest rate that hits or fewer of `trials` reject; the mirror of `exact_low`."""
    return 1 - exact_low(trials - np.asarray(hits), trials, error)


def clopper_pearson(hits: int, trials: int) -> Interval:
    """hits / trials with its exact 95 % interval: covers the true rate at least that often."""
    low, high = exact_low(hits, trials, 0.025), exact_high(hits, trials, 0.025)
    return Interval(hits / trials, float(low), float(high))


def wilson(hits: int, trials: int) -> tuple[float, float, float]:
    """hits / trials with Wilson's 95 % score interval."""
    rate = hits / trials
    center = (rate + Z**2 / (2 * trials)) / (1 + Z**2 / trials)
    spread = Z / (1 + Z**2 / trials) * (rate * (1 - rate) / trials + (Z / trials) ** 2 / 4) ** 0.5
    return rate, max(center - spread, 0.0), min(center + spread, 1.0)


def newcombe(a: Any, b: Any, common: float = 0.0) -> tuple[float, float]:
    """Limits of a − b in [−1, 1] from (value, low, high) of each (Newcombe 1998, 10; MOVER).

    common: the correlation of a and b (Zou 2007).
    """

    def reach(x: Any, y: Any) -> float:
        return float(max(x**2 + y**2 - 2 * common * x * y, 0.0) ** 0.5)

    value = a[0] - b[0]
    low = value - reach(a[0] - a[1], b[2] - b[0])
    high = value + reach(a[2] - a[0], b[0] - b[1])
    return max(float(low), -1.0), min(float(high), 1.0)
