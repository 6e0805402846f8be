"""The bound from one run: the paper's code written out, ties, coverage, bad inputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nonmember.metrics.one_run import one_run_bound, p_value

MEMBER = np.arange(2000) < 1000


def by_the_paper(m: int, r: int, v: int, eps: float, delta: float) -> float:
    """Appendix D: one more right guess at a time."""
    q = 1 / (1 + math.exp(-eps))
    alpha = total = 0.0
    for i in range(1, v + 1):
        total += stats.binom.pmf(v - i, r, q)
        alpha = max(alpha, total / i)
    at_least = sum(stats.binom.pmf(k, r, q) for k in range(v, r + 1))
    return min(at_least + alpha * delta * 2 * m, 1)


@pytest.mark.parametrize(("m", "r", "v"), [(100, 20, 20), (100, 20, 14), (50, 50, 31), (9, 4, 0)])
@pytest.mark.parametrize("eps", [0.0, 0.7, 3.0])
@pytest.mark.parametrize("delta", [0.0, 1e-5, 1e-2])
def test_p_value_is_the_papers(m: int, r: int, v: int, eps: float, delta: float) -> None:
    assert p_value(m, r, v, eps, delta) == pytest.approx(by_the_paper(m, r, v, eps, delta))


def test_the_bound_is_the_largest_epsilon_that_is_refuted() -> None:
    scores = {"a": np.random.default_rng(0).normal(size=2000) + 1.5 * MEMBER}
    got = one_run_bound(scores, MEMBER, 1e-5, 0)
    assert got.coins == 1000
    assert got.epsilon > 0.5
    tried = (got.epsilon + change for change in (-1e-4, 1e-4))
    below, above = (by_the_paper(1000, got.guesses, got.correct, e, 1e-5) for e in tried)
    assert below < 0.05 < above


def test_perfect_scores_by_hand() -> None:
    """All 1000 guesses about the other half are right: q^1000 = .05."""
    got = one_run_bound({"none": np.zeros(2000), "a": MEMBER.astype(float)}, MEMBER, 0.0, 0)
    right = 0.05 ** (1 / got.guesses)
    assert (got.attack, got.correct, got.guesses) == ("a", 1000, 1000)
    assert got.epsilon == pytest.approx(math.log(right / (1 - right)), abs=1e-6)


def test_equal_scores_do_not_tell_though_members_come_first() -> None:
    found = [one_run_bound({"a": np.zeros(2000)}, MEMBER, 0.0, seed).epsilon for seed in range(40)]
    assert np.mean(np.array(found) > 0) <= 0.1


def test_a_surplus_is_left_out() -> None:
    few = np.arange(2000) < 200
    assert one_run_bound({"a": few.astype(float)}, few, 0.0, 0).coins == 200


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("samples", [40, 200, 2000])
def test_it_covers_randomised_response(epsilon: float, samples: int) -> None:
    """Membership told rightly with odds exp(epsilon), the guarantee's worst case, beside noise."""
    rng, member, found = np.random.default_rng(2), np.arange(samples) < samples // 2, []
    for seed in range(300):
        right = rng.random(samples) < 1 / (1 + np.exp(-epsilon))
        scores = {"told": (right == member).astype(float), "noise": rng.normal(size=samples)}
        found.append(one_run_bound(scores, member, 0.0, seed).epsilon)
    print(f"{epsilon} {samples}: {np.mean(np.array(found) <= epsilon):.3f}, {np.median(found):.2f}")
    assert np.mean(np.array(found) <= epsilon) >= 0.95 - 2 * (0.05 * 0.95 / 300) ** 0.5
    if samples == 2000 and epsilon > 0:
        assert np.median(found) > epsilon / 2  # and is no empty promise


def test_bad_inputs() -> None:
    with pytest.raises(ValueError, match="one attack or more, got none"):
        one_run_bound({}, MEMBER, 0.0, 0)
    with pytest.raises(ValueError, match=r"defense.dp_delta.* got 0.001"):
        one_run_bound({"a": np.zeros(2000)}, MEMBER, 0.001, 0)
