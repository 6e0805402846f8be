"""SVHN: 99,289 colour images of house numbers, 32×32 pixels, 10 classes (Netzer et al. 2011).

http://ufldl.stanford.edu/housenumbers, 235 MiB: `train` and `test`, without `extra`. Not
normalised beyond dividing by 255, as in the CRL experiments.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nonmember.datasets._base import Arrays
from nonmember.datasets._torchvision import _Downloaded
from nonmember.kinds import IMAGE


class Svhn(_Downloaded):
    """uint8 (99289, 3, 32, 32): 73,257 train images, then 26,032 test images; class 0 is digit 0.

    The .mat files are checked by md5 and hold no code.
    """

    files = "train_32x32.mat or test_32x32.mat"
    page = "http://ufldl.stanford.edu/housenumbers"

    def load(self, path: Path) -> Arrays:
        from torchvision.datasets import SVHN  # imports torch, which `check` need not wait for

        self.require(path)
        parts = [self.fetch(SVHN, path, split=split) for split in ("train", "test")]
        return Arrays(
            inputs=np.ascontiguousarray(np.concatenate([part.data for part in parts])),
            labels=np.concatenate([part.labels for part in parts]).astype(np.int64),
            class_names=[str(digit) for digit in range(10)],
            source=f"SVHN train and test, {self.page}",
            kind=IMAGE,
        )
