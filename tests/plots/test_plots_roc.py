"""The ROC curve and its band, against scikit-learn and against the rates of the tables."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from nonmember.metrics import rates
from nonmember.plots import roc


def scores(decimals: int) -> tuple[np.ndarray, np.ndarray]:
    """2000 scores, ties where rounded to one digit, and who is a member: 40 %."""
    rng = np.random.default_rng(0)
    member = rng.random(2000) < 0.4
    return (rng.normal(size=2000) + member).round(decimals), member


def test_the_band_is_the_interval_of_each_rate() -> None:
    found, member = scores(2)
    x, low, high = roc.band(found, member, min_false_positives=12, points=60)
    assert x[0] * (~member).sum() >= 12
    assert len(x) < len(roc.curve(found, member, points=60)[0])
    for allowed, *interval in list(zip(x, low, high, strict=True))[:-1]:
        rate = rates.tpr_at_fpr(found, member, allowed, 1)
        assert rate is not None
        assert rate[1:] == pytest.approx(interval)
    assert (x[-1], high[-1]) == (1, 1)
    assert not len(roc.band(found, member, min_false_positives=2000)[0])


@pytest.mark.parametrize("decimals", [8, 1])
def test_roc_points_lie_on_the_curve(decimals: int) -> None:
    """Equal to scikit-learn's curve and to rates.tpr_at_fpr, with equal scores too."""
    found, member = scores(decimals)
    x, y = roc.curve(found, member, points=50)
    assert len(x) <= 50
    fpr, tpr, _ = roc_curve(member, found, drop_intermediate=False)
    twin = [tpr[fpr <= allowed + 1e-12].max() for allowed in x]
    np.testing.assert_allclose(y, twin, atol=1e-12)
    for allowed, share in zip(x[:-1], y[:-1], strict=True):
        rate = rates.tpr_at_fpr(found, member, allowed, 1)
        assert rate is not None
        assert rate.value == pytest.approx(share)


def test_roc_of_perfect_reversed_and_constant_scores() -> None:
    member = np.arange(20) < 10
    perfect = np.where(member, 1.0, 0.0)
    for found, expected in ((perfect, 1.0), (-perfect, 0.0), (np.zeros(20), 0.0)):
        x, y = roc.curve(found, member)
        assert (y[:-1] == expected).all()
        assert (x[-1], y[-1]) == (1, 1)
