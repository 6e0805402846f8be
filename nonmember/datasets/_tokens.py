"""Token ids: whole numbers that name words, of which 0 stands for "no word"."""

from __future__ import annotations

import numpy as np

from nonmember.datasets._base import Arrays
from nonmember.datasets._labels import Labels
from nonmember.kinds import TOKENS


def token_arrays(ids: np.ndarray, labels: Labels, vocabulary: int | None, source: str) -> Arrays:
    """Arrays of kind tokens from whole numbers (n, length), padded with 0, and labels.

    vocabulary: ids are 0 … vocabulary − 1; None: as many as the largest id needs. ValueError
    naming the row for an id outside.
    """
    least, largest = int(ids.min()), int(ids.max())
    size = max(largest, 1) + 1 if vocabulary is None else vocabulary
    if least < 0 or largest >= size:
        wrong = (ids < 0) | (ids >= size)
        row, place = (int(i) for i in np.unravel_index(int(wrong.argmax()), ids.shape))
        limit = "" if vocabulary is None else f" and below dataset.vocabulary = {vocabulary}"
        raise ValueError(
            f"x must hold token ids from 0 on{limit}, row {row} (counted from 0) has "
            f"{ids[row, place]} at [{place}]"
        )
    return Arrays(
        ids.astype(np.int32), labels.codes, labels.names, source=source, kind=TOKENS,
        vocabulary=size, skipped=labels.skipped, notices=labels.notices,
    )  # fmt: skip
