"""How an attack reads a signal other than the logits."""

from __future__ import annotations

import numpy as np

from nonmember.views import View


def read_signal(view: View, name: str) -> np.ndarray:
    """(n,) or (n, width) float64. ValueError if the signal is missing or not finite."""
    if name not in view.signals:
        has = ", ".join(view.signals) or "none"
        raise ValueError(f"signal '{name}' was not extracted (signals there: {has})")
    values = np.asarray(view.signals[name], dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if len(bad):
        raise ValueError(
            f"signal '{name}' must be finite: {len(bad)} of {len(values)} values are not, the "
            f"first is sample {view.ids[bad[0]]}"
        )
    return values
