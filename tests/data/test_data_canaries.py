"""Canaries: only their own labels change, for whoever trains on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nonmember.data.canaries import Canaries


@pytest.fixture
def canaries() -> Canaries:
    return Canaries(np.array([3, 8]), np.array([1, 2]))


def test_they_change_only_their_own_labels(canaries: Canaries) -> None:
    rows = np.array([8, 1, 3, 5])
    np.testing.assert_array_equal(canaries.relabel(rows, np.zeros(4, np.int64)), [2, 0, 1, 0])
    np.testing.assert_array_equal(canaries.among(rows), [True, False, True, False])


@pytest.mark.parametrize("seed", range(3))
def test_relabelling_is_its_slow_twin_and_leaves_the_labels_it_was_given(seed: int) -> None:
    rng = np.random.default_rng(seed)
    planted = Canaries(np.sort(rng.permutation(50)[:12]), rng.integers(5, size=12))
    rows, labels = rng.permutation(50)[:30], rng.integers(5, size=30)
    wrong = dict(zip(planted.rows.tolist(), planted.labels.tolist(), strict=True))
    slow = [wrong.get(row, label) for row, label in zip(rows.tolist(), labels, strict=True)]
    before = labels.copy()
    np.testing.assert_array_equal(planted.relabel(rows, labels), slow)
    np.testing.assert_array_equal(labels, before)


def test_those_within_some_rows_keep_their_labels(canaries: Canaries) -> None:
    inside = canaries.within(np.array([9, 8, 1]))
    assert (inside.rows.tolist(), inside.labels.tolist()) == ([8], [2])


def test_none_changes_nothing() -> None:
    labels = np.array([4, 2])
    np.testing.assert_array_equal(Canaries.none().relabel(np.array([0, 1]), labels), labels)
    assert not Canaries.none().among(np.array([0, 1])).any()


def test_they_survive_the_file(canaries: Canaries, tmp_path: Path) -> None:
    canaries.save(tmp_path / "canaries.npz")
    again = Canaries.load(tmp_path / "canaries.npz")
    np.testing.assert_array_equal(again.rows, canaries.rows)
    np.testing.assert_array_equal(again.labels, canaries.labels)
    assert again.rows.dtype == np.int64
