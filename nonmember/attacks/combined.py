"""All that one query of a model tells, put together by trees that learn from the shadows.

Ours. A member's log-odds of the true class are high *for this sample* and *for this model*. What
they would be without it can be estimated in two ways: Watson et al. 2022
(https://arxiv.org/abs/2111.08440) take other models' answers, Bertran et al. 2023
(https://arxiv.org/abs/2307.03694) this model's answers to known non-members. Here gradient boosting
learns from the shadows' own members and non-members what to make of
  the log-odds, how typical the sample is of its class (the first two of `View.inputs`), and the
  largest log-probabilities of the other classes: noise that is added to an answer shows there;
  the mean log-odds of the models trained without the sample and, where shadows saw it, with it;
  how the model does on known non-members: the mean and spread of their log-odds in the sample's
  class, how far it is above them, and what `quantile` scores it: defenses that move whole classes
  up or down hide members from everything that compares models;
  both together: by how much the model exceeds the models without the sample, and that less what it
  exceeds them by on known non-members of the class, of log-odds and of softened log-probabilities.
Score: the trees' log-odds of "member".
Works from one shadow, though its thresholds then come from the very samples it learned from; where
the target has no other model or no known non-member to be compared with, without them. What it
learns holds for the defense it was learned on: an attacker without that may do worse with it than
with plain `lira`.
The columns were chosen on other populations and splits of `shoppers` than the shipped one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import Field
from sklearn.ensemble import HistGradientBoostingClassifier

from nonmember import statistics
from nonmember.attacks._base import Attack
from nonmember.attacks._reference import (
    log_odds,
    mean_where,
    online_needs,
    read_reference,
    softened,
)
from nonmember.attacks._view import class_means, read_inputs
from nonmember.attacks.quantile import Quantile
from nonmember.settings import Settings
from nonmember.signal_files import TYPICAL
from nonmember.views import Statistic, View

_OTHERS = 5  # classes besides the true one
_SOFT = softened(4.0)


class Combined(Attack):
    needs = ("logits", "inputs")

    class Options(Settings):
        combined_mode: Literal["auto", "offline", "online"] = Field(
            "auto",
            description="models with the sample: auto: where there are some | offline: never | "
            "online: must be",
        )
        combined_trees: int = Field(80, ge=1, description="trees, one after the other")
        combined_leaves: int = Field(8, ge=2, description="leaves of a tree, at most")

    options: Options

    def check(self, assignment: str = "split") -> list[str]:
        """Online, some shadows must have seen the sample."""
        return online_needs("combined_mode", self.options.combined_mode, assignment)

    def _learn(self, views: Sequence[View]) -> None:
        """Keep what the shadows tell; trees grow when it is known what a target tells."""
        pairs = [(self._told(view), np.asarray(view.member)) for view in views]
        told = [one for one, _ in pairs]
        common = [name for name in told[0] if all(name in one for one in told)]
        self._shadows = {name: np.concatenate([one[name] for one in told]) for name in common}
        self._member = np.concatenate([member for _, member in pairs])
        self._trees: dict[tuple[str, ...], HistGradientBoostingClassifier] = {}

    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64."""
        told = self._told(view)
        names = tuple(name for name in self._shadows if name in told)
        if names not in self._trees:
            self._trees[names] = self._grown(_table(self._shadows, names))
        return np.asarray(self._trees[names].decision_function(_table(told, names)), np.float64)

    def _grown(self, table: np.ndarray) -> HistGradientBoostingClassifier:
        trees = HistGradientBoostingClassifier(
            max_iter=self.options.combined_trees,
            max_leaf_nodes=self.options.combined_leaves,
            min_samples_leaf=max(1, min(50, len(table) // 20)),
            early_stopping=False,
            random_state=self.seed,
        )
        return trees.fit(table, self._member)

    def _told(self, view: View) -> dict[str, np.ndarray]:
        """Name -> (n,) or (n, numbers) float64; without those that there is nothing for."""
        told = {
            "log-odds": view.log_odds,
            "typicality": read_inputs(view, "combined")[:, :TYPICAL],
            "other classes": view.of(_largest_others),
        }
        if view.reference:
            told |= self._beside_models(view)
        if (public := view.public) is not None:
            told |= self._beside_non_members(view, public)
            if view.reference and public.reference:
                told["excess"] = _excess(view, public)
        return told

    def _beside_models(self, view: View) -> dict[str, np.ndarray]:
        values, inside = read_reference(view, log_odds, "combined")
        without = mean_where(values, ~inside, "was trained without")
        told = {"models without it": np.where(inside.all(axis=0), np.nan, without)}
        if self.options.combined_mode != "offline" and inside.any():
            told["models with it"] = mean_where(values, inside, "was trained on")
        return told

    def _beside_non_members(self, view: View, public: View) -> dict[str, np.ndarray]:
        classes = view.logits.shape[1]
        mean = class_means(public.log_odds, public.labels, classes)
        square = class_means((public.log_odds - mean[public.labels]) ** 2, public.labels, classes)
        level, spread = mean[view.labels], np.sqrt(square)[view.labels]
        above = view.log_odds - level
        tiny = np.finfo(np.float64).tiny
        told = {
            "known non-members": np.column_stack(
                [level, spread, above, above / np.maximum(spread, tiny)]
            )
        }
        quantile = Quantile()
        quantile.seed = self.seed
        if quantile.can_learn(public):
            told["quantile"] = quantile.score(view)
        return told


def _largest_others(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return statistics.largest_others(log_p, labels, _OTHERS)


def _excess(view: View, public: View) -> np.ndarray:
    """(n, 3): above the models without it, of log-odds: what the class's known non-members are
    above them, and the sample beyond that; the last also of softened log-probabilities."""
    columns = []
    for statistic in (log_odds, _SOFT):
        own, others = (_above_models(one, statistic) for one in (view, public))
        level = class_means(others, public.labels, view.logits.shape[1])[view.labels]
        columns += [level, own - level]
    return np.column_stack([columns[0], columns[1], columns[3]])


def _above_models(view: View, statistic: Statistic) -> np.ndarray:
    """(n,) a statistic of the model minus its mean over the models trained without the sample."""
    values, inside = read_reference(view, statistic, "combined")
    return statistic(view) - mean_where(values, ~inside, "was trained without")


def _table(told: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    """(n, numbers) float64: what the trees see."""
    return np.column_stack([told[name] for name in names])
