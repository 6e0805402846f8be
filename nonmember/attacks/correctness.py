"""Correctness attack, the `gap` baseline: a member is more often predicted right.

Paper: Yeom et al. 2018, section 3.2, https://arxiv.org/abs/1709.01604
Raw statistic of the target, no shadows; needs only the predicted label. Its advantage is the gap
between training and test accuracy: an attack that does not beat it has found nothing more.
Score: 1 if the prediction is right, else 0; of equal top classes the first is the prediction.
"""

from __future__ import annotations

import numpy as np

from nonmember import statistics
from nonmember.attacks._base import Attack
from nonmember.views import View


class Correctness(Attack):
    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64, 0 or 1."""
        return statistics.correct(view.logits, view.labels).astype(np.float64)
