"""What a model's inputs are, stated once by the data source and asked here by everything else.

| kind     | inputs                                         | examples            |
| `image`  | (channels, height, width), bytes or real       | CIFAR-10            |
| `binary` | (features,), every one 0 or 1                  | Purchase100         |
| `table`  | (features,), real numbers or bytes             | a clinical table    |
| `tokens` | (length,) ids of a vocabulary, padded with 0   | reviews as word ids |

A new kind is a line in KINDS and a data source that states it.
A kind cannot be told from an array: a table of whole numbers and a table of token ids look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np


@dataclass(frozen=True)
class Kind:
    """One kind of inputs, and what may be done with them.

    name: as in dataset.json. word: in plain English, plural.
    is_image: bytes run from 0 to 255 and are divided by 255, channels lie last in memory, and
        images can be cropped, flipped, shifted and rotated.
    numeric: inputs can be normalised, mixed, drawn at random and differentiated; ids cannot.
    noise: how a noisy copy is made; None where there is none.
    network: the architecture to begin with.
    """

    name: str
    word: str
    is_image: bool
    numeric: bool
    noise: Literal["flip", "gaussian"] | None
    network: str

    def divisor(self, array: Any) -> float:
        """What raw inputs, an array or tensor, are divided by first: 255 for bytes of images."""
        return 255.0 if self.is_image and array.dtype.itemsize == 1 else 1.0

    @property
    def missing_signals(self) -> tuple[str, ...]:
        """Signals that no model has on such inputs."""
        return () if self.numeric else ("grad_x_l1", "grad_x_l2")


KINDS = {
    kind.name: kind
    for kind in (
        Kind("image", "images", True, True, "gaussian", "resnet20"),
        Kind("binary", "tables of zeros and ones", False, True, "flip", "mlp"),
        Kind("table", "tables", False, True, "gaussian", "mlp"),
        Kind("tokens", "token ids", False, False, None, "embedding_bag"),
    )
}
IMAGE, BINARY, TABLE, TOKENS = (KINDS[name] for name in ("image", "binary", "table", "tokens"))
NUMERIC = tuple(kind for kind in KINDS.values() if kind.numeric)


class Outline(NamedTuple):
    """What a data set looks like from outside.

    n: samples. shape: of one input. vocabulary: of tokens, ids are 0 … vocabulary − 1, else None.
    largest_group: samples of the group that has the most.
    """

    n: int
    classes: int
    shape: tuple[int, ...]
    kind: Kind
    vocabulary: int | None = None
    largest_group: int = 1


def largest(groups: np.ndarray | None) -> int:
    """Records of the largest group, 1 where every record stands alone. groups: (n,) int64."""
    return 1 if groups is None else int(np.bincount(groups).max())
