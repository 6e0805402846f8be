"""Difficulty calibration: how much lower is the loss than that of models without the sample?

Paper: Watson et al. 2022, Eq. 4, https://arxiv.org/abs/2111.08440
Score: mean loss of the reference models not trained on the sample − loss of the target, in nats.
A sample that every reference model was trained on borrows the mean loss of the others.
Needs reference models (View.reference), two shadows or more; does not learn in `fit`.
"""

from __future__ import annotations

import numpy as np

from nonmember import statistics
from nonmember.attacks._base import Attack
from nonmember.attacks._reference import mean_where, read_reference
from nonmember.views import View


class Calibration(Attack):
    min_shadows = 2

    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64, nats. ValueError without reference models."""
        losses, inside = read_reference(view, _loss, "calibration")
        return mean_where(losses, ~inside, "was trained without") - _loss(view)


def _loss(view: View) -> np.ndarray:
    return view.of(statistics.cross_entropy)
