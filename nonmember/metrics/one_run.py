"""A lower bound on epsilon from one training run, without taking its samples as independent.

Paper: Steinke, Nasr and Jagielski 2023, https://arxiv.org/abs/2305.08846, Theorem 5.2 and its code
in Appendix D. An auditor guesses the membership of r of m samples and abstains from the others. If
training is (epsilon, delta)-private, the right guesses are at most Binomial(r, q) with
q = 1 / (1 + exp(−epsilon)), but for a term of 2 · m · delta; more of them refute that epsilon.

Needed: every sample's membership is a fair coin of its own. Here as many members as non-members
were drawn, which is coins but for a term of 1 / samples; a surplus of either is left out at random.
Guesses: the r highest scores are called members, or the r/2 highest members and the r/2 lowest
non-members. Attack, kind and r are chosen on a random half, whose membership the auditor is told;
the other half is asked once. That is valid as it stands: given the first half's membership,
training is still private in the second's. Bonferroni would multiply the term of delta too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy import special, stats

from nonmember.metrics.epsilon import check
from nonmember.metrics.membership import random_half

Guesses = Literal["members", "both"]


class OneRun(NamedTuple):
    """epsilon is at least `epsilon` with this confidence: `correct` of `guesses` guesses are right.

    kind: whether only members are guessed or non-members too. coins: samples guessed or abstained
    from.
    """

    epsilon: float
    attack: str
    kind: Guesses
    guesses: int
    correct: int
    coins: int
    confidence: float
    delta: float


def one_run_bound(
    scores: Mapping[str, np.ndarray],
    member: np.ndarray,
    delta: float,
    seed: int,
    confidence: float = 0.95,
) -> OneRun:
    """The bound from the most telling attack and number of guesses, at least 0.

    scores: attack -> (n,), higher = member. seed: of the halves, between equal scores, and which
    samples are left out where members and non-members are not equally many.

    Raises ValueError as `epsilon.epsilon_lower_bound` does, and for fewer than two of each.
    """
    check(scores, member, delta, confidence)
    rng, inside = np.random.default_rng(seed), np.asarray(member, bool)
    halves = random_half(inside, rng)
    told, asked = (_as_many(inside, part, rng) for part in (halves, ~halves))
    name, kind, guesses = _choose(scores, inside, told, delta, 1 - confidence)
    correct = _right(np.asarray(scores[name], np.float64)[asked], inside[asked], kind, guesses)
    bound = _search(len(asked), guesses, correct, delta, 1 - confidence)
    return OneRun(bound, name, kind, guesses, correct, len(asked), confidence, delta)


def p_value(samples: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """The chance of that many right guesses or more under (epsilon, delta)-privacy, at most 1."""
    right = special.expit(epsilon)
    tail = float(stats.binom.sf(correct - 1, guesses, right))
    if delta == 0 or correct == 0:
        return min(tail, 1.0)
    fewer = np.arange(1, correct + 1)
    below = np.cumsum(stats.binom.pmf(correct - fewer, guesses, right))
    return min(tail + float((below / fewer).max()) * 2 * samples * delta, 1.0)


def _as_many(member: np.ndarray, among: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of equally many members and non-members, in random order: that breaks ties."""
    parts = [rng.permutation(np.flatnonzero(kind & among)) for kind in (member, ~member)]
    count = min(map(len, parts))
    return rng.permutation(np.concatenate([part[:count] for part in parts]))


def _choose(
    scores: Mapping[str, np.ndarray],
    member: np.ndarray,
    rows: np.ndarray,
    delta: float,
    error: float,
) -> tuple[str, Guesses, int]:
    """Attack, kind and number of guesses with the largest bound on these rows, the first of ties.

    A number of guesses that both halves allow: the other is as large, or larger by one pair.
    """
    best, chosen = -1.0, None
    counts = np.unique(2 * np.round(np.geomspace(1, len(rows) / 2, 25)).astype(int))
    for name, values in scores.items():
        for kind in get_args(Guesses):
            for count in counts:
                correct = _right(np.asarray(values, np.float64)[rows], member[rows], kind, count)
                bound = _search(len(rows), int(count), correct, delta, error, max(best, 0.0))
                if bound > best:
                    best, chosen = bound, (name, kind, int(count))
    assert chosen is not None
    return chosen


def _right(values: np.ndarray, member: np.ndarray, kind: Guesses, guesses: int) -> int:
    """How many of that many guesses are right."""
    ordered = member[np.argsort(-values, kind="stable")]
    if kind == "members":
        return int(ordered[:guesses].sum())
    half = guesses // 2
    return int(ordered[:half].sum() + (~ordered[len(ordered) - half :]).sum())


def _search(
    samples: int, guesses: int, correct: int, delta: float, error: float, low: float = 0.0
) -> float:
    """The largest epsilon that is refuted, by bisection; `low` if that is not."""

    def refuted(epsilon: float) -> bool:
        return p_value(samples, guesses, correct, epsilon, delta) <= error

    if not refuted(low):
        return low
    high = low + 1
    while refuted(high):
        low, high = high, high + 1
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low
