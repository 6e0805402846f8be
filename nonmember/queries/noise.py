"""Noisy copies at rising levels: noise_levels · noise_copies queries and one without noise.

What a level i of 1 … noise_levels means depends on the data:
  tables of zeros and ones: exactly i features of a copy, or i in 200 of wide tables (3·i of 600;
    Tang et al. flip up to 30 there), drawn without replacement, are flipped; at most all;
  byte images: Gaussian noise of standard deviation i · noise_step · 255, rounded to bytes;
  all else: Gaussian noise of standard deviation i · noise_step · std, with std that of the channel
    or feature (1 if it is not standardised).
The noise of a sample follows from (seed, id, level) alone, so that every model answers the same.

Papers: share answered right: Choquette-Choo et al. 2021, section 4.3,
https://arxiv.org/abs/2007.14321 (flips: Tang et al. 2022, https://arxiv.org/abs/2110.08324); share
with a larger loss: Jayaraman et al. 2021, Algorithm 2, https://arxiv.org/abs/2005.10881.
Numbers a sample: of each level the share of copies answered right; then of each level the share of
copies whose loss is larger than without noise. Losses are compared as log-odds, which do not
saturate.
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from nonmember.kinds import Outline
from nonmember.queries._base import Answer, Query, Samples, log_odds
from nonmember.settings import Settings

_NUMBERS = 2**20  # in noisy copies at a time
_WIDE = 200  # features, from which on more than one flips a level


class Noise(Query):
    class Options(Settings):
        noise_levels: int = Field(10, ge=1, description="how many levels of noise")
        noise_copies: int = Field(100, ge=1, description="noisy copies of a sample a level")
        noise_step: float = Field(
            0.01, gt=0, description="standard deviation of level 1, unless features are all 0 or 1"
        )

    options: Options

    def check(self, data: Outline) -> list[str]:
        """The inputs must have noisy copies; token ids have none."""
        if data.kind.noise is not None:
            return []
        return [
            "attacks.names: boundary_noise and merlin ask about noisy copies, which "
            f"{data.kind.word} do not have; use loss or modified_entropy"
        ]

    @property
    def width(self) -> int:
        """Two numbers a level."""
        return 2 * self.options.noise_levels

    def measure(self, answer: Answer, samples: Samples, seed: int) -> np.ndarray:
        """(n, width) float64 in [0, 1]: shares answered right, then shares with a larger loss."""
        levels, copies = self.options.noise_levels, self.options.noise_copies
        out = np.empty((len(samples.labels), 2, levels))
        _, own = log_odds(answer, samples.inputs, samples.labels)
        at_a_time = max(_NUMBERS // (copies * samples.inputs[0].numel()), 1)
        for start in range(0, len(own), at_a_time):
            rows = range(start, min(start + at_a_time, len(own)))
            labels = np.repeat(samples.labels[rows], copies)
            for level in range(1, levels + 1):
                noisy = torch.cat([self.noisy(samples, row, level, seed) for row in rows])
                right, odds = log_odds(answer, noisy, labels)
                larger = odds < np.repeat(own[rows], copies)
                shares = np.stack([right, larger]).reshape(2, len(rows), copies).mean(axis=2)
                out[rows, :, level - 1] = shares.T
        return out.reshape(len(out), -1)

    def noisy(self, samples: Samples, row: int, level: int, seed: int) -> Tensor:
        """Noisy copies of one sample, (copies, …), of its dtype unless a byte would not do."""
        raw, copies = samples.inputs[row], self.options.noise_copies
        rng = np.random.default_rng([seed, int(samples.ids[row]), level])
        if samples.kind.noise == "flip":
            count = min(max(level, round(level * len(raw) / _WIDE)), len(raw))
            flip = torch.from_numpy(flips(rng, copies, len(raw), count))
            return torch.where(flip, 1 - raw, raw)
        drawn = torch.from_numpy(rng.standard_normal((copies, *raw.shape), np.float32))
        top = samples.kind.divisor(raw)
        if top > 1:
            far = drawn * (top * level * self.options.noise_step)
            return (raw + far).round_().clamp_(0, top).byte()
        std = torch.tensor(samples.std).reshape(-1, *(1,) * (raw.ndim - 1))
        return raw + drawn * (level * self.options.noise_step * std)


def flips(rng: np.random.Generator, copies: int, features: int, count: int) -> np.ndarray:
    """(copies, features) bool: in each row exactly `count` True, every choice equally likely.

    Floyd's sampling (Bentley and Floyd 1987): `count` draws a row instead of a shuffle.
    """
    chosen = np.zeros((copies, features), bool)
    every = np.arange(copies)
    for last in range(features - count, features):
        drawn = rng.integers(last + 1, size=copies)
        chosen[every, np.where(chosen[every, drawn], last, drawn)] = True
    return chosen
