"""LiRA with what shadows teach about members, without shadows that saw the target's samples.

Ours, after Carlini et al. 2022, https://arxiv.org/abs/2112.03570. Their offline attack takes for
granted that training on a sample raises its log-odds by as much wherever they were without it. The
log-odds of an overfit model's members hardly depend on that. Here the mean log-odds of the models
trained without a sample predict those of a model trained with it, and those of one trained without
it, each along a straight line with normal residuals. Lines and the residuals' spread are learned
from the shadows' own members and non-members, each shadow compared with the others.
Score: log density with the sample − log density without it.
Needs two shadows or more. Its lines hold for the kind of model they were learned on: an attacker
without the target's defense may do worse with it than with plain `lira`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nonmember.attacks._base import Attack
from nonmember.attacks._reference import log_odds, mean_where, read_reference
from nonmember.views import View


@dataclass(frozen=True)
class _Line:
    """Normal log-odds around slope · mean + intercept."""

    slope: float
    intercept: float
    variance: float

    def log_density(self, odds: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """(n,), but for the constant that all lines share."""
        error = odds - self.slope * mean - self.intercept
        return np.asarray(-(error**2) / self.variance / 2 - np.log(self.variance) / 2)


class LearnedLikelihoodRatio(Attack):
    min_shadows = 2

    def _learn(self, views: Sequence[View]) -> None:
        """Both lines, from all shadows together."""
        parts = [(*_pair(view), np.asarray(view.member, bool)) for view in views]
        odds, mean, member = (np.concatenate(part) for part in zip(*parts, strict=True))
        self._lines = [_fitted(odds[kind], mean[kind]) for kind in (member, ~member)]

    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64. ValueError without reference models."""
        odds, mean = _pair(view)
        inside, outside = (line.log_density(odds, mean) for line in self._lines)
        return inside - outside


def _pair(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of the model, and the mean of those of the models trained without, each (n,)."""
    values, inside = read_reference(view, log_odds, "lira_learned")
    return view.log_odds, mean_where(values, ~inside, "was trained without")


def _fitted(odds: np.ndarray, mean: np.ndarray) -> _Line:
    """Least squares."""
    apart = mean - mean.mean()
    slope = float(apart @ odds / max(apart @ apart, np.finfo(np.float64).tiny))
    intercept = float(odds.mean() - slope * mean.mean())
    variance = float(np.mean((odds - slope * mean - intercept) ** 2))
    return _Line(slope, intercept, max(variance, 1e-12))
