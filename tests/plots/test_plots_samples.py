"""The distance to the boundary, and samples beyond the end of an axis."""

from __future__ import annotations

import numpy as np

from nonmember.plots import _samples
from nonmember.views import View


def test_distance_is_one_minus_the_margin_and_does_not_saturate() -> None:
    rng = np.random.default_rng(0)
    view = View(np.arange(50), np.zeros(50, int), rng.normal(size=(50, 5)).astype(np.float32))
    second, first = np.sort(np.exp(view.log_probs), axis=1)[:, -2:].T
    np.testing.assert_allclose(_samples.distance_left(view), 1 - (first - second), rtol=1e-9)
    sure = View(np.arange(1), np.zeros(1, int), np.array([[100.0, 0.0]], np.float32))
    second, first = np.sort(np.exp(sure.log_probs), axis=1)[:, -2:].T
    assert first - second == [1.0]  # where the plain way ends
    np.testing.assert_allclose(_samples.distance_left(sure), 2 * np.exp(-100.0))


def test_clipped_samples_are_said() -> None:
    assert _samples.clipped([np.array([0.0, 1.0]), np.array([1e-300])]).startswith(" (2 samples")
    assert _samples.clipped([np.array([1.0])]) == ""
