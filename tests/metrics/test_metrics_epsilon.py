"""The epsilon bound: by hand, the choice, no leak, reversed leak, bad inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from nonmember.metrics.epsilon import epsilon_lower_bound

MEMBER = np.arange(4000) < 2000
PERFECT = MEMBER.astype(float)


def noisy(shift: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=len(MEMBER)) + shift * MEMBER


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize("delta", [0.0, 1e-3])
def test_perfect_scores_by_hand(confidence: float, delta: float) -> None:
    """The other half holds 1000 members, all found, and 1000 non-members, none accused."""
    got = epsilon_lower_bound({"a": PERFECT}, MEMBER, delta, 0, confidence)
    interval = stats.binomtest(1000, 1000).proportion_ci(confidence, "exact")
    assert got.epsilon == pytest.approx(np.log((interval.low - delta) / (1 - interval.low)))
    assert got[1:] == ("a", "accuse", 0.5, confidence, delta)


def test_the_bound_is_recomputed_from_the_other_half() -> None:
    """Any half that does: few members are certain, and accusing them is the best that one can."""
    scores = np.where(MEMBER & (np.arange(4000) % 10 == 0), 1.0, 0.0)
    got = epsilon_lower_bound({"a": scores}, MEMBER, 0.0, 3)
    assert (got.direction, got.threshold) == ("accuse", 0.5)
    low = [stats.binomtest(k, 1000).proportion_ci(0.95, "exact").low for k in range(1001)]
    possible = np.log(np.array(low[60:141]) / (1 - low[1000]))
    assert np.abs(possible - got.epsilon).min() < 1e-9


def test_clearing_non_members_is_found() -> None:
    """Every tenth non-member is certain: nothing above a threshold says as much as they do."""
    scores = np.where(~MEMBER & (np.arange(4000) % 10 == 0), -1.0, 0.0)
    got = epsilon_lower_bound({"a": scores}, MEMBER, 0.0, 0)
    assert (got.direction, got.threshold) == ("clear", -0.5)
    assert got.epsilon > 2


def test_the_most_telling_attack_is_chosen() -> None:
    scores = {"weak": noisy(0.2), "strong": noisy(2.0, 1), "none": noisy(0.0, 2)}
    got = epsilon_lower_bound(scores, MEMBER, 1e-5, 0)
    assert got.attack == "strong"
    assert got.epsilon > 1


@pytest.mark.parametrize("scores", [noisy(0.0), np.zeros(4000)])
def test_no_leak_bounds_nothing(scores: np.ndarray) -> None:
    assert epsilon_lower_bound({"a": scores}, MEMBER, 0.0, 0).epsilon < 0.1


def test_a_reversed_leak_counts_only_as_the_attack_reads_it() -> None:
    """Scores are higher for members: an attack that has it backwards gives no bound."""
    assert epsilon_lower_bound({"a": -PERFECT}, MEMBER, 0.0, 0).epsilon == 0


def test_it_repeats_and_the_seed_chooses_the_halves() -> None:
    scores = {"a": noisy(1.0)}
    one = epsilon_lower_bound(scores, MEMBER, 0.0, 1)
    assert epsilon_lower_bound(scores, MEMBER, 0.0, 1) == one
    assert epsilon_lower_bound(scores, MEMBER, 0.0, 2) != one


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": {}}, "one attack or more, got none"),
        ({"delta": 1.0}, r"delta must be in \[0, 1\) .* got 1.0 and 0.95"),
        ({"confidence": 0.0}, r"confidence in \(0, 1\), got 0.0 and 0.0"),
        ({"scores": {"lira": noisy(np.nan)}}, "scores of lira must be finite"),
        ({"scores": {"a": np.zeros(3)}, "member": np.array([1, 0, 0])}, "two of each, got 1 and 2"),
    ],
)
def test_bad_inputs(change: dict[str, Any], message: str) -> None:
    good = {"scores": {"a": PERFECT}, "member": MEMBER, "delta": 0.0, "seed": 0, "confidence": 0.95}
    with pytest.raises(ValueError, match=message):
        epsilon_lower_bound(**{**good, **change})
