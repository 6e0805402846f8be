"""Relative attack (RMIA): does the target raise this sample's probability more than others'?

Paper: Zarifzadeh et al. 2024, Eq. 2 to 4 and offline form, https://arxiv.org/abs/2312.03262
With r(x) = p_y(x; target) / mean p_y(x; any model), the score is the share of other samples z with
r(x) / r(z) >= gamma; with one set of z for all it rises with r(x), in steps. `rmia_score: ratio` is
log r(x) itself: the same order without ties, on a scale that a threshold can be carried over from
one model to another; with `share` it cannot, as most r(x) are near 1 and a little more or less of
them beats the same z. The mean is over the reference models:
  offline: those without x, then ((1 + a)·mean + 1 − a) / 2 stands for models with and without it;
  online: half the mean of those with x plus half the mean of those without.
Differs: `ratio` is the default; for `share`, z are the scored samples themselves, memberships
unseen, and a sorted search replaces all pairs.
Needs reference models (View.reference), two shadows or more; does not learn in `fit`. Online
needs shadows that train on the target's samples: `shadows.assignment: random_half`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from nonmember import statistics
from nonmember.attacks._base import Attack
from nonmember.attacks._reference import mean_where, online_needs, read_reference
from nonmember.settings import Settings
from nonmember.views import View


class Rmia(Attack):
    min_shadows = 2

    class Options(Settings):
        rmia_mode: Literal["offline", "online"] = Field(
            "offline",
            description="offline | online: also models with the sample (shadows.assignment: "
            "random_half)",
        )
        rmia_score: Literal["ratio", "share"] = Field(
            "ratio",
            description="ratio: log r(x) | share: the paper's share of samples that it beats",
        )
        rmia_gamma: float = Field(2.0, ge=1, description="share: how much larger r(x) must be")
        rmia_offline_a: float = Field(
            0.3,
            ge=0,
            le=1,
            description="offline: how alike models with and without a sample are, 0 to 1",
        )

    options: Options

    def check(self, assignment: str = "split") -> list[str]:
        """Online, some shadows must have seen the sample."""
        return online_needs("rmia_mode", self.options.rmia_mode, assignment)

    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64, a `share` in [0, 1]. ValueError without reference models."""
        ratio = self.log_ratio(view)
        if self.options.rmia_score == "ratio":
            return ratio
        return share_beaten(ratio, ratio, self.options.rmia_gamma)

    def log_ratio(self, view: View) -> np.ndarray:
        """log r(x), (samples,)."""
        values, inside = read_reference(view, _confidence, "rmia")
        without = mean_where(values, ~inside, "was trained without")
        if self.options.rmia_mode == "online":
            overall = (without + mean_where(values, inside, "was trained on")) / 2
        else:
            a = self.options.rmia_offline_a
            overall = ((1 + a) * without + 1 - a) / 2
        floor = np.finfo(np.float64).tiny  # offline with a = 1: the mean may be 0
        own = view.of(statistics.cross_entropy)
        return -own - np.log(np.maximum(overall, floor))


def share_beaten(log_ratio: np.ndarray, population: np.ndarray, gamma: float) -> np.ndarray:
    """Share of z with r(x) / r(z) >= gamma, (n,), from log r(x) (n,) and log r(z) (population,)."""
    beaten = np.searchsorted(np.sort(population), log_ratio - np.log(gamma), "right")
    return beaten / len(population)


def _confidence(view: View) -> np.ndarray:
    return view.of(statistics.confidence)
