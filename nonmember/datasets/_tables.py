"""What `npz` and `csv` share: labels become 0 … classes − 1, inputs uint8 or float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, Field

from nonmember.datasets._base import Arrays
from nonmember.datasets._labels import LabelOptions, Labels
from nonmember.datasets._moments import moments
from nonmember.kinds import BINARY, IMAGE, TABLE

Name = Annotated[str, BeforeValidator(lambda v: str(v) if type(v) is int else v)]  # 5 is "5"


class TableOptions(LabelOptions):
    standardize: bool = Field(
        True,
        description="each feature or channel to mean 0, standard deviation 1; data of only 0 "
        "and 1 stay",
    )


def to_arrays(inputs: np.ndarray, labels: Labels, standardize: bool, source: str) -> Arrays:
    """Arrays from clean inputs (kept, features) or (kept, channels, height, width) and labels.

    Tables of only 0 and 1 are binary and become uint8. Mean and standard deviation are those of all
    rows.
    """
    codes, names = labels.codes, labels.names
    if inputs.ndim == 2 and ((inputs == 0) | (inputs == 1)).all():
        inputs, kind = inputs.astype(np.uint8), BINARY
    else:
        kind = IMAGE if inputs.ndim == 4 else TABLE
    plain = Arrays(
        inputs, codes, names, source=source, kind=kind,
        skipped=labels.skipped, notices=labels.notices,
    )  # fmt: skip
    if not standardize or kind is BINARY:
        return plain
    mean, std = moments(inputs, plain.scale)
    return replace(plain, mean=mean, std=std)


def encode_groups(values: np.ndarray) -> np.ndarray:
    """(n,) int64, equal where values are. values: (n,) whole numbers or text, else ValueError."""
    if values.dtype.kind not in "biuUS":
        raise ValueError(f"split.group: must be whole numbers or text, not {values.dtype}")
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


class Rounding:
    """What float32 leaves of the different values of each feature, counted block by block.

    A fixed range says too little: one 0 among time stamps makes it wide. Values that differ by less
    than float64 computes are one.
    """

    def __init__(self, features: int) -> None:
        self.rows = 0
        self.before = np.zeros(features, np.int64)
        self.after = np.zeros(features, np.int64)

    def see(self, block: np.ndarray) -> None:
        """block: (rows, features) of finite numbers, as they were read."""
        exact = np.sort(block.astype(np.float64), axis=0)
        noise = 1e-13 * np.maximum(np.abs(exact[1:]), np.abs(exact[:-1]))
        self.rows += len(block)
        self.before += 1 + (np.diff(exact, axis=0) > noise).sum(0)
        self.after += 1 + (np.diff(exact.astype(np.float32), axis=0) > 0).sum(0)

    def check(self, names: Sequence[str]) -> None:
        """ValueError for a feature that loses half of its values, or of a few a tenth."""
        few = self.before <= self.rows / 4
        lost = (2 * self.after <= self.before) | (few & (self.after < 0.9 * self.before))
        lost &= self.before > self.after
        if lost.any():
            i = int(lost.argmax())
            raise ValueError(
                f"{names[i]}: float32, in which data are kept, tells only {self.after[i]} of "
                f"{self.before[i]} different values apart; subtract a typical value "
                "from it, or drop it"
            )
