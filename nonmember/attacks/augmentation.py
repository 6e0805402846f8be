"""Augmentation attack: a member is also answered right when the image is moved or rotated.

Paper: Choquette-Choo et al. 2021, section 4.2, https://arxiv.org/abs/2007.14321, in two forms:
  shifts (SharpReg): all 162 shifts and flips of a training that pads by 4, crops and flips. Score:
    the share answered right. No shadows.
  rotations: 3 + 4 · augmentation_pixels rotated and moved images. A logistic regression learns from
    the shadows, by whether each is answered right (the paper's label-only attack; it trains a small
    net) or by the loss of each, as log-odds, which order like it and have no long tail.
    Score: its log-odds of "member".
Images only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from nonmember.attacks._base import Attack
from nonmember.attacks._signal import read_signal
from nonmember.settings import Settings
from nonmember.views import View

_LEAST = np.finfo(np.float32).smallest_subnormal  # losses are stored as float32


class Augmentation(Attack):
    class Options(Settings):
        augmentation_kind: Literal["shifts", "rotations"] = Field(
            "shifts", description="shifts: 162 queries | rotations: 3 + 4 · augmentation_pixels"
        )
        augmentation_input: Literal["correctness", "losses"] = Field(
            "correctness", description="rotations: what the classifier sees of each query"
        )
        augmentation_degrees: float = Field(
            4.0, gt=0, le=180, description="rotations: by this much to both sides"
        )
        augmentation_pixels: int = Field(
            1, ge=1, description="rotations: also moved by this many pixels, down plus across"
        )

    def queries(self) -> dict[str, dict[str, Any]]:
        """The query that `augmentation_kind` names."""
        if self.options.augmentation_kind == "shifts":
            return {"shifts": {}}
        keys = {"augmentation_degrees", "augmentation_pixels"}
        return {"rotations": self.options.model_dump(include=keys)}

    def fit(self, known: Sequence[View], seed: int = 0) -> None:
        """Rotations: fit the classifier, which has one optimum, so that `seed` is not used.

        Raises ValueError if there is no shadow or a shadow's membership is unknown.
        """
        if self.options.augmentation_kind == "shifts":
            return
        if not known or any(view.member is None for view in known):
            raise ValueError("attack augmentation learns from shadows whose membership is known")
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        inputs = np.concatenate([self._inputs(view) for view in known])
        member = np.concatenate([np.asarray(view.member) for view in known])
        self._classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        self._classifier.fit(inputs, member)

    def score(self, view: View) -> np.ndarray:
        """(samples,) float64: a share, or log-odds. RuntimeError before `fit` if that is needed."""
        if self.options.augmentation_kind == "shifts":
            return read_signal(view, "shifts")[:, 0]
        if not hasattr(self, "_classifier"):
            raise RuntimeError("attack augmentation must be fitted on shadows before it scores")
        return self._classifier.decision_function(self._inputs(view))

    def _inputs(self, view: View) -> np.ndarray:
        """(n, queries) float64: 0 or 1, or log-odds, which are −log(exp(loss) − 1)."""
        bits, losses = np.split(read_signal(view, "rotations"), 2, axis=1)
        if self.options.augmentation_input == "correctness":
            return bits
        losses = np.maximum(losses, _LEAST)
        return -losses - np.log(-np.expm1(-losses))
