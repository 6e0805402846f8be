"""What the attacks that read the query `noise` share: its options, and the choice of a level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from sklearn.metrics import roc_auc_score

from nonmember.attacks._base import Attack
from nonmember.attacks._signal import read_signal
from nonmember.attacks._view import examples
from nonmember.settings import Settings
from nonmember.views import View


class NoiseOptions(Settings):
    """The query's options; one setting for all attacks that read it."""

    noise_levels: int = Field(10, ge=1, description="how many levels of noise")
    noise_copies: int = Field(100, ge=1, description="noisy copies of a sample a level")
    noise_step: float = Field(
        0.01, gt=0, description="standard deviation of level 1, unless features are all 0 or 1",
    )  # fmt: skip


class _NoiseAttack(Attack):
    """Score = one number of the level at which that number tells the shadows' members best."""

    Options = NoiseOptions
    options: NoiseOptions
    half: ClassVar[int]  # 0: shares answered right, 1: shares with a larger loss

    def queries(self) -> dict[str, dict[str, Any]]:
        """The query `noise`."""
        return {"noise": self.options.model_dump()}

    def _learn(self, views: Sequence[View]) -> None:
        """Choose `level`, 1 … levels: the largest AUC over all shadows, the first of ties."""
        shares, member = examples(views, self._shares)  # (samples, levels), (samples,)
        aucs = [roc_auc_score(member, level) for level in shares.T]
        self.level = 1 + int(np.argmax(aucs))

    def _score(self, view: View) -> np.ndarray:
        """(samples,) float64 in [0, 1]."""
        return self._shares(view)[:, self.level - 1]

    def _shares(self, view: View) -> np.ndarray:
        """(n, levels) float64."""
        values = read_signal(view, "noise")
        levels = self.options.noise_levels
        if values.shape[1:] != (2 * levels,):
            raise ValueError(
                f"signal 'noise' must have 2 · attacks.noise_levels = {2 * levels} numbers a "
                f"sample, got {values.shape}; extract the signals again"
            )
        return values[:, self.half * levels : (self.half + 1) * levels]
