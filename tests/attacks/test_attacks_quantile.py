"""The attack quantile: what its units are, what it learns from, and what it must not learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nonmember.attacks import Attack, attacks
from nonmember.views import View


def quantile(**options: Any) -> Attack:
    return attacks.get("quantile")(**options)


def view(
    labels: np.ndarray,
    odds: np.ndarray,
    classes: int,
    inputs: np.ndarray | None = None,
    public: View | None = None,
) -> View:
    """Samples with these log-odds of their class; all inputs alike unless given."""
    rows = np.arange(len(labels))
    logits = np.zeros((len(labels), classes), np.float32)
    logits[rows, labels] = odds + np.log(classes - 1)
    if inputs is None:
        inputs = np.zeros((len(labels), 1), np.float32)
    read = None if public is None else lambda: public
    return View(rows, labels, logits, {}, rows < 0, inputs=inputs, read_public=read)


def known(classes: int, each: int, seed: int, spread: float = 0.0) -> View:
    """Non-members with noise for log-odds, around `spread` times the number of the class."""
    labels = np.repeat(np.arange(classes), each)
    noise = np.random.default_rng(seed).normal(size=len(labels))
    return view(labels, noise + spread * labels, classes)


@pytest.mark.parametrize(("level", "deviations"), [(0.9, 1.2816), (0.7, 0.5244)])
def test_the_median_of_the_non_members_is_0_and_their_quantile_1(
    level: float, deviations: float
) -> None:
    others = known(3, 3000, seed=0, spread=8.0)
    labels = np.arange(3)
    for above, unit in ((0.0, 0.0), (deviations, 1.0)):
        asked = view(labels, 8.0 * labels + above, 3, public=others)
        np.testing.assert_allclose(quantile(quantile_level=level).score(asked), unit, atol=0.2)


def test_what_a_sample_looks_like_decides_what_is_expected_of_it() -> None:
    """The same answer is too sure for an input that models find hard, unsure for an easy one."""
    rng = np.random.default_rng(0)
    looks = rng.choice([-1.0, 1.0], size=(400, 1)).astype(np.float32)
    labels = np.zeros(400, int)
    others = view(labels, 3 * looks[:, 0] + rng.normal(size=400), 2, looks)
    asked = view(labels[:2], np.zeros(2), 2, np.array([[-1], [1]], np.float32), others)
    hard, easy = quantile().score(asked)
    assert hard > 1.5
    assert easy < -1.5


@pytest.mark.parametrize("each", [20, 50])
def test_classes_that_do_not_differ_are_not_told_apart(each: int) -> None:
    """A class mean that leaves out the sample alone tells the trees that sample's own log-odds:
    what they expect then hangs on the noise of the mean (a deviation of .25 and more here). One
    with the sample makes them follow that noise (.20 with 20 samples a class)."""
    labels = np.arange(100)
    asked = [view(labels, np.zeros(100), 100, public=known(100, each, s)) for s in range(5)]
    assert np.mean([quantile().score(one).std() for one in asked]) < 0.18


@pytest.mark.parametrize("leaves", [2, 8])
def test_one_tree_tells_no_more_apart_than_it_has_leaves(leaves: int) -> None:
    others = known(100, 50, seed=0, spread=0.1)
    asked = view(np.arange(100), np.zeros(100), 100, public=others)
    scores = quantile(quantile_trees=1, quantile_leaves=leaves).score(asked)
    assert leaves <= len(np.unique(scores)) <= leaves**2  # of the median, and of the quantile


@pytest.mark.parametrize("count", [0, 49])
def test_too_few_known_non_members_are_an_error(count: int) -> None:
    public = known(7, count // 7, seed=0) if count else None
    asked = view(np.zeros(1, int), np.zeros(1), 7, public=public)
    with pytest.raises(ValueError, match=f"needs 50 non-members .*found {count}"):
        quantile().score(asked)
