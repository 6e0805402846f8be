"""Metrics: closed forms, slow twins, intervals that cover, answers at the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score
from typed import sure

from nonmember.metrics import rates
from nonmember.metrics.thresholds import fit_class_thresholds, fit_threshold


def gaussian(
    rng: np.random.Generator, members: int, others: int, shift: float, digits: int = 9
) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores, the members' mean `shift` higher; fewer digits make ties."""
    member = np.arange(members + others) < members
    return (rng.normal(size=len(member)) + shift * member).round(digits), member


def pairwise(scores: np.ndarray, member: np.ndarray) -> np.ndarray:
    """(members, non-members): 1 where the member scores higher, 1/2 where equal."""
    gap = scores[member][:, None] - scores[~member][None]
    return (gap > 0) + (gap == 0) / 2


def slow_best_gap(scores: np.ndarray, member: np.ndarray) -> float:
    """The largest TPR − FPR of "score >= t", trying every t."""
    tries = [*np.unique(scores), np.inf]
    return max((scores[member] >= t).mean() - (scores[~member] >= t).mean() for t in tries)


SCORES = st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({m for _, m in pairs}) == 2
)


def arrays(pairs: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs])


def test_auc_of_gaussian_scores_is_the_closed_form() -> None:
    scores, member = gaussian(np.random.default_rng(0), 40_000, 40_000, 1.0)
    assert rates.auc(scores, member).value == pytest.approx(stats.norm.cdf(2**-0.5), abs=0.005)


@pytest.mark.parametrize("digits", [9, 1, 0])
def test_auc_and_interval_equal_the_pairwise_ones(digits: int) -> None:
    scores, member = gaussian(np.random.default_rng(1), 70, 50, 0.7, digits)
    pairs = pairwise(scores, member)
    variance = pairs.mean(1).var(ddof=1) / 70 + pairs.mean(0).var(ddof=1) / 50
    value = pairs.mean()
    variance += value * (1 - value) / 50**2
    spread = 1.959963984540054 * variance**0.5 / (value * (1 - value))
    expected = [stats.logistic.cdf(np.log(value / (1 - value)) + k * spread) for k in (0, -1, 1)]
    assert rates.auc(scores, member) == pytest.approx(expected, rel=1e-12)
    assert value == pytest.approx(roc_auc_score(member, scores), rel=1e-12)


def test_no_leak_is_half_and_a_reversed_leak_less() -> None:
    rng = np.random.default_rng(3)
    value, low, high = map(sure, rates.auc(*gaussian(rng, 2000, 2000, 0.0)))
    assert low < 0.5 < high
    assert value == pytest.approx(0.5, abs=0.03)
    assert sure(rates.auc(*gaussian(rng, 2000, 2000, -1.0)).high) < 0.3


@pytest.mark.parametrize(("members", "others"), [(50, 80), (1, 1), (1, 400)])
def test_perfect_separation_keeps_an_informative_interval(members: int, others: int) -> None:
    member = np.arange(members + others) < members
    value, low, high = map(sure, rates.auc(member.astype(float), member))
    assert (value, high) == (1, 1)
    # The exact bound for k successes out of k.
    k = min(members, others)
    assert low == pytest.approx(stats.binomtest(k, k).proportion_ci(method="exact").low)
    assert rates.auc(-member.astype(float), member) == pytest.approx((0, 0, 1 - low))
    value, low, high = map(sure, rates.auc(np.zeros(len(member)), member))
    assert 0 < low < value == 0.5 < high < 1


@given(SCORES)
def test_auc_is_monotone_invariant_mirrored_and_orderless(pairs: Any) -> None:
    scores, member = arrays(pairs)
    value, low, high = map(sure, rates.auc(scores, member))
    assert 0 <= low <= value <= high <= 1
    assert rates.auc(np.exp(scores) * 3 - 1, member) == pytest.approx((value, low, high))
    assert rates.auc(scores, ~member) == pytest.approx((1 - value, 1 - high, 1 - low))
    order = np.random.default_rng(len(pairs)).permutation(len(pairs))
    assert rates.auc(scores[order], member[order]) == pytest.approx((value, low, high))


@pytest.mark.parametrize("digits", [9, 0])
def test_paired_delong_equals_the_pairwise_one(digits: int) -> None:
    rng = np.random.default_rng(4)
    a, member = gaussian(rng, 60, 45, 1.0, digits)
    b = (a + rng.normal(0, 1, len(a))).round(digits)
    gap = pairwise(a, member) - pairwise(b, member)
    error = (gap.mean(1).var(ddof=1) / 60 + gap.mean(0).var(ddof=1) / 45) ** 0.5
    got = rates.delong_paired(a, b, member)
    assert got.value == pytest.approx(gap.mean())
    for reach in (got.high - got.value, got.value - got.low):  # never narrower, here hardly wider
        assert 1 <= reach / (1.959963984540054 * error) < 1.05
    assert got.p_value == pytest.approx(2 * stats.norm.sf(abs(gap.mean()) / error))


def test_paired_delong_is_mirrored_and_covers() -> None:
    rng, inside = np.random.default_rng(5), []
    truth = stats.norm.cdf(1 / 2**0.5) - stats.norm.cdf(1 / 3**0.5)
    for _ in range(300):
        a, member = gaussian(rng, 80, 80, 1.0)
        b = a + rng.normal(0, 2**-0.5, len(a))  # shift 1 over variance 1.5
        got = rates.delong_paired(a, b, member)
        inside.append(got.low <= truth <= got.high)
        back = rates.delong_paired(b, a, member)
        assert back == pytest.approx((-got.value, -got.high, -got.low, got.p_value))
    assert np.mean(inside) >= 0.92  # 95 % less more than two standard errors of 300 sets


def test_not_one_bit_depends_on_the_order() -> None:
    scores, member = gaussian(np.random.default_rng(11), 2300, 1700, 0.4, digits=2)
    other = scores + np.random.default_rng(12).normal(size=4000)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(4000)
        mixed = scores[order], other[order], member[order]
        assert rates.auc(mixed[0], mixed[2]) == rates.auc(scores, member)
        assert rates.delong_paired(*mixed) == rates.delong_paired(scores, other, member)


def test_paired_delong_without_variance() -> None:
    member = np.arange(40) < 20
    perfect, blind = member.astype(float), np.zeros(40)
    assert rates.delong_paired(perfect, perfect, member)[::3] == (0, 1)
    got = rates.delong_paired(perfect, blind, member)
    assert got.value == 0.5
    assert 0 < got.low < 0.5 < got.high < 1
    assert got.p_value < 0.01


@given(SCORES, st.sampled_from([0.05, 0.1, 0.25, 0.5, 0.9]))
def test_tpr_at_fpr_is_the_largest_that_thresholds_can_reach(pairs: Any, fpr: Any) -> None:
    scores, member = arrays(pairs)
    best = max(
        (scores[member] >= t).mean()
        for t in [*np.unique(scores), np.inf]
        if (scores[~member] >= t).mean() <= fpr + 1e-12
    )
    assert rates.tpr_at_fpr(scores, member, fpr, min_false_positives=0).value == best


def test_tpr_at_fpr_has_a_closed_form_and_an_interval_of_ranks() -> None:
    rng = np.random.default_rng(6)
    scores, member = gaussian(rng, 50_000, 100_000, 1.5)
    value, low, high = map(sure, rates.tpr_at_fpr(scores, member, 0.01))
    assert value == pytest.approx(stats.norm.sf(stats.norm.isf(0.01) - 1.5), abs=0.01)
    assert 0 < value - low < 0.02
    assert 0 < high - value < 0.02


def test_the_limits_of_a_tpr_by_hand() -> None:
    """1,000 non-members 0 … 999: 4 to 18 are accused by the right threshold."""
    assert stats.binom.ppf([0.0125, 0.9875], 1000, 0.01).tolist() == [4, 18]
    low, high = rates.limits_at(np.arange(1000) + 0.5, np.arange(1000), 0.01)
    least, most = 4, 19  # members above 996, the 4th highest non-member, and 981, the 19th
    assert low == pytest.approx(stats.beta.ppf(0.0125, least, 1000 - least + 1))
    assert high == pytest.approx(stats.beta.ppf(0.9875, most + 1, 1000 - most))


@pytest.mark.parametrize(("fpr", "needed"), [(0.001, 10_000), (0.0001, 10**5)])
def test_a_low_rate_needs_ten_false_positives(fpr: float, needed: int) -> None:
    for others in (1000, needed - 1, needed):
        scores, member = gaussian(np.random.default_rng(7), 100, others, 1.0)
        result = rates.tpr_at_fpr(scores, member, fpr)
        assert (result == (None, None, None)) == (others < needed)


@given(SCORES)
def test_threshold_is_the_best_one_and_used_with_its_comparator(pairs: Any) -> None:
    scores, member = arrays(pairs)
    threshold = fit_threshold(scores, member)
    result = rates.deployed(scores, member, threshold)
    assert result.advantage.value == pytest.approx(slow_best_gap(scores, member))
    assert threshold not in scores  # half way between: >= and > agree
    order = np.random.default_rng(len(pairs)).permutation(len(pairs))
    assert fit_threshold(scores[order], member[order]) == threshold


def test_a_score_at_the_threshold_is_accused_as_when_it_was_fitted() -> None:
    scores, member = np.array([0, np.nextafter(0, 1)]), np.array([False, True])
    threshold = fit_threshold(scores, member)
    assert threshold == scores[1]
    assert rates.deployed(scores, member, threshold)[2:] == (1, 0)


def test_deployed_interval_is_newcombes() -> None:
    """Newcombe 1998, table II, example (a): 56/70 and 48/80 give .0524 to .3339."""
    member = np.arange(150) < 70
    scores = np.r_[np.arange(70) < 56, np.arange(80) < 48].astype(float)
    result = rates.deployed(scores, member, 0.5)
    assert result.advantage == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert result.balanced_accuracy == pytest.approx((0.6, 0.5262, 0.66695), abs=5e-5)
    assert (result.tpr, result.fpr) == pytest.approx((0.8, 0.6))
    assert rates.deployed(scores, ~member, 0.5).advantage == pytest.approx(
        (-0.2, -0.3339, -0.0524), abs=5e-5
    )


@pytest.mark.parametrize(
    ("accuracy", "advantage", "expected"),
    [(0.8, 0.2, 0.8), (0.5, 0.0, 2 / 3), (0.0, 0.3, 0.0), (0.0, 1.0, 0.0), (1.0, -0.5, 1.2)],
)
def test_p1(accuracy: float, advantage: float, expected: float) -> None:
    assert rates.p1(accuracy, advantage) == pytest.approx(expected)


def test_p1_refuses_percent() -> None:
    with pytest.raises(ValueError, match=r"accuracy in \[0, 1\].*got 80, 20"):
        rates.p1(80, 20)


@pytest.mark.parametrize(
    ("scores", "member", "message"),
    [
        (np.zeros(3), np.zeros(4), r"scores\w* \(3,\) and member \(4,\)"),
        (np.zeros(3), np.ones(3), "need members and non-members, got 3 and 0"),
        (np.zeros(3), np.array([1, 0, -1]), "must be bool or 0/1"),
    ],
)
def test_bad_inputs(scores: Any, member: Any, message: str) -> None:
    for call in (
        rates.auc,
        fit_threshold,
        lambda s, m: rates.tpr_at_fpr(s, m, 0.1),
        lambda s, m: rates.deployed(s, m, 0.0),
        lambda s, m: rates.delong_paired(s, s, m),
        lambda s, m: fit_class_thresholds(s, m, np.zeros(len(s), int), 2),
    ):
        with pytest.raises(ValueError, match=message):
            call(scores, member)


def test_bad_settings() -> None:
    scores, member = gaussian(np.random.default_rng(0), 5, 5, 1.0)
    with pytest.raises(ValueError, match=r"fpr must be in \(0, 1\), got 1"):
        rates.tpr_at_fpr(scores, member, 1)
    with pytest.raises(ValueError, match=r"labels must be \(10,\) in 0 … 1"):
        fit_class_thresholds(scores, member, np.full(10, 2), 2)
    with pytest.raises(ValueError, match="threshold must be a number, got NaN"):
        rates.deployed(scores, member, np.nan)
