"""Loss attack: a member's cross-entropy loss is lower.

Paper: Yeom et al. 2018, section 3.3, https://arxiv.org/abs/1709.01604
Raw statistic of the target, no shadows. Score: −log(exp(loss) − 1), a strictly decreasing function
of the loss that tells apart the smallest losses. It equals the log-odds of the true class: the
attacks loss and confidence are one attack under two names, and agree in every number.
"""

from __future__ import annotations

import numpy as np

from nonmember.attacks._base import Attack
from nonmember.views import View


class Loss(Attack):
    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64, nats."""
        return view.log_odds
