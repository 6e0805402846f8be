"""Paired differences: slow twin, textbook values, no difference, mirrored, bad inputs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from typed import sure

from nonmember.metrics import rates
from nonmember.metrics.paired import across_seeds, paired_difference


def pair(shift_a: float, shift_b: float, n: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two attacks' scores with common noise, each of its own separation."""
    rng, member = np.random.default_rng(0), np.arange(n) < n // 2
    common = rng.normal(size=n)
    a, b = (common + rng.normal(0, 0.5, n) + shift * member for shift in (shift_a, shift_b))
    return a, b, member


def test_the_difference_is_that_of_the_two_rates() -> None:
    a, b, member = pair(0.3, 1.5)
    got = sure(paired_difference(a, b, member, 0.1))
    both = [sure(rates.tpr_at_fpr(scores, member, 0.1).value) for scores in (a, b)]
    assert got.value == both[0] - both[1]
    assert got.low < got.value < got.high < 0
    assert got.p_value < 0.01
    assert got.p_lower == got.p_value / 2
    back = sure(paired_difference(b, a, member, 0.1))
    assert back == pytest.approx((-got.value, -got.high, -got.low, got.p_value))
    assert back.p_lower == 1 - got.p_lower


def test_the_error_is_that_of_resampling_one_by_one() -> None:
    """Ties in both; the twin draws other resamples, so the errors agree to their own noise."""
    a, b, member = pair(0.8, 1.2, 200)
    a, b = a.round(1), b.round(1)
    rng, found = np.random.default_rng(1), []
    inside, outside = np.flatnonzero(member), np.flatnonzero(~member)
    for _ in range(1500):
        rows = np.r_[rng.choice(inside, len(inside)), rng.choice(outside, len(outside))]
        both = [sure(rates.tpr_at_fpr(s[rows], member[rows], 0.1).value) for s in (a, b)]
        found.append(both[0] - both[1])
    got = sure(paired_difference(a, b, member, 0.1, resamples=4000))
    assert (got.high - got.low) / 2 == pytest.approx(1.96 * np.std(found), rel=0.08)


def test_one_order_is_no_difference_and_all_members_found_is_one() -> None:
    a, _, member = pair(1.0, 0.0)
    least = 1.959964 / 300  # one of 300 members may always fall otherwise
    assert paired_difference(a, np.exp(a), member, 0.1) == pytest.approx((0, -least, least, 1))
    perfect = member.astype(float)
    got = paired_difference(perfect, -perfect, member, 0.1)
    assert got == pytest.approx((1, 1 - least, 1, 1 / 1001), abs=1e-6)


def test_too_few_non_members_support_no_difference() -> None:
    assert paired_difference(*pair(1.0, 0.0), 0.01) is None


def test_across_seeds_is_the_paired_t_test() -> None:
    a, b = [0.71, 0.66, 0.69, 0.75], [0.78, 0.74, 0.70, 0.79]
    twin = stats.ttest_rel(a, b)
    interval = twin.confidence_interval(0.95)
    got = across_seeds(a, b)
    assert got == pytest.approx((np.mean(a) - np.mean(b), *interval, twin.pvalue))
    assert got.p_lower == pytest.approx(stats.ttest_rel(a, b, alternative="less").pvalue)
    assert across_seeds(b, a).p_lower == pytest.approx(1 - got.p_lower)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_seeds_that_all_agree(seeds: int) -> None:
    """Rates are rounded, so few gaps may agree by chance: no more than a sign test says."""
    assert across_seeds([0.5] * seeds, [0.5] * seeds) == (0, 0, 0, 1)
    a, b = [0.1 + 0.01 * k for k in range(seeds)], [0.4 + 0.01 * k for k in range(seeds)]
    assert across_seeds(a, b) == pytest.approx((-0.3, -1, 1, 2 * 0.5**seeds))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([0.5], [0.6], r"one number a seed, two or more, got \(1,\) and \(1,\)"),
        ([0.5, 0.6], [0.6], r"got \(2,\) and \(1,\)"),
        ([0.5, np.nan], [0.6, 0.7], "a and b must be finite"),
    ],
)
def test_bad_seeds(a: list[float], b: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        across_seeds(a, b)


def test_scores_that_are_not_finite_are_named() -> None:
    a, b, member = pair(1.0, 0.0)
    with pytest.raises(ValueError, match="scores must be finite: 1 of 600"):
        paired_difference(a, np.where(np.arange(600) == 3, np.nan, b), member, 0.1)
