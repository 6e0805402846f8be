"""Intervals of rates, and the check that scores and membership fit together."""

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


def split(
    scores: np.ndarray, member: np.ndarray, name: str = "scores"
) -> tuple[np.ndarray, np.ndarray]:
    """The scores of the members and of the non-members, float64.

    Raises ValueError naming the scores: lengths that differ, NaN or infinity, a membership that is
    not bool or 0/1, no member or no non-member.
    """
    scores, member = np.asarray(scores, np.float64), np.asarray(member)
    if scores.ndim != 1 or scores.shape != member.shape:
        raise ValueError(
            f"{name} {scores.shape} and member {member.shape} must be (n,), one length"
        )
    if member.dtype != bool and not np.isin(member, (0, 1)).all():
        raise ValueError(f"member of {name} must be bool or 0/1, got {np.unique(member)[:5]}")
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise ValueError(
            f"{name} must be finite: {len(bad)} of {len(scores)} are NaN or infinite, the first "
            f"at position {bad[0]}"
        )
    inside = member.astype(bool)
    if inside.all() or not inside.any():
        raise ValueError(
            f"{name} need members and non-members, got {inside.sum()} and {(~inside).sum()}"
        )
    return scores[inside], scores[~inside]


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


def random_half(member: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) bool: a random half of the members and half of the non-members, rounded down."""
    chosen = np.zeros(len(member), bool)
    for rows in (np.flatnonzero(member), np.flatnonzero(~member)):
        if len(rows) < 2:
            raise ValueError(
                "members and non-members are split in halves, which needs two of each, "
                f"got {member.sum()} and {(~member).sum()}"
            )
        chosen[rng.permutation(rows)[: len(rows) // 2]] = True
    return chosen
