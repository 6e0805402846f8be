"""Who is a member of what: pure functions of (labels, scheme, seed, shadow index).

Every scheme cuts the data into equal sets. The first ones belong to the target (train, test and,
where there is one, inference); the rest are the attacker's, and each shadow redraws its own sets
from their union, as a function of (seed, i) alone: growing the number of shadows keeps the first.

| scheme      | sets | target            | shadows                          | paper               |
| `crl`       | 4    | train, test       | redraw train, test from 2 sets   | CRL, appendix       |
| `relaxloss` | 5    | train, test, inf. | redraw train, test from 2 sets   | RelaxLoss, sect. 5  |
| `past`      | 6    | train, test, inf. | redraw all three from 3 sets     | PAST, sect. 4       |

Under `relaxloss` the fifth set is the inference set of the target and of the shadows. Under `crl`
there is none, unless `inference_share` keeps a part of each training set for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from nonmember import files
from nonmember.settings import Settings

SCHEMES = {"crl": 4, "relaxloss": 5, "past": 6}


class SplitOptions(Settings):
    """The `split` section of params.yaml."""

    scheme: Literal["crl", "relaxloss", "past"] = Field("past", description="who draws from what")
    size: int | None = Field(None, ge=2, description="samples a set; null: as many as there are")
    stratified: bool = Field(True, description="the same share of every class in every set")
    inference_share: float = Field(
        0.0, ge=0, lt=1, description="crl only: share of a training set kept as inference set"
    )

    @property
    def has_inference(self) -> bool:
        """Whether a defense finds non-members it may use."""
        return self.scheme != "crl" or self.inference_share > 0

    def set_size(self, n: int) -> int:
        """Samples in each set when the data has `n`; ValueError if they do not fit."""
        sets = SCHEMES[self.scheme]
        size = n // sets if self.size is None else self.size
        if size * sets > n or size < 2:
            raise ValueError(
                f"split.size: {sets} sets of {max(size, 2)} (scheme {self.scheme}) need "
                f"{sets * max(size, 2)} samples, the data has {n}; at most {n // sets} fit"
            )
        return size


@dataclass(frozen=True)
class Rows:
    """Rows of the prepared data that one model trains on, is tested on, or may look at.

    train, test, inference: sorted (k,) int64, pairwise disjoint; inference may be empty.
    """

    train: np.ndarray
    test: np.ndarray
    inference: np.ndarray

    def __post_init__(self) -> None:
        rows = np.concatenate([self.train, self.test, self.inference])
        if len(np.unique(rows)) != len(rows):
            raise AssertionError("train, test and inference rows must be disjoint")


def deal(
    rows: np.ndarray,
    labels: np.ndarray,
    sets: int,
    size: int,
    stratified: bool,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """`sets` disjoint random sets of `size` rows each, in random order within a set.

    Stratified: rows are sorted by class and dealt like cards, so that the count of a class
    differs by at most one between sets (before cutting to `size`).
    """
    rows = rng.permutation(rows)
    if stratified:
        rows = rows[np.argsort(labels[rows], kind="stable")]
    piles = max(len(rows) // size, sets)
    dealt = [rng.permutation(rows[k::piles])[:size] for k in range(sets)]
    if any(len(pile) != size for pile in dealt):
        raise ValueError(f"cannot deal {sets} sets of {size} from {len(rows)} rows")
    return dealt


def _rows(piles: list[np.ndarray], inference: np.ndarray | None, share: float) -> Rows:
    train, test, *rest = piles
    if inference is None:
        inference = rest[0] if rest else np.empty(0, np.int64)
    if share > 0:
        kept = round(len(train) * (1 - share))
        train, inference = train[:kept], train[kept:]
    return Rows(np.sort(train), np.sort(test), np.sort(inference))


def _base(labels: np.ndarray, options: SplitOptions, seed: int) -> list[np.ndarray]:
    size = options.set_size(len(labels))
    rng = np.random.default_rng([seed, 0])
    every = np.arange(len(labels))
    return deal(every, labels, SCHEMES[options.scheme], size, options.stratified, rng)


def _crl_share(options: SplitOptions) -> float:
    return options.inference_share if options.scheme == "crl" else 0.0


def target_rows(labels: np.ndarray, options: SplitOptions, seed: int) -> Rows:
    """The target's rows. labels: (n,) int64. ValueError if the sets do not fit the data."""
    piles = _base(labels, options, seed)
    if options.scheme == "crl":
        return _rows(piles[:2], None, _crl_share(options))
    if options.scheme == "relaxloss":
        return _rows(piles[:2], piles[4], 0.0)
    return _rows(piles[:3], None, 0.0)


def shadow_rows(labels: np.ndarray, options: SplitOptions, seed: int, i: int) -> Rows:
    """Shadow `i`'s rows, disjoint from the target's train and test rows.

    A function of (labels, options, seed, i): independent of how many shadows there are.
    """
    piles = _base(labels, options, seed)
    rng = np.random.default_rng([seed, 1, i])
    shared = piles[4] if options.scheme == "relaxloss" else None
    own = {"crl": piles[2:4], "relaxloss": piles[2:4], "past": piles[3:6]}[options.scheme]
    pool = np.sort(np.concatenate(own))
    redrawn = deal(pool, labels, len(own), len(own[0]), options.stratified, rng)
    return _rows(redrawn, shared, _crl_share(options))


def count_duplicates(inputs: np.ndarray, members: np.ndarray, non_members: np.ndarray) -> int:
    """How many non-member rows are, byte for byte, the same input as some member row."""
    seen = {inputs[row].tobytes() for row in members}
    return sum(inputs[row].tobytes() in seen for row in non_members)


def save_rows(path: str | Path, models: Mapping[str, Rows]) -> None:
    """Named rows in one `.npz`, with keys such as `003.train`."""
    files.write_arrays(
        path,
        {
            f"{name}.{part}": getattr(rows, part)
            for name, rows in models.items()
            for part in ("train", "test", "inference")
        },
    )


def load_rows(path: str | Path) -> list[Rows]:
    """The rows that `save_rows` wrote, in its order."""
    arrays = files.read_arrays(path)
    names = dict.fromkeys(key.rpartition(".")[0] for key in arrays)
    return [
        Rows(arrays[f"{n}.train"], arrays[f"{n}.test"], arrays[f"{n}.inference"]) for n in names
    ]
