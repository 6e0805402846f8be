"""The epsilon bound: by hand, in a loop, the choice, no leak, reversed leak, bad inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from nonmember.metrics.epsilon import SPLITS, epsilon_lower_bound

MEMBER = np.arange(4000) < 2000
PERFECT = MEMBER.astype(float)


def noisy(shift: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=len(MEMBER)) + shift * MEMBER


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize("delta", [0.0, 1e-4])
def test_perfect_scores_by_hand(confidence: float, delta: float) -> None:
    """All 2000 members lie above the highest non-member, k = 1 of 11; two directions."""
    got = epsilon_lower_bound({"a": PERFECT}, MEMBER, delta, 0, confidence)
    low = ((1 - confidence) / 2 / 11 / 2) ** (1 / 2000)
    assert got.epsilon == pytest.approx(np.log((low - delta) / (1 - low)))
    assert (got.attack, got.direction) == ("a", "accuse")
    assert 0 < got.threshold < 1
    assert got[4:] == (confidence, delta)


@pytest.mark.parametrize("name", ["accuse", "clear"])
def test_every_threshold_in_a_loop(name: str) -> None:
    """The k-th highest non-member's score, or the k-th lowest member's, one by one."""
    scores, found = noisy(1.0), []
    for direction in ("accuse", "clear"):
        high, low = scores[MEMBER], scores[~MEMBER]
        if direction == "clear":
            high, low = -low, -high
        for k in [2**power for power in range(11)]:
            hits = int((high > sorted(low)[-k]).sum())
            error = 0.05 / 2 / 11 / 2
            rate = stats.beta.ppf(error, hits, 2000 - hits + 1) if hits else 0.0
            false = stats.beta.ppf(1 - error, k, 2000 - k + 1)
            found.append((np.log(rate / false) if rate else -np.inf, direction))
    other = scores if name == "accuse" else -scores
    member = MEMBER if name == "accuse" else ~MEMBER
    got = epsilon_lower_bound({"a": other}, member, 0.0, 0)
    bound, direction = max(found)
    assert got.epsilon == pytest.approx(bound)
    assert (got.direction == direction) == (name == "accuse")


def test_the_splits_ask_the_other_half_once() -> None:
    """The other half holds 1000 members, all found, and 1000 non-members, none accused."""
    got = epsilon_lower_bound({"a": PERFECT}, MEMBER, 0.0, 0, method="splits")
    low = (0.05 / SPLITS / 2) ** (1 / 1000)
    assert got.epsilon == pytest.approx(np.log(low / (1 - low)))
    backwards = epsilon_lower_bound({"a": -PERFECT}, ~MEMBER, 0.0, 0, method="splits")
    assert backwards.epsilon == pytest.approx(got.epsilon)


def test_thresholds_are_tighter_than_splits_as_a_rule() -> None:
    """Why they are the default."""
    pairs = []
    for seed in range(40):
        scores = {"a": noisy(0.3 + seed % 4 / 2, seed), "b": noisy(0.2, 100 + seed)}
        pairs.append(
            [
                epsilon_lower_bound(scores, MEMBER, 0.0, seed, method=method).epsilon
                for method in ("thresholds", "splits")
            ]
        )
    thresholds, splits = np.mean(pairs, axis=0)
    assert thresholds > splits


def test_clearing_non_members_is_found() -> None:
    """Every tenth non-member is certain: nothing above a threshold says as much as they do."""
    scores = np.where(~MEMBER & (np.arange(4000) % 10 == 0), -1.0, 0.0)
    got = epsilon_lower_bound({"a": scores}, MEMBER, 0.0, 0)
    assert (got.direction, got.threshold) == ("clear", 0.0)
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


def test_it_repeats_and_only_splits_have_chance_in_them() -> None:
    scores = {"a": noisy(1.0)}
    for method in ("thresholds", "splits"):
        one, again, other = (
            epsilon_lower_bound(scores, MEMBER, 0.0, seed, method=method) for seed in (1, 1, 2)
        )
        assert one == again
        assert (one == other) == (method == "thresholds")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": {}}, "one attack or more, got none"),
        ({"delta": 5e-4}, r"delta \(defense.dp_delta\) must be in .* 0.0005\), got 0.0005"),
        ({"delta": -0.1}, "got -0.1"),
        ({"confidence": 0.0}, r"confidence must be in \(0, 1\), got 0.0"),
        ({"scores": {"lira": noisy(np.nan)}}, "scores of lira must be finite"),
        (
            {"scores": {"a": np.zeros(3)}, "member": np.array([1, 0, 0]), "method": "splits"},
            "two of each, got 1 and 2",
        ),
    ],
)
def test_bad_inputs(change: dict[str, Any], message: str) -> None:
    good = {"scores": {"a": PERFECT}, "member": MEMBER, "delta": 0.0, "seed": 0, "confidence": 0.95}
    with pytest.raises(ValueError, match=message):
        epsilon_lower_bound(**{**good, **change})
