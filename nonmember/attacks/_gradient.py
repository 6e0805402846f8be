"""The attacks that read one gradient norm; each file says which."""

from __future__ import annotations

import numpy as np

from nonmember.attacks._base import Attack
from nonmember.attacks._signal import read_signal
from nonmember.views import View


class _GradientNorm(Attack):
    """Score = minus the norm: what a model has learned moves it little."""

    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64, at most 0. ValueError if the signal is missing or not finite."""
        (name,) = self.needs
        return -read_signal(view, name)
