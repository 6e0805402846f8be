"""Modified entropy attack: a member's prediction is more certain, and right.

Paper: Song and Mittal 2021, Eq. 8, https://arxiv.org/abs/2003.10595
Raw statistic of the target, no shadows. Score: −log of the modified entropy (in nats), which orders
the samples like −modified entropy but does not round to a tie near 0.
"""

from __future__ import annotations

import numpy as np

from nonmember import statistics
from nonmember.attacks._base import Attack
from nonmember.views import View


class ModifiedEntropy(Attack):
    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64, minus the log of nats."""
        return -view.of(statistics.log_modified_entropy)
