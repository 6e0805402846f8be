"""Intervals of rates: textbook values, exact tails, mirrors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nonmember.metrics.intervals import clopper_pearson, exact_high, exact_low, newcombe, wilson


@pytest.mark.parametrize(("hits", "trials"), [(1, 10), (7, 10), (10, 10), (3, 1000)])
@pytest.mark.parametrize("error", [0.025, 0.001])
def test_the_exact_limit_leaves_the_tail_it_promises(hits: int, trials: int, error: float) -> None:
    """The binomial tail itself: so many hits or more have exactly that probability there."""
    low = float(exact_low(hits, trials, error))
    assert stats.binom.sf(hits - 1, trials, low) == pytest.approx(error, rel=1e-6)
    high = float(exact_high(trials - hits, trials, error))
    assert stats.binom.cdf(trials - hits, trials, high) == pytest.approx(error, rel=1e-6)


def test_the_exact_limits_at_the_ends() -> None:
    assert exact_low([0, 5], 5, 0.05).tolist() == [0, pytest.approx(0.05**0.2)]
    assert exact_high([0, 5], 5, 0.05).tolist() == [pytest.approx(1 - 0.05**0.2), 1]


def test_clopper_pearson_is_scipys() -> None:
    for hits, trials in ((0, 8), (3, 8), (8, 8), (90, 1000)):
        theirs = stats.binomtest(hits, trials).proportion_ci(method="exact")
        ours = clopper_pearson(hits, trials)
        assert ours.value == hits / trials
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_is_scipys() -> None:
    for hits, trials in ((0, 8), (3, 8), (8, 8), (90, 1000)):
        theirs = stats.binomtest(hits, trials).proportion_ci(method="wilson")
        value, low, high = wilson(hits, trials)
        assert value == hits / trials
        assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_newcombe_is_his_own_example() -> None:
    """Newcombe 1998, table II, example (a): 56/70 − 48/80, method 10."""
    assert newcombe(wilson(56, 70), wilson(48, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_newcombe_is_mirrored_and_stays_in_range() -> None:
    a, b = (0.9, 0.7, 0.95), (0.2, 0.1, 0.4)
    low, high = newcombe(a, b)
    assert newcombe(b, a) == pytest.approx((-high, -low))
    assert newcombe((1.0, 0.0, 1.0), (0.0, 0.0, 1.0)) == pytest.approx((1 - 2**0.5, 1.0))


def test_what_moves_together_differs_less() -> None:
    a, b = (0.6, 0.5, 0.7), (0.4, 0.3, 0.5)
    widths = [np.ptp(newcombe(a, b, common)) for common in (-1.0, 0.0, 0.5, 1.0)]
    assert widths == pytest.approx([0.4, 0.4 / 2**0.5, 0.2, 0.0], abs=1e-7)
