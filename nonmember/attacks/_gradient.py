"""The attacks that read one gradient norm; each file says which."""

from __future__ import annotations

import numpy as np

from nonmember.attacks._base import Attack
from nonmember.evidence import View


class _GradientNorm(Attack):
    """Score = minus the norm: what a model has learned moves it little."""

    def score(self, view: View) -> np.ndarray:
        """(samples,) float64, at most 0. ValueError if the signal is missing or not finite."""
        (name,) = self.needs
        if name not in view.norms:
            has = ", ".join(view.norms) or "none"
            raise ValueError(f"signal '{name}' was not extracted (norms there: {has})")
        norm = np.asarray(view.norms[name], dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(norm))
        if len(bad):
            raise ValueError(
                f"signal '{name}' must be finite: {len(bad)} of {len(norm)} values are not, the "
                f"first is sample {view.ids[bad[0]]}"
            )
        return -norm
