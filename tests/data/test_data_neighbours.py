"""Near-copies are found in any dimension, and not where data are dense, sparse or of few values."""

from __future__ import annotations

import time

import numpy as np
import pytest

from nonmember.data.neighbours import near_copies
from nonmember.data.summary import SHARE

RNG = np.random.default_rng(0)
PLAIN = {
    "one feature": RNG.normal(size=(3000, 1)),
    "two": RNG.normal(size=(3000, 2)),
    "five": RNG.normal(size=(3000, 5)),
    "fifty": RNG.normal(size=(3000, 50)),
    "heavy tails": RNG.lognormal(0, 2, (3000, 8)),
    "bits": RNG.integers(0, 2, (3000, 40)),
    "sparse bits": (RNG.random((3000, 300)) < RNG.beta(0.3, 10, (3000, 1))).astype(int),
    "bits and two numbers": np.c_[RNG.integers(0, 2, (3000, 10)), RNG.normal(size=(3000, 2))],
    "classes": np.eye(5)[RNG.integers(0, 5, 3000)] * 5 + RNG.normal(size=(3000, 5)),
    "a walk": np.cumsum(RNG.normal(size=(3000, 6)), 0),
}


def share(x: np.ndarray, groups: np.ndarray | None = None, pixels: bool = False) -> float:
    x = np.unique(x, axis=0) if groups is None else x
    near, asked = near_copies(x, np.arange(len(x)) if groups is None else groups, pixels)
    assert asked > 0
    return near / asked


@pytest.mark.parametrize("name", PLAIN)
def test_independent_records_are_no_copies(name: str) -> None:
    assert share(PLAIN[name]) < SHARE


@pytest.mark.parametrize(("features", "noise"), [(5, 0.01), (20, 0.02), (20, 0.1), (300, 0.1)])
@pytest.mark.parametrize("each", [2, 5])
def test_records_of_one_person_are_found(features: int, noise: float, each: int) -> None:
    people = np.repeat(RNG.normal(size=(3000 // each, features)), each, 0)
    x = people + noise * RNG.normal(size=people.shape)
    assert share(x) > 0.5
    assert share(x, np.arange(len(x)) // each) < SHARE  # known to belong together


def test_a_twentieth_of_copies_is_found() -> None:
    x = RNG.normal(size=(3000, 20))
    x[:150] = x[150:300] + 0.02 * RNG.normal(size=(150, 20))
    assert SHARE < share(x) < 0.2


def test_bits_that_differ_in_few_places_are_found() -> None:
    x = np.repeat(RNG.integers(0, 2, (600, 400)), 5, 0)
    assert share(x ^ (RNG.random(x.shape) < 0.02)) > 0.5


def test_pictures_with_a_little_noise_are_found() -> None:
    smooth = RNG.integers(20, 230, (500, 1, 12, 12))
    x = np.repeat(smooth, 3, 0)
    assert share((x + RNG.integers(-4, 5, x.shape)).astype(np.uint8), pixels=True) > 0.5
    assert share(smooth.astype(np.uint8), pixels=True) < SHARE


def test_large_data_take_seconds() -> None:
    """Two seconds on two cores; all pairs would take minutes."""
    start = time.perf_counter()
    assert share(RNG.normal(size=(30_000, 100)), np.arange(30_000)) < SHARE
    assert time.perf_counter() - start < 10
