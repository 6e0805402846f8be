"""A lower bound on the epsilon of (epsilon, delta) differential privacy from attack scores.

A mechanism with that guarantee keeps every attack at TPR <= exp(epsilon) · FPR + delta, and
likewise TNR <= exp(epsilon) · FNR + delta, so rates above that refute a smaller epsilon.

Papers: Jagielski et al. 2020, https://arxiv.org/abs/2006.07709 (Clopper–Pearson bounds);
Nasr et al. 2021, https://arxiv.org/abs/2101.04535.
Differs: the samples of one trained model stand for independent trainings with and without one
sample, which holds as far as the samples do not influence each other's scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from nonmember.metrics.intervals import exact_low
from nonmember.metrics.membership import by_membership, random_half
from nonmember.metrics.thresholds import cuts

Direction = Literal["accuse", "clear"]


class Epsilon(NamedTuple):
    """epsilon is at least `epsilon` with this confidence, by "score >= threshold" of the attack.

    direction: whether it accuses members above the threshold or clears non-members below it.
    """

    epsilon: float
    attack: str
    direction: Direction
    threshold: float
    confidence: float
    delta: float


def epsilon_lower_bound(
    scores: Mapping[str, np.ndarray],
    member: np.ndarray,
    delta: float,
    seed: int,
    confidence: float = 0.95,
) -> Epsilon:
    """The bound from the most telling threshold of the most telling attack, at least 0.

    scores: attack -> (n,), higher = member. A random half of the members and of the non-members
    chooses attack, threshold and direction by the same bound, so that a threshold pays for thin
    support; the other half gives the bound. Both rates hold together with `confidence`.

    Raises ValueError for no attack, fewer than two members or non-members, a delta outside [0, 1),
    a confidence outside (0, 1), and what `membership.by_membership` refuses.
    """
    if not (0 <= delta < 1 and 0 < confidence < 1):
        raise ValueError(
            f"delta must be in [0, 1) and confidence in (0, 1), got {delta} and {confidence}"
        )
    if not scores:
        raise ValueError("an epsilon bound needs the scores of one attack or more, got none")
    for name, values in scores.items():
        by_membership(values, member, f"scores of {name}")
    member, error = np.asarray(member, bool), (1 - confidence) / 2
    chosen = random_half(member, np.random.default_rng(seed))
    name, direction, threshold = _choose(
        {name: np.asarray(values, np.float64)[chosen] for name, values in scores.items()},
        member[chosen],
        delta,
        error,
    )
    accused, inside = np.asarray(scores[name])[~chosen] >= threshold, member[~chosen]
    hits, alarms = (accused & inside).sum(), (accused & ~inside).sum()
    bound = _bounds(hits, alarms, _limits(inside, error), delta)[direction]
    return Epsilon(max(float(bound), 0.0), name, direction, threshold, confidence, delta)


def _choose(
    scores: Mapping[str, np.ndarray], member: np.ndarray, delta: float, error: float
) -> tuple[str, Direction, float]:
    """Attack, direction and threshold with the largest bound, the first of ties."""
    limits = _limits(member, error)
    best, chosen = -np.inf, None
    for name, values in scores.items():
        thresholds, hits, alarms = cuts(values, member)
        for direction, bounds in _bounds(hits, alarms, limits, delta).items():
            at = int(bounds.argmax())
            if chosen is None or bounds[at] > best:
                best, chosen = bounds[at], (name, direction, float(thresholds[at]))
    assert chosen is not None
    return chosen


def _limits(member: np.ndarray, error: float) -> tuple[np.ndarray, np.ndarray]:
    """For the members, then the non-members: the lower bound of the rate k / count, by k."""
    counts = int(member.sum()), int((~member).sum())
    inside, outside = (exact_low(np.arange(n + 1), n, error) for n in counts)
    return inside, outside


def _bounds(
    hits: np.ndarray, alarms: np.ndarray, limits: tuple[np.ndarray, np.ndarray], delta: float
) -> dict[Direction, np.ndarray]:
    """log((TPR − delta) / FPR) and log((TNR − delta) / FNR) at their unfavourable ends, (k,).

    hits, alarms: (k,) members and non-members at or above each threshold. The upper bound of a
    rate is one less the lower bound of its complement.
    """
    inside, outside = limits
    with np.errstate(divide="ignore"):  # no rate above delta: log 0
        return {
            "accuse": np.log(np.maximum(inside[hits] - delta, 0) / (1 - outside[-1 - alarms])),
            "clear": np.log(np.maximum(outside[-1 - alarms] - delta, 0) / (1 - inside[hits])),
        }
