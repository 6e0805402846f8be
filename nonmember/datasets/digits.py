"""Scikit-learn's handwritten digits: 1,797 real 8×8 grey images, 10 classes, no download.

From the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998, UCI,
https://doi.org/10.24432/C50P49), which scikit-learn ships.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from nonmember.datasets._base import Arrays, Dataset
from nonmember.datasets._moments import moments
from nonmember.kinds import IMAGE


class Digits(Dataset):
    """uint8 (1797, 1, 8, 8), the 17 grey levels spread over 0–255; `path` is not used."""

    def load(self, path: Path) -> Arrays:
        data = load_digits()
        inputs = np.round(data.images[:, None] * (255 / 16)).astype(np.uint8)
        mean, std = moments(inputs, 1 / 255)
        return Arrays(
            inputs=inputs,
            labels=data.target.astype(np.int64),
            class_names=[str(name) for name in data.target_names],
            mean=mean,
            std=std,
            source="scikit-learn load_digits",
            kind=IMAGE,
        )
