"""Records that belong together are on one side of every cut; without groups nothing changes."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from nonmember import files
from nonmember.data import prepared
from nonmember.data.groups import deal_groups
from nonmember.data.splits import (
    SCHEMES,
    Rows,
    SplitOptions,
    draw_canaries,
    half_rows,
    load_rows,
    shadow_rows,
    target_rows,
)
from nonmember.kinds import largest
from nonmember.pipeline.split import split

schemes = st.sampled_from(sorted(SCHEMES))
seeds = st.integers(0, 2**31 - 1)


def draw(n: int, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n,) labels of three classes and (n,) groups of 1 to `most`, mostly of one class each."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n), rng.integers(1, most + 1, n))[:n]
    labels = np.where(rng.random(n) < 0.8, rng.integers(3, size=n)[groups], rng.integers(3, size=n))
    order = rng.permutation(n)
    return labels[order], groups[order]


def parts(rows: Rows) -> list[np.ndarray]:
    return [part for part in (rows.train, rows.test, rows.inference) if len(part)]


def apart(sides: list[np.ndarray], groups: np.ndarray) -> bool:
    """Whether no group is on two sides."""
    return all(
        not set(groups[one]) & set(groups[other]) for one, other in itertools.combinations(sides, 2)
    )


@settings(deadline=None)
@given(schemes, st.integers(1, 5), seeds, st.booleans(), st.sampled_from([None, 30]))
def test_no_group_is_on_two_sides(
    scheme: str, most: int, seed: int, stratified: bool, size: int | None
) -> None:
    """Of the target, of a shadow, and between what judges the target and what shadows saw."""
    labels, groups = draw(260, most, seed)
    options = SplitOptions.model_validate(
        {"scheme": scheme, "stratified": stratified, "size": size}
    )
    target = target_rows(labels, options, seed, groups)
    assert apart(parts(target), groups)
    most_of_all, size = largest(groups), options.set_size(260)
    assert all(size - most_of_all < len(part) <= size for part in parts(target))
    for i in range(3):
        shadow = shadow_rows(labels, options, seed, i, groups)
        assert apart(parts(shadow), groups)
        judged = np.concatenate([target.train, target.test])
        assert apart([judged, np.concatenate([shadow.train, shadow.test])], groups)
        sizes = [len(part) for part in parts(shadow)]
        assert max(sizes) - min(sizes) <= 2 * most_of_all
        assert max(sizes) <= size


@settings(deadline=None)
@given(schemes, st.integers(1, 5), seeds, st.integers(0, 3))
def test_random_halves_of_whole_groups_stay_complements(
    scheme: str, most: int, seed: int, pair: int
) -> None:
    labels, groups = draw(260, most, seed)
    options = SplitOptions.model_validate({"scheme": scheme})
    target = target_rows(labels, options, seed, groups)
    one, other = (half_rows(labels, options, seed, 2 * pair + k, groups) for k in (0, 1))
    np.testing.assert_array_equal(one.train, other.test)
    np.testing.assert_array_equal(one.test, other.train)
    pool = np.sort(np.concatenate([target.train, target.test]))
    np.testing.assert_array_equal(np.sort(np.concatenate([one.train, one.test])), pool)
    assert abs(len(one.train) - len(one.test)) <= largest(groups)
    assert apart(parts(one), groups)
    assert apart(parts(other), groups)


@settings(deadline=None)
@given(st.integers(1, 4), seeds, st.floats(0.2, 0.5))
def test_an_inference_share_is_of_whole_groups(most: int, seed: int, share: float) -> None:
    labels, groups = draw(260, most, seed)
    options = SplitOptions(scheme="crl", inference_share=share)
    for rows in (
        target_rows(labels, options, seed, groups),
        shadow_rows(labels, options, seed, 1, groups),
    ):
        assert len(parts(rows)) == 3
        assert apart(parts(rows), groups)
        assert len(rows.train) <= options.members(65)


@settings(deadline=None)
@given(schemes, seeds, st.integers(0, 3))
def test_canaries_stay_in_the_targets_sets(scheme: str, seed: int, most: int) -> None:
    labels, groups = draw(260, most + 1, seed)
    options = SplitOptions.model_validate({"scheme": scheme, "canaries": 0.2})
    target = target_rows(labels, options, seed, groups)
    canaries = draw_canaries(labels, options, seed, groups)
    inside = [int(np.isin(canaries.rows, part).sum()) for part in (target.train, target.test)]
    assert inside[0] == inside[1] == len(canaries.rows) / 2 > 0


def test_sets_are_stratified_as_well_as_groups_allow() -> None:
    """A hundred pairs of one class each: every set has its share of each class within a pair."""
    groups = np.repeat(np.arange(120), 2)
    labels = np.repeat(np.arange(3), 80)
    rows = target_rows(labels, SplitOptions(scheme="crl"), 0, groups)
    for part in (rows.train, rows.test):
        counts = np.bincount(labels[part], minlength=3)
        assert (abs(counts - 20) <= 2).all()


def test_the_set_of_a_group_does_not_follow_from_its_size_or_class() -> None:
    """The only large group, of a class of its own, is in each of four sets equally often."""
    groups = np.concatenate([np.zeros(6, np.int64), np.arange(1, 43)])
    labels = np.concatenate([np.ones(6, np.int64), np.zeros(42, np.int64)])
    hits = np.zeros(4)
    for seed in range(400):
        rng = np.random.default_rng(seed)
        piles = deal_groups(np.arange(48), labels, groups, [12] * 4, True, rng)
        hits += [0 in pile for pile in piles]
    assert hits.sum() == 400
    assert abs(hits / 400 - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 400)


def test_a_group_larger_than_half_a_set_is_refused() -> None:
    labels, groups = np.arange(240) % 2, np.maximum(np.arange(240) - 30, 0)  # the first has 31
    with pytest.raises(ValueError, match=r"largest group has 31 .*half a training set of 40"):
        target_rows(labels, SplitOptions(scheme="past"), 0, groups)
    groups = np.maximum(np.arange(240) - 19, 0)  # the first has 20
    assert apart(parts(target_rows(labels, SplitOptions(scheme="past"), 0, groups)), groups)


def test_small_sets_are_not_made_of_large_groups_alone() -> None:
    """Half of the records are in groups of four, in the whole data and in a tenth of it."""
    groups = np.concatenate([np.repeat(np.arange(100), 4), 100 + np.arange(400)])
    large, labels = np.arange(800) < 400, np.arange(800) % 2
    shares = [
        large[target_rows(labels, SplitOptions(scheme="crl", size=20), seed, groups).train].mean()
        for seed in range(200)
    ]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.06)


GOLDEN = {
    ("crl", 0.25): "b35cefb8355511ce",
    ("crl", 0.0): "df9679a774df000d",
    ("past", 0.0): "33cfe95183da9dc3",
    ("relaxloss", 0.0): "18d564cb60ac06d1",
}


@pytest.mark.parametrize(("scheme", "share"), GOLDEN)
def test_without_groups_every_row_is_where_it_always_was(scheme: str, share: float) -> None:
    """Digests from before there were groups; NumPy promises its streams within a generator."""
    labels = np.random.default_rng(5).choice(5, 403, p=[0.4, 0.3, 0.2, 0.05, 0.05])
    options = SplitOptions.model_validate(
        {"scheme": scheme, "inference_share": share, "canaries": 0.1}
    )
    drawn = [target_rows(labels, options, 7)]
    drawn += [shadow_rows(labels, options, 7, i) for i in range(2)]
    drawn += [half_rows(labels, options, 7, i) for i in range(2)]
    digest = hashlib.sha256()
    for rows in drawn:
        for part in (rows.train, rows.test, rows.inference):
            digest.update(part.astype("<i8").tobytes() + b"/")
    canaries = draw_canaries(labels, options, 7)
    digest.update(canaries.rows.tobytes() + canaries.labels.tobytes())
    assert digest.hexdigest()[:16] == GOLDEN[scheme, share]


@pytest.mark.parametrize("assignment", ["split", "random_half"])
def test_the_stage_deals_the_groups_of_the_data(
    tmp_path: Path, assignment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = np.random.default_rng(0).permutation(np.arange(144) // 3)
    arrays = replace(tiny.arrays((5,)), groups=groups)
    prepared.save(arrays, "tiny", tmp_path / "data/prepared")
    files.write_json(tmp_path / "data/config/split.json", {"scheme": "past", "seed": 0})
    attacker = {"assignment": assignment, "count": 2}
    files.write_json(tmp_path / "data/config/shadows.json", attacker)
    split(tmp_path)
    [target] = load_rows(tmp_path / "data/split/target.npz")
    for rows in (target, *load_rows(tmp_path / "data/split/shadows.npz")):
        assert apart(parts(rows), groups)
    report = files.read_json(tmp_path / "data/split/report.json")
    assert report["groups"] == {"train": 8, "test": 8, "inference": 8}
    assert "of whole groups, 8 and 8" in capsys.readouterr().out
