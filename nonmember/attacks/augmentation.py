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
from nonmember.attacks._view import examples
from nonmember.settings import Settings
from nonmember.views import View

_LEAST = np.finfo(np.float32).smallest_subnormal  # losses are stored as float32


class Augmentation(Attack):
    class Options(Settings):
        augmentation_kind: Literal["shifts", "rotations"] = Field(
            "shifts",
            description="shifts: all 162 of crop_flip | rotations: a few, and a classifier",
        )
        augmentation_input: Literal["correctness", "losses"] = Field(
            "correctness", description="rotations: what the classifier sees of each query"
        )
        augmentation_degrees: float = Field(
            4.0, gt=0, le=180, description="rotations: by this much to both sides"
        )
        augmentation_pixels: int = Field(
            1, ge=1, description="rotations: pixels of the shifts, down plus across"
        )

    options: Options

    def queries(self) -> dict[str, dict[str, Any]]:
        """The query that `augmentation_kind` names."""
        if self.options.augmentation_kind == "shifts":
            return {"shifts": {}}
        keys = {"augmentation_degrees", "augmentation_pixels"}
        return {"rotations": self.options.model_dump(include=keys)}

    @property
    def learns(self) -> bool:
        """The shifts need no shadows."""
        return self.options.augmentation_kind == "rotations"

    def _learn(self, views: Sequence[View]) -> None:
        """Rotations: fit the classifier, which has one optimum, so that no seed is used."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        inputs, member = examples(views, self._inputs)
        self._classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        self._classifier.fit(inputs, member)

    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64: a share, or log-odds."""
        if self.options.augmentation_kind == "shifts":
            return read_signal(view, "shifts")[:, 0]
        return self._classifier.decision_function(self._inputs(view))

    def _inputs(self, view: View) -> np.ndarray:
        """(n, queries) float64: 0 or 1, or log-odds, which are −log(exp(loss) − 1)."""
        bits, losses = np.split(read_signal(view, "rotations"), 2, axis=1)
        if self.options.augmentation_input == "correctness":
            return bits
        losses = np.maximum(losses, _LEAST)
        return -losses - np.log(-np.expm1(-losses))
