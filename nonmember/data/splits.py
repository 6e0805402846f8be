"""Who is a member of what: pure functions of (labels, scheme, seed, shadow index, groups).

Every scheme cuts the data into equal sets. The first ones belong to the target: train, test and,
where there is one, the reference set, non-members that a defense may use. PAST calls it inference
set, and so do the names in the code. The rest are the attacker's, and each shadow redraws its own
sets from their union, as a function of (seed, i) alone: growing the number of shadows keeps the
first.

| scheme      | sets | target            | shadows                          | paper               |
| `crl`       | 4    | train, test       | redraw train, test from 2 sets   | CRL, appendix       |
| `relaxloss` | 5    | train, test, inf. | redraw train, test from 2 sets   | RelaxLoss, sect. 5  |
| `past`      | 6    | train, test, inf. | redraw all three from 3 sets     | PAST, sect. 4       |

Under `relaxloss` the fifth set is the reference set of the target and of the shadows. Under `crl`
there is none, unless `inference_share` keeps a part of each training set for it.

That is `shadows.assignment: split`: no shadow sees what the target is evaluated on. `random_half`
gives each shadow half of the target's members and non-members instead, as the online attacks need.

Groups, (n,) int64, are equal for records that belong together: these are on one side of every cut.
Sets are then no longer of equal size, but differ by at most the largest group, and a group for
which no set has room is left out (see data/groups.py). Without groups nothing of this happens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from nonmember import files
from nonmember.data.canaries import Canaries
from nonmember.data.groups import deal_groups
from nonmember.kinds import largest
from nonmember.settings import Settings

SCHEMES = {"crl": 4, "relaxloss": 5, "past": 6}


class SplitOptions(Settings):
    """The `split` section of params.yaml."""

    scheme: Literal["crl", "relaxloss", "past"] = Field(
        "past",
        description="past: 6 equal sets, with reference sets | relaxloss: 5, with one | crl: "
        "4, without",
    )
    size: int | None = Field(None, ge=2, description="samples a set; null: as many as there are")
    stratified: bool = Field(True, description="every class has the same share in every set")
    inference_share: float = Field(
        0.0, ge=0, lt=1, description="crl: share of each training set kept as reference set"
    )

    group: str | None = Field(
        None,
        min_length=1,
        description="a group is on one side: column (csv), array (npz), pattern in names (images)",
    )
    copies: Literal["together", "anywhere"] = Field(
        "together",
        description="equal inputs: together in one set, like a group | anywhere",
    )
    canaries: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="share of the target's members that train with a wrong label: the hardest "
        "to hide",
    )

    @model_validator(mode="after")
    def _consistent(self) -> SplitOptions:
        if self.inference_share > 0 and self.scheme != "crl":
            raise ValueError(
                f"split.inference_share: must be 0 with scheme {self.scheme}, which has a "
                f"reference set of its own, found {self.inference_share}"
            )
        return self

    @property
    def has_inference(self) -> bool:
        """Whether a defense finds non-members it may use."""
        return self.scheme != "crl" or self.inference_share > 0

    def members(self, size: int) -> int:
        """Samples of a training set of `size` that are trained on, not kept as reference set."""
        return round(size * (1 - self.inference_share))

    def canary_count(self, members: int) -> int:
        """How many of `members` members are canaries.

        ValueError unless none are, or at least two with two others left: half of each serves to
        choose, half to bound epsilon.
        """
        count = round(self.canaries * members)
        if self.canaries > 0 and not 2 <= count <= members - 2:
            raise ValueError(
                f"split.canaries: {self.canaries} of {members} members is {count}; must be two or "
                "more and leave two, or 0"
            )
        return count

    def set_size(self, n: int) -> int:
        """Samples in each set when the data has `n`; ValueError if they do not fit."""
        sets = SCHEMES[self.scheme]
        size = n // sets if self.size is None else self.size
        if size * sets > n or size < 2:
            size = max(size, 2)
            hint = f"set it to {n // sets} or less" if n >= 2 * sets else "use a larger data set"
            raise ValueError(
                f"split.size: scheme {self.scheme} needs {sets} sets of {size}, {sets * size} "
                f"samples, the data has {n}; {hint}"
            )
        if self.inference_share > 0 and not 0 < self.members(size) < size:
            raise ValueError(
                f"split.inference_share: {self.inference_share} of a training set of {size} leaves "
                "the members or the reference set empty"
            )
        return size

    def check_groups(self, n: int, largest: int) -> None:
        """ValueError if a group of `largest` samples is more than half a training set."""
        members = self.members(self.set_size(n))
        if largest > max(members // 2, 1):
            raise ValueError(
                f"split.group: the largest group has {largest} samples, more than half a training "
                f"set of {members}; sets hold whole groups, so use a larger split.size or leave "
                "that group out of the data; equal inputs are a group unless split.copies is "
                "anywhere"
            )


@dataclass(frozen=True)
class Rows:
    """Rows of the prepared data that one model trains on, is tested on, or has as reference set.

    train, test, inference: sorted (k,) int64, pairwise disjoint; inference may be empty.
    """

    train: np.ndarray
    test: np.ndarray
    inference: np.ndarray

    def __post_init__(self) -> None:
        rows = np.concatenate([self.train, self.test, self.inference])
        if len(np.unique(rows)) != len(rows):
            raise AssertionError("train, test and inference rows must be disjoint")


def check_apart(target: Rows, shadows: Sequence[Rows]) -> None:
    """AssertionError if a shadow has trained on, or is tested on, what the target is judged by."""
    judged = np.concatenate([target.train, target.test])
    for number, rows in enumerate(shadows):
        if np.isin(np.concatenate([rows.train, rows.test]), judged).any():
            raise AssertionError(f"shadow {number} has rows that the target is evaluated on")


def evenly(n: int, count: int) -> np.ndarray:
    """`count` of the positions 0 … n − 1, sorted, as evenly apart as whole numbers allow."""
    return np.arange(count) * n // max(count, 1)


def deal(
    rows: np.ndarray,
    labels: np.ndarray,
    sets: int,
    size: int,
    stratified: bool,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """`sets` disjoint random sets of `size` rows each.

    Stratified: the shuffled rows are sorted by class and dealt to the sets in turn, so the count of
    a class differs by at most one between sets, and from its share of the data by less than one.
    ValueError if there are too few rows.
    """
    if sets * size > len(rows):
        raise ValueError(f"cannot deal {sets} sets of {size} from {len(rows)} rows")
    rows = rng.permutation(rows)
    if stratified:
        rows = rows[np.argsort(labels[rows], kind="stable")]
        rows = np.roll(rows, rng.integers(len(rows)))  # a lone row must not know its set
    chosen = rows[evenly(len(rows), sets * size)]
    return [chosen[k::sets] for k in range(sets)]


@dataclass(frozen=True)
class _Deck:
    """What all draws of one split have in common."""

    labels: np.ndarray
    options: SplitOptions
    seed: int
    groups: np.ndarray | None

    @property
    def size(self) -> int:
        return self.options.set_size(len(self.labels))

    def deal(self, rows: np.ndarray, sets: int, size: int, *purpose: int) -> list[np.ndarray]:
        """`sets` of `size` rows each, or of whole groups and as many rows at most."""
        rng, stratified = self._stream(purpose), self.options.stratified
        if self.groups is None:
            return deal(rows, self.labels, sets, size, stratified, rng)
        return deal_groups(rows, self.labels, self.groups, [size] * sets, stratified, rng)

    def halve(self, rows: np.ndarray, *purpose: int) -> list[np.ndarray]:
        """Two halves; of groups, all are in one or the other."""
        return self.deal(rows, 2, len(rows) // 2 if self.groups is None else len(rows), *purpose)

    def keep(self, train: np.ndarray, *purpose: int) -> list[np.ndarray]:
        """What of a training set is trained on, and what becomes its reference set."""
        kept = self.options.members(len(train))
        if self.groups is None or kept == len(train):
            inside = np.isin(np.arange(len(train)), evenly(len(train), kept))
            return [train[inside], train[~inside]]
        rng, sizes = self._stream(purpose), (kept, len(train) - kept)
        return deal_groups(train, self.labels, self.groups, sizes, self.options.stratified, rng)

    def base(self) -> list[np.ndarray]:
        """The sets that the scheme cuts the data into."""
        if self.groups is not None:
            self.options.check_groups(len(self.labels), largest(self.groups))
        every = np.arange(len(self.labels))
        return self.deal(every, SCHEMES[self.options.scheme], self.size, 0)

    def rows(self, piles: list[np.ndarray], shared: np.ndarray | None, *purpose: int) -> Rows:
        """piles: train, test and, where the scheme has one and none is shared, inference."""
        train, test, *rest = piles
        if self.options.scheme == "crl":
            train, inference = self.keep(train, *purpose)
        else:
            inference = rest[0] if shared is None else shared
        return Rows(np.sort(train), np.sort(test), np.sort(inference))

    def _stream(self, purpose: tuple[int, ...]) -> np.random.Generator:
        return np.random.default_rng([self.seed, *purpose])


def target_rows(
    labels: np.ndarray, options: SplitOptions, seed: int, groups: np.ndarray | None = None
) -> Rows:
    """The target's rows. labels, groups: (n,) int64. ValueError if the sets do not fit the data."""
    deck = _Deck(labels, options, seed, groups)
    piles = deck.base()
    shared = piles[4] if options.scheme == "relaxloss" else None
    return deck.rows(piles[: 3 if options.scheme == "past" else 2], shared, 5)


def shadow_rows(
    labels: np.ndarray, options: SplitOptions, seed: int, i: int, groups: np.ndarray | None = None
) -> Rows:
    """Shadow `i`'s rows, disjoint from the target's train and test rows.

    A function of (labels, options, seed, i, groups): independent of how many shadows there are.
    """
    deck = _Deck(labels, options, seed, groups)
    piles = deck.base()
    shared = piles[4] if options.scheme == "relaxloss" else None
    own = {"crl": piles[2:4], "relaxloss": piles[2:4], "past": piles[3:6]}[options.scheme]
    pool = np.sort(np.concatenate(own))
    return deck.rows(deck.deal(pool, len(own), deck.size, 1, i), shared, 5, 1, i)


def half_rows(
    labels: np.ndarray, options: SplitOptions, seed: int, i: int, groups: np.ndarray | None = None
) -> Rows:
    """Shadow `i`'s rows when it sees a random half of the target's members and non-members.

    The pool is what the target is evaluated on, so a shadow trains on as many samples as the
    target does. Shadows 2k and 2k + 1 split it between them: of any even number of shadows exactly
    half saw a given sample (Carlini et al. 2022, sect. VI). Reference sets are the attacker's, and
    none holds a sample of `known_rows`.
    """
    deck, target = _Deck(labels, options, seed, groups), target_rows(labels, options, seed, groups)
    piles = deck.base()
    halves = deck.halve(np.sort(np.concatenate([target.train, target.test])), 2, i // 2)
    if options.scheme == "relaxloss":
        inference = piles[4]
    else:
        others = np.sort(np.concatenate(piles[2:] if options.scheme == "crl" else piles[3:5]))
        [inference] = deck.deal(others, 1, len(target.inference), 3, i)
    train, test = halves if i % 2 == 0 else halves[::-1]
    return Rows(np.sort(train), np.sort(test), np.sort(inference))


def known_rows(
    labels: np.ndarray, options: SplitOptions, seed: int, groups: np.ndarray | None = None
) -> np.ndarray:
    """Rows of the attacker, sorted, that no model trains on under random_half in any way.

    Known non-members of the target and of each shadow alike: two sets of a scheme without reference
    sets or with one for all, the last of `past`, whose reference sets come from the others.
    """
    piles = _Deck(labels, options, seed, groups).base()
    own = {"crl": piles[2:4], "relaxloss": piles[2:4], "past": piles[5:]}[options.scheme]
    return np.sort(np.concatenate(own))


def draw_canaries(
    labels: np.ndarray, options: SplitOptions, seed: int, groups: np.ndarray | None = None
) -> Canaries:
    """Wrong labels for a share of the target's members and for as many of its non-members.

    The wrong class is any other, all equally likely. ValueError if the share rounds to no member.
    """
    if options.canaries == 0:
        return Canaries.none()
    target, rng = target_rows(labels, options, seed, groups), np.random.default_rng([seed, 4])
    count = options.canary_count(min(len(target.train), len(target.test)))
    parts = [rng.choice(part, count, replace=False) for part in (target.train, target.test)]
    rows = np.sort(np.concatenate(parts))
    classes = int(labels.max()) + 1
    wrong = (labels[rows] + rng.integers(1, classes, len(rows))) % classes
    return Canaries(rows, wrong.astype(np.int64))


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
