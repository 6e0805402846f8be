"""Quantile regression: is the target surer of this sample than of non-members that look like it?

Paper: Bertran et al. 2023, https://arxiv.org/abs/2307.03694
No shadows. The log-odds of the true class on samples that the attacker knows are non-members are
regressed on what a sample looks like (its class and `View.inputs`): gradient boosting for their
median and their `quantile_level`. Score: (log-odds − median) / (quantile − median), which is 1
where a sample lies at about that quantile of the non-members like it. The attacker's threshold is a
number of such units; the paper fits one quantile a false positive rate instead.
Differs: their regressor is a network on the raw input; here scikit-learn's trees, on the class's
mean log-odds, how typical the input is of its class and of the nearest other, and its first
principal components. Learns when it scores, from `View.public`: the regression belongs to the one
model it is asked about.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field
from sklearn.ensemble import HistGradientBoostingRegressor

from nonmember.attacks._base import Attack
from nonmember.attacks._view import class_means, read_inputs, without_own_fold
from nonmember.settings import Settings
from nonmember.views import View

_LEAST = 50  # non-members to learn from


class Quantile(Attack):
    needs = ("logits", "inputs")

    class Options(Settings):
        quantile_level: float = Field(
            0.9,
            gt=0.5,
            lt=1,
            description="quantile of the non-members like it that counts as a score of 1",
        )
        quantile_trees: int = Field(100, ge=1, description="trees of each regression")
        quantile_leaves: int = Field(8, ge=2, description="leaves of a tree, at most")

    options: Options

    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64. ValueError with fewer than 50 known non-members."""
        others = self._others(view)
        odds, classes = others.log_odds, view.logits.shape[1]
        seen = without_own_fold(odds, others.labels, classes, self.seed)
        means = class_means(odds, others.labels, classes)
        pairs = [(seen, others), (means[view.labels], view)]
        looks, asked = (np.column_stack([m, read_inputs(v, "quantile")]) for m, v in pairs)
        levels = (0.5, self.options.quantile_level)
        median, upper = (self._regress(looks, odds, asked, level) for level in levels)
        spread = np.maximum(upper - median, 1e-3 * odds.std() + np.finfo(np.float64).tiny)
        return (view.log_odds - median) / spread

    @staticmethod
    def can_learn(public: View | None) -> bool:
        """Whether there are enough known non-members."""
        return public is not None and len(public) >= _LEAST

    def _others(self, view: View) -> View:
        """Samples the view's model was not trained on and that are not scored."""
        others = view.public
        if others is None or not self.can_learn(others):
            count = 0 if others is None else len(others)
            raise ValueError(
                f"attack quantile needs {_LEAST} non-members that nothing is evaluated on, found "
                f"{count}; use more data"
            )
        return others

    def _regress(
        self, seen: np.ndarray, odds: np.ndarray, asked: np.ndarray, level: float
    ) -> np.ndarray:
        trees = HistGradientBoostingRegressor(
            loss="quantile",
            quantile=level,
            max_iter=self.options.quantile_trees,
            max_leaf_nodes=self.options.quantile_leaves,
            random_state=self.seed,
            early_stopping=False,
        )
        return np.asarray(trees.fit(seen, odds).predict(asked), np.float64)
