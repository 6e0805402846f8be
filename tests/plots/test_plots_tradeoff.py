"""The picture of several defenses: who is on the front, the correlation, where the names go."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nonmember.plots import _tradeoff as tradeoff
from nonmember.plots._tradeoff import front, spearman
from nonmember.reporting.points import Point


def point(name: str, test_acc: float, auc: float, loss_var: float = 1.0) -> Point:
    return Point(name, name, test_acc, auc, auc - 0.01, auc + 0.01, loss_var)


def test_the_front_is_what_no_other_beats_in_both() -> None:
    points = [
        point("none", 0.80, 0.80), point("better", 0.82, 0.70), point("dear", 0.70, 0.60),
        point("twin", 0.82, 0.70), point("worse", 0.69, 0.61),
    ]  # fmt: skip
    assert [p.name for p in front(points)] == ["better", "dear", "twin"]


def test_the_correlation_is_scipys_with_an_interval_round_it() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=20)
    y = x + rng.normal(size=20)
    rho, low, high = spearman(list(x), list(y))
    assert rho == pytest.approx(stats.spearmanr(x, y).statistic)
    assert -1 < low < rho < high < 1
    assert spearman(list(x), list(-y))[0] == pytest.approx(-rho)
    with pytest.raises(ValueError, match="five pairs"):
        spearman([1, 2, 3, 4], [1, 2, 3, 4])


def test_even_a_perfect_order_has_an_interval() -> None:
    """Five points in order say little; −1.00 to −1.00 would say all."""
    rho, low, high = spearman([1, 2, 3, 4, 5], [5, 4, 3, 2, 1])
    assert rho == pytest.approx(-1)
    assert low < -0.99
    assert -0.9 < high < 0


def test_five_rows_on_two_points_are_no_correlation() -> None:
    """A defense that never acts is the undefended model again."""
    twins = [point(f"d{i}", 0.8, 0.7 + 0.1 * (i % 2), 1.0 + i % 2) for i in range(5)]
    apart = [point(f"d{i}", 0.8, 0.7 + 0.01 * i, 1.0 + i) for i in range(5)]
    assert tradeoff._correlation(twins).startswith("Too few")
    assert tradeoff._correlation(apart).startswith("Rank correlation 1.00 (95 %: 0.")


def test_the_interval_covers_the_true_rank_correlation() -> None:
    """Normal pairs of correlation r have Spearman's 6/pi asin(r/2)."""
    rng, r, hits = np.random.default_rng(0), 0.6, 0
    truth = 6 / np.pi * np.arcsin(r / 2)
    for _ in range(400):
        x, z = rng.normal(size=(2, 25))
        _, low, high = spearman(list(x), list(r * x + np.sqrt(1 - r * r) * z))
        hits += low <= truth <= high
    assert hits / 400 > 0.92


def test_the_same_points_give_the_same_bytes_and_crowds_are_drawn() -> None:
    crowd = [point(f"defense_{i}", 0.8 + i * 1e-4, 0.75, 10.0 ** -(i % 4)) for i in range(30)]
    assert tradeoff.tradeoff(crowd, "tiny") == tradeoff.tradeoff(crowd, "tiny")
    assert tradeoff.tradeoff(crowd[:1], "tiny").startswith(b"\x89PNG")


def test_a_variance_that_rounds_to_nothing_is_still_drawn() -> None:
    """A logarithmic axis has no zero: the point goes to its edge instead of vanishing."""
    others = [point("b", 0.7, 0.6, 1.0), point("c", 0.75, 0.65, 0.1)]
    nothing, least = (point("a", 0.8, 0.75, v) for v in (0.0, tradeoff.LEAST_VAR))
    assert tradeoff.tradeoff([nothing, *others], "tiny") == tradeoff.tradeoff(
        [least, *others], "tiny"
    )
