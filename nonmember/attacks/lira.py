"""Likelihood ratio attack: is the target's confidence that of models which saw the sample?

Paper: Carlini et al. 2022, Algorithm 1, https://arxiv.org/abs/2112.03570
The log-odds of the true class are taken as normal, for models trained with and without a sample.
  offline: only the models without it; score = (log-odds − mean) / standard deviation,
    which orders like the paper's normal probability and does not round to 1.
  online: score = log density with the sample − log density without it.
Differs: the fixed variance is pooled within samples (the published code takes the spread over all
samples). A sample that no model, or every model, was trained on borrows the mean of the others.
Needs reference models (View.reference), three shadows or more; does not learn in `fit`. Online
needs shadows that train on the target's samples: `shadows.assignment: random_half`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from nonmember.attacks._base import Attack
from nonmember.attacks._reference import log_odds, mean_where, online_needs, read_reference
from nonmember.settings import Settings
from nonmember.views import View

_BLOCK = 2**14  # samples whose squares are added up at a time


class LikelihoodRatio(Attack):
    min_shadows = 3

    class Options(Settings):
        lira_mode: Literal["offline", "online"] = Field(
            "offline",
            description="offline | online: also models with the sample (shadows.assignment: "
            "random_half)",
        )
        lira_variance: Literal["fixed", "sample"] = Field(
            "fixed",
            description="fixed: one for all samples | sample: one each (64 shadows or more)",
        )

    options: Options

    def check(self, assignment: str = "split") -> list[str]:
        """Online, some shadows must have seen the sample."""
        return online_needs("lira_mode", self.options.lira_mode, assignment)

    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64. ValueError if the reference models are too few."""
        return self.compare(view.log_odds, *read_reference(view, log_odds, "lira"))

    def compare(self, value: np.ndarray, values: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """Scores from log-odds: the target's (n,), the reference models' (models, n), `inside`."""
        out = self._standardize(value, values, ~inside, "was trained without")
        if self.options.lira_mode == "offline":
            return out[0]
        with_it = self._standardize(value, values, inside, "was trained on")
        return (out[0] ** 2 - with_it[0] ** 2) / 2 + out[1] - with_it[1]

    def _standardize(
        self, value: np.ndarray, values: np.ndarray, use: np.ndarray, what: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """(value − mean) / sd and log sd, each (n,), with mean and sd of the models in use."""
        mean = mean_where(values, use, what)
        squares = np.empty(len(mean))
        for begin in range(0, len(mean), _BLOCK):  # no second table beside `values`
            part = slice(begin, begin + _BLOCK)
            spread = np.where(use[:, part], values[:, part] - mean[part], 0.0)
            squares[part] = np.einsum("mn,mn->n", spread, spread)
        freedom = np.maximum(use.sum(axis=0) - 1, 0)
        if not squares[freedom > 0].sum() > 0:
            raise ValueError(
                f"attack lira needs two differing reference models of which each {what} a sample; "
                "set shadows.count to 3 or more"
            )
        pooled = squares[freedom > 0].sum() / freedom.sum()
        variance = np.full(len(mean), pooled)
        if self.options.lira_variance == "sample":
            own = (freedom > 0) & (squares > 0)
            variance[own] = squares[own] / freedom[own]
        return (value - mean) / np.sqrt(variance), np.log(variance) / 2
