"""Slightly rotated and moved images: 3 + 4 · augmentation_pixels queries.

Paper: Choquette-Choo et al. 2021, section 4.2, https://arxiv.org/abs/2007.14321: rotations by −r, 0
and r degrees, and translations by (i, j) with |i| + |j| = d; the untouched image, which belongs to
both, is asked about once. Bilinear, zeros from outside.
Differs: the paper attacks with rotations or with translations, here one classifier gets both; its
code interpolates with cubic splines.

Numbers a sample: of each query 1 if it is answered right, else 0; then of each query its loss in
nats. Order: untouched, −r, r, then translations by (i, j), ascending.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torchvision.transforms.functional import InterpolationMode, rotate

from nonmember import statistics
from nonmember.kinds import Outline
from nonmember.queries._base import Answer, Query, Samples, image_problems
from nonmember.settings import Settings


class Rotations(Query):
    class Options(Settings):
        augmentation_degrees: float = Field(
            4.0, gt=0, le=180, description="r: rotated by −r, 0 and r"
        )
        augmentation_pixels: int = Field(1, ge=1, description="d: moved by (i, j), |i| + |j| = d")

    options: Options

    def check(self, data: Outline) -> list[str]:
        """Images only, and larger than the translation."""
        problems, side = image_problems("rotations", data), min(data.shape[1:], default=0)
        if not problems and self.options.augmentation_pixels >= side:
            problems = [
                f"attacks.augmentation_pixels: must be less than {side}, the side of an image, "
                f"found {self.options.augmentation_pixels}"
            ]
        return problems

    @property
    def width(self) -> int:
        """Two numbers a query."""
        return 2 * (3 + 4 * self.options.augmentation_pixels)

    def measure(self, answer: Answer, samples: Samples, seed: int) -> np.ndarray:
        """(n, width) float64: bits, then nats."""
        bits, losses = [], []
        for images in self._changed(samples.inputs):
            log_p = statistics.log_softmax(answer(images))
            bits.append(statistics.correct(log_p, samples.labels))
            losses.append(statistics.cross_entropy(log_p, samples.labels))
        return np.stack([*bits, *losses], axis=1)

    def _changed(self, images: Tensor) -> Iterator[Tensor]:
        """Each of the queries for all images, (n, channels, height, width)."""
        yield images
        for angle in (-self.options.augmentation_degrees, self.options.augmentation_degrees):
            yield rotate(images, angle, InterpolationMode.BILINEAR)
        d = self.options.augmentation_pixels
        height, width = images.shape[-2:]
        padded = F.pad(images, (d,) * 4)
        for i in range(-d, d + 1):
            for j in sorted({abs(i) - d, d - abs(i)}):
                yield padded[..., d - i : d - i + height, d - j : d - j + width]
