"""Every crop of a training that pads by 4, crops and flips: 9 × 9 shifts × 2 = 162 queries.

Paper: Choquette-Choo et al. 2021, https://arxiv.org/abs/2007.14321, in the exhaustive form of the
paper on SharpReg ("data augmentation attacks", 9 × 9 × 2 queries). One number a sample: the share
of the crops that is answered right.

One padded batch; each crop is a view of it for all samples together.
"""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F

from nonmember import statistics
from nonmember.kinds import Outline
from nonmember.queries._base import Answer, Query, Samples, image_problems

PAD = 4  # as in the training's crop_flip
QUERIES = 2 * (2 * PAD + 1) ** 2


class Shifts(Query):
    def check(self, data: Outline) -> list[str]:
        """Images only."""
        return image_problems("shifts", data)

    @property
    def width(self) -> int:
        """One number."""
        return 1

    def measure(self, answer: Answer, samples: Samples, seed: int) -> np.ndarray:
        """(n, 1) float64 in [0, 1]: share answered right."""
        height, width = samples.inputs.shape[-2:]
        padded = F.pad(samples.inputs, (PAD,) * 4)
        right = np.zeros(len(samples.labels))
        for images in (padded, padded.flip(-1)):
            for y in range(2 * PAD + 1):
                for x in range(2 * PAD + 1):
                    logits = answer(images[..., y : y + height, x : x + width])
                    right += statistics.correct(logits, samples.labels)
        return right[:, None] / QUERIES
