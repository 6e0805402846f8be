"""A lower bound on the epsilon of (epsilon, delta) differential privacy from attack scores.

A mechanism with that guarantee keeps every attack at TPR <= exp(epsilon) · FPR + delta, and
likewise TNR <= exp(epsilon) · FNR + delta, so rates above that refute a smaller epsilon.

Papers: Jagielski et al. 2020, https://arxiv.org/abs/2006.07709 (Clopper–Pearson bounds);
Nasr et al. 2021, https://arxiv.org/abs/2101.04535.
Differs: the samples of one trained model stand for independent trainings with and without one
sample, which holds as far as the samples do not influence each other's scores. `one_run.py` has
the bound that does without.

Two ways to pay for the choice of attack, direction and threshold:
  thresholds (default): for k = 1, 2, 4 …, "score above the k-th highest non-member" is a rule fixed
    beforehand. Its FPR is at most that of a Beta(k, n − k + 1) draw, ties or not, and given it the
    members are binomial. Bonferroni over all k, both directions and all attacks. Uses every sample
    for both rates and needs no luck.
  splits: ten times a random half chooses and the other half bounds; Bonferroni over the splits.
`thresholds` is the default because it was tighter in simulations, not because of any result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np

from nonmember.metrics.intervals import exact_high, exact_low
from nonmember.metrics.membership import by_membership, random_half

Direction = Literal["accuse", "clear"]
Method = Literal["thresholds", "splits"]
SPLITS = 10


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


class _Rule(NamedTuple):
    """One way to tell: the k-th highest of those that should score low, as a limit."""

    bound: float
    attack: str
    direction: Direction
    threshold: float
    k: int


def epsilon_lower_bound(
    scores: Mapping[str, np.ndarray],
    member: np.ndarray,
    delta: float,
    seed: int,
    confidence: float = 0.95,
    method: Method = "thresholds",
) -> Epsilon:
    """The largest bound of any attack, direction and threshold, at least 0, valid as a maximum.

    scores: attack -> (n,), higher = member. seed: of the halves of `splits`; `thresholds` has no
    chance in it.

    Raises ValueError for no attack, a delta of 1 / members or more, a confidence outside (0, 1),
    what `membership.by_membership` refuses, and for `splits` fewer than two of each.
    """
    check(scores, member, delta, confidence)
    inside = np.asarray(member, bool)
    table = {name: np.asarray(values, np.float64) for name, values in scores.items()}
    error = 1 - confidence
    if method == "thresholds":
        rules = 2 * len(table)
        best = max(_rules(table, inside, delta, error / rules), key=lambda rule: rule.bound)
    else:
        best = _of_splits(table, inside, delta, error / SPLITS, np.random.default_rng(seed))
    bound = max(best.bound, 0.0)
    return Epsilon(bound, best.attack, best.direction, best.threshold, confidence, delta)


def check(
    scores: Mapping[str, np.ndarray], member: np.ndarray, delta: float, confidence: float
) -> None:
    """ValueError for what no bound can be made of."""
    if not scores:
        raise ValueError("an epsilon bound needs the scores of one attack or more, got none")
    for name, values in scores.items():
        by_membership(values, member, f"scores of {name}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence}")
    members = int(np.sum(member))
    if not 0 <= delta < 1 / members:
        raise ValueError(
            f"delta (defense.dp_delta) must be in [0, 1 / members) = [0, {1 / members:.3g}), got "
            f"{delta}: publishing one member whole would satisfy a larger one"
        )


def _rules(
    scores: Mapping[str, np.ndarray], member: np.ndarray, delta: float, error: float
) -> Iterator[_Rule]:
    """The bound by every k, direction and attack; for each attack and direction all hold together.

    error: of one attack and direction.
    """
    for name, values in scores.items():
        for direction, table in (("accuse", values), ("clear", -values)):
            high = member if direction == "accuse" else ~member
            limits, ks, bounds = _bounds(table[high], table[~high], delta, error)
            at = int(bounds.argmax())
            limit = np.nextafter(limits[at], np.inf) if direction == "accuse" else -limits[at]
            yield _Rule(float(bounds[at]), name, direction, float(limit), int(ks[at]))  # type: ignore[arg-type]


def _bounds(
    high: np.ndarray, low: np.ndarray, delta: float, error: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For k = 1, 2, 4 …: the k-th highest of `low`, k, and log((rate − delta) / false rate).

    rate: of `high` above that limit, at its lower end; false rate: of `low`, at its upper end.
    """
    ks = 2 ** np.arange(int(np.log2(len(low))) + 1)
    limits = np.sort(low)[::-1][ks - 1]
    return limits, ks, _bound(high, limits, ks, len(low), delta, error / (2 * len(ks)))


def _bound(
    high: np.ndarray, limits: np.ndarray, ks: np.ndarray, others: int, delta: float, error: float
) -> np.ndarray:
    """log((rate − delta) / false rate) where both rates hold with `error` each, (k,)."""
    hits = len(high) - np.searchsorted(np.sort(high), limits, "right")
    rate = exact_low(hits, len(high), error)
    with np.errstate(divide="ignore"):  # no rate above delta: log 0
        return np.log(np.maximum(rate - delta, 0) / exact_high(ks - 1, others, error))


def _of_splits(
    scores: Mapping[str, np.ndarray],
    member: np.ndarray,
    delta: float,
    error: float,
    rng: np.random.Generator,
) -> _Rule:
    """The best of several splits; a half chooses by its own bounds, the other is asked once."""
    found = []
    for _ in range(SPLITS):
        chosen = random_half(member, rng)
        mine = {name: values[chosen] for name, values in scores.items()}
        rule = max(_rules(mine, member[chosen], delta, error), key=lambda one: one.bound)
        values, inside = scores[rule.attack][~chosen], member[~chosen]
        high, sign = (inside, 1) if rule.direction == "accuse" else (~inside, -1)
        accused = (values >= rule.threshold) == (sign > 0)
        rate = exact_low(int(accused[high].sum()), int(high.sum()), error / 2)
        false = exact_high(int(accused[~high].sum()), int((~high).sum()), error / 2)
        with np.errstate(divide="ignore"):
            bound = float(np.log(np.maximum(rate - delta, 0) / false))
        found.append(rule._replace(bound=bound))
    return max(found, key=lambda one: one.bound)
