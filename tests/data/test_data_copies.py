"""Equal inputs are in one set, for every scheme and assignment; without any, nothing changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from nonmember import files
from nonmember.data import prepared
from nonmember.data.copies import first_equal, together
from nonmember.data.splits import (
    SCHEMES,
    SplitOptions,
    half_rows,
    load_rows,
    shadow_rows,
    target_rows,
)
from nonmember.datasets import Arrays
from nonmember.kinds import TABLE
from nonmember.pipeline.split import split

seeds = st.integers(0, 2**31 - 1)


def apart(sides: list[np.ndarray], inputs: np.ndarray) -> bool:
    """No input is on two sides."""
    seen: set[bytes] = set()
    for side in sides:
        own = {inputs[row].tobytes() for row in side}
        if own & seen:
            return False
        seen |= own
    return True


@settings(deadline=None)
@given(
    st.sampled_from(sorted(SCHEMES)), st.sampled_from(["split", "random_half"]), seeds,
    st.integers(2, 5),
)  # fmt: skip
def test_copies_are_in_one_set(scheme: Any, assignment: str, seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = rng.permutation(np.repeat(rng.normal(size=(260, 2)), rng.integers(1, most, 260), 0))
    labels, options = rng.integers(3, size=len(inputs)), SplitOptions(scheme=scheme)
    groups = together(inputs, None)
    target = target_rows(labels, options, seed, groups)
    assert apart([target.train, target.test, target.inference], inputs)
    draw = half_rows if assignment == "random_half" else shadow_rows
    for i in range(3):
        rows = draw(labels, options, seed, i, groups)
        assert apart([rows.train, rows.test, rows.inference], inputs)
        if assignment == "split":
            judged = np.concatenate([target.train, target.test])
            assert apart([judged, np.concatenate([rows.train, rows.test])], inputs)


@given(st.integers(1, 60), seeds)
def test_groups_and_copies_together_are_the_smallest_that_hold_both(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, groups = rng.integers(0, n, (n, 1)), rng.integers(0, n, n)
    found = together(inputs, groups)
    assert found is not None
    links = (inputs == inputs.T) | (groups[:, None] == groups[None])
    reach = np.linalg.matrix_power(links.astype(float), n) > 0
    np.testing.assert_array_equal(found[:, None] == found[None], reach)


def test_without_copies_groups_stay_as_they_are() -> None:
    inputs, groups = np.arange(8)[:, None], np.arange(8) // 2
    assert together(inputs, None) is None
    assert together(inputs, groups) is groups


def test_zeros_of_either_sign_are_equal() -> None:
    assert first_equal(np.array([[0.0, 1], [-0.0, 1], [0, 2]])).tolist() == [0, 0, 2]


@pytest.mark.parametrize("copies", ["together", "anywhere"])
def test_the_stage_keeps_copies_together_unless_told_otherwise(tmp_path: Path, copies: str) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.permutation(np.repeat(rng.normal(size=(200, 3)), 3, 0)).astype(np.float32)
    arrays = Arrays(inputs, np.arange(600) % 2, ["a", "b"], kind=TABLE)
    prepared.save(arrays, "tripled", tmp_path / "data/prepared")
    config = {"scheme": "past", "seed": 0, "copies": copies}
    files.write_json(tmp_path / "data/config/split.json", config)
    attacker = {"assignment": "split", "count": 2}
    files.write_json(tmp_path / "data/config/shadows.json", attacker)
    split(tmp_path)
    [target] = load_rows(tmp_path / "data/split/target.npz")
    kept = copies == "together"
    assert apart([target.train, target.test], inputs) == kept
    report = files.read_json(tmp_path / "data/split/report.json")
    assert (report["duplicates"] == 0) == kept


def test_data_without_copies_are_dealt_as_ever(tmp_path: Path) -> None:
    data = tiny.save(tmp_path)
    assert together(data.inputs, data.groups) is None
