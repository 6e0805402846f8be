"""Quantile regression: is the target surer of this sample than of non-members that look like it?

Paper: Bertran et al. 2023, https://arxiv.org/abs/2307.03694
No shadows. The log-odds of the true class on samples that the attacker knows are non-members are
regressed on what a sample looks like (its class and `View.inputs`): gradient boosting for their
median and their `quantile_level`. Score: (log-odds − median) / (quantile − median), which is 1
where a sample lies at about that quantile of the non-members like it. The attacker's threshold is a
number of such units; the paper fits one quantile a false positive rate instead.
Differs: their regressor is a network on the raw input; here scikit-learn's trees, on the class's
mean log-odds, the first principal components of the input, and how typical they are of its class
and of the nearest other. Learns in `score`, from `View.public`: the regression belongs to the one
model it is asked about.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field
from scipy.spatial.distance import cdist
from sklearn.ensemble import HistGradientBoostingRegressor

from nonmember import statistics
from nonmember.attacks._base import Attack
from nonmember.evidence import View
from nonmember.settings import Settings

_LEAST = 50  # non-members to learn from
_FOLDS = 5
_ROWS = 4096  # compared with all classes at a time


class Quantile(Attack):
    needs = ("logits", "inputs")

    class Options(Settings):
        quantile_level: float = Field(
            0.9, gt=0.5, lt=1, description="share of the non-members below one unit"
        )
        quantile_trees: int = Field(100, ge=1, description="trees of each regression")
        quantile_leaves: int = Field(8, ge=2, description="leaves of a tree, at most")

    _seed = 0

    def check(self, assignment: str = "split") -> list[str]:
        """Under random_half the shadows see what is evaluated, and no other sample is extracted."""
        if assignment == "split":
            return []
        return [
            "attacks.names: quantile needs non-members that nothing is evaluated on; set "
            "shadows.assignment to split"
        ]

    def fit(self, known: Sequence[View], seed: int = 0) -> None:
        """Keep the seed; what there is to learn comes with the view that is scored."""
        self._seed = seed

    def score(self, view: View) -> np.ndarray:
        """(samples,) float64. ValueError with fewer than 50 known non-members."""
        others = self._others(view)
        odds = _log_odds(others)
        told = np.column_stack([odds, _inputs(others)])
        classes = view.logits.shape[1]
        seen = self._without_own_fold(told, others.labels, classes)
        asked = _looks(_inputs(view), view.labels, _class_means(told, others.labels, classes))
        levels = (0.5, self.options.quantile_level)
        median, upper = (self._regress(seen, odds, asked, level) for level in levels)
        spread = np.maximum(upper - median, 1e-3 * odds.std() + np.finfo(np.float64).tiny)
        return (_log_odds(view) - median) / spread

    def _without_own_fold(self, told: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
        """`_looks` of known samples, each with the class means of the other folds.

        Means without the sample alone would tell the trees what that sample's own log-odds are.
        """
        folds = np.random.default_rng(self._seed).permutation(len(labels)) % _FOLDS
        found = np.empty((len(labels), told.shape[1] + 2))
        for fold in range(_FOLDS):
            own = folds == fold
            means = _class_means(told[~own], labels[~own], classes)
            found[own] = _looks(told[own, 1:], labels[own], means)
        return found

    def _others(self, view: View) -> View:
        """Samples the view's model was not trained on and that are not scored."""
        others = view.public[0] if len(view.public) else None
        if others is None or len(others) < _LEAST:
            count = 0 if others is None else len(others)
            raise ValueError(
                f"attack quantile needs {_LEAST} non-members that nothing is evaluated on, found "
                f"{count}; use split.scheme past or more data"
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
            random_state=self._seed,
            early_stopping=False,
        )
        return np.asarray(trees.fit(seen, odds).predict(asked), np.float64)


def _class_means(told: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(classes, 1 + d) of (n, 1 + d), pulled to the overall mean as by one more sample."""
    totals = np.stack([np.bincount(labels, column, classes) for column in told.T], axis=1)
    counts = np.bincount(labels, minlength=classes)[:, None]
    return np.asarray((totals + told.mean(axis=0)) / (counts + 1))


def _looks(inputs: np.ndarray, labels: np.ndarray, means: np.ndarray) -> np.ndarray:
    """(n, 3 + d): what models say of the class, how typical the sample is of it, the inputs.

    means: (classes, 1 + d) of log-odds and inputs. Typical: the squared distance to the mean of
    its class, and by how much it is larger than that to the nearest other class.
    """
    own, less = np.empty((2, len(labels)))
    for start in range(0, len(labels), _ROWS):
        rows = slice(start, start + _ROWS)
        far = cdist(inputs[rows], means[:, 1:], "sqeuclidean")
        own[rows] = np.take_along_axis(far, labels[rows, None], axis=1)[:, 0]
        np.put_along_axis(far, labels[rows, None], np.inf, axis=1)
        less[rows] = own[rows] - far.min(axis=1)
    return np.column_stack([means[labels, 0], own, less, inputs])


def _inputs(view: View) -> np.ndarray:
    if view.inputs is None:
        raise ValueError("signal 'inputs' was not extracted; the attack quantile needs it")
    return np.asarray(view.inputs, np.float64)


def _log_odds(view: View) -> np.ndarray:
    return statistics.log_odds(view.log_probs, view.labels)
