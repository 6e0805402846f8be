"""Confidence attack: a member's true class gets a higher probability.

Paper: Salem et al. 2019, https://arxiv.org/abs/1806.01246; with the true class, Song and Mittal
2021, https://arxiv.org/abs/2003.10595
Raw statistic of the target, no shadows. Score: the log-odds log(p_y / (1 − p_y)), which order the
samples like p_y but do not round to a tie near 1.
"""

from __future__ import annotations

import numpy as np

from nonmember.attacks._base import Attack
from nonmember.views import View


class Confidence(Attack):
    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64, nats."""
        return view.log_odds
