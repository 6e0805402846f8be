"""Who is a member of what: sizes, disjointness, balance; shadow i whatever their number."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nonmember.data.splits import (
    SCHEMES,
    Rows,
    SplitOptions,
    check_apart,
    count_duplicates,
    deal,
    draw_canaries,
    evenly,
    half_rows,
    known_rows,
    load_rows,
    save_rows,
    shadow_rows,
    target_rows,
)

schemes = st.sampled_from(sorted(SCHEMES))
seeds = st.integers(0, 2**31 - 1)


def draw_labels(n: int, classes: int, seed: int = 0) -> np.ndarray:
    """(n,) int64 of very unequal classes."""
    rng = np.random.default_rng(seed)
    return rng.choice(classes, n, p=rng.dirichlet(np.full(classes, 0.7)))


def parts(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return rows.train, rows.test, rows.inference


@settings(deadline=None)
@given(schemes, st.integers(12, 400), st.integers(1, 9), seeds, st.booleans(), st.integers(0, 4))
def test_every_scheme_on_any_data(
    scheme: str, n: int, classes: int, seed: int, stratified: bool, i: int
) -> None:
    """Set sizes of the papers; target and shadows share nothing but relaxloss' fifth set."""
    options = SplitOptions.model_validate({"scheme": scheme, "stratified": stratified})
    labels = draw_labels(n, classes, seed)
    size, target = n // SCHEMES[scheme], target_rows(labels, options, seed)
    shadow = shadow_rows(labels, options, seed, i)
    inference = 0 if scheme == "crl" else size
    for rows in (target, shadow):
        assert [len(part) for part in parts(rows)] == [size, size, inference]
        together = np.concatenate(parts(rows))
        assert len(set(together)) == len(together)
        assert together.min() >= 0
        assert together.max() < n
        assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts(rows))
    common = set(np.concatenate(parts(target))) & set(np.concatenate(parts(shadow)))
    assert common == (set(target.inference) if scheme == "relaxloss" else set())
    if scheme == "relaxloss":
        np.testing.assert_array_equal(target.inference, shadow.inference)


@settings(deadline=None)
@given(schemes, st.integers(2, 30), st.integers(0, 200), st.integers(1, 9), seeds)
def test_stratified_sets_have_the_same_share_of_each_class(
    scheme: str, size: int, spare: int, classes: int, seed: int
) -> None:
    """Also where a small `split.size` leaves much of the data out."""
    n = size * SCHEMES[scheme] + spare
    labels = draw_labels(n, classes, seed)
    target = target_rows(
        labels, SplitOptions.model_validate({"scheme": scheme, "size": size}), seed
    )
    share = np.bincount(labels, minlength=classes) * size / n
    counts = [np.bincount(labels[part], minlength=classes) for part in parts(target) if len(part)]
    for one, other in itertools.combinations(counts, 2):
        assert abs(one - other).max() <= 1
    assert all(abs(count - share).max() < 1 for count in counts)


@settings(deadline=None)
@given(st.integers(2, 30), st.integers(1, 9), seeds, st.integers(0, 5))
def test_shadows_are_stratified_like_their_pool(size: int, classes: int, seed: int, i: int) -> None:
    labels = draw_labels(size * 6, classes, seed)
    shadow = shadow_rows(labels, SplitOptions(scheme="past"), seed, i)
    counts = [np.bincount(labels[part], minlength=classes) for part in parts(shadow)]
    assert max(abs(a - b).max() for a, b in itertools.combinations(counts, 2)) <= 1


def test_without_stratification_the_balance_is_left_to_chance() -> None:
    labels = np.arange(600) % 2
    rows = target_rows(labels, SplitOptions(stratified=False), 0)
    assert labels[rows.train].mean() != 0.5
    balanced = target_rows(labels, SplitOptions(), 0)
    assert labels[balanced.train].mean() == 0.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("stratified", [True, False])
def test_each_row_is_equally_likely_in_each_set(scheme: str, stratified: bool) -> None:
    """Even the only row of its class: its set must not follow from the labels."""
    labels = np.array([0] * 7 + [1] * 4 + [2] * 2 + [3])
    options, runs = SplitOptions.model_validate({"scheme": scheme, "stratified": stratified}), 600
    hits = np.zeros((2, len(labels)))
    for seed in range(runs):
        rows = target_rows(labels, options, seed)
        hits[0, rows.train] += 1
        hits[1, rows.test] += 1
    p = (len(labels) // SCHEMES[scheme]) / len(labels)
    assert abs(hits / runs - p).max() < 5 * np.sqrt(p * (1 - p) / runs)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pure_functions_of_seed_and_index(scheme: str) -> None:
    labels, options = draw_labels(120, 4), SplitOptions.model_validate({"scheme": scheme})
    state = np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002 (that it stays untouched)
    for i in (0, 1, 7):
        first, again = (shadow_rows(labels, options, 3, i) for _ in range(2))
        for one, other in zip(parts(first), parts(again), strict=True):
            np.testing.assert_array_equal(one, other)
    different = [shadow_rows(labels, options, 3, i).train.tobytes() for i in range(8)]
    assert len(set(different)) == 8
    assert (target_rows(labels, options, 3).train != target_rows(labels, options, 4).train).any()
    assert (state == np.random.get_state(legacy=False)["state"]["key"]).all()  # noqa: NPY002


@pytest.mark.parametrize("scheme", SCHEMES)
def test_shadows_redraw_from_all_of_the_attackers_data(scheme: str) -> None:
    """Every row of the pool is a member of some shadow and a non-member of another."""
    labels, options = draw_labels(60, 3), SplitOptions.model_validate({"scheme": scheme})
    shadows = [shadow_rows(labels, options, 0, i) for i in range(30)]
    trained = set(np.concatenate([rows.train for rows in shadows]))
    tested = set(np.concatenate([rows.test for rows in shadows]))
    sets = {"crl": 2, "relaxloss": 2, "past": 3}[scheme]
    assert trained == tested
    assert len(trained) == sets * (60 // SCHEMES[scheme])


def test_size_makes_smaller_sets() -> None:
    rows = target_rows(draw_labels(1000, 5), SplitOptions(size=37), 0)
    assert [len(part) for part in parts(rows)] == [37, 37, 37]


@given(st.integers(2, 60), st.sampled_from([0.1, 0.25, 0.5, 0.7]), seeds, st.booleans())
def test_inference_share_cuts_the_training_set(
    size: int, share: float, seed: int, stratified: bool
) -> None:
    options = SplitOptions(scheme="crl", inference_share=share, stratified=stratified)
    plain = SplitOptions(scheme="crl", stratified=stratified)
    labels = draw_labels(4 * size, 4, seed)
    kept = options.members(size)
    if not 0 < kept < size:
        with pytest.raises(ValueError, match=r"inference_share: .* leaves the members or"):
            target_rows(labels, options, seed)
        return
    for rows, whole in (
        (target_rows(labels, options, seed), target_rows(labels, plain, seed)),
        (shadow_rows(labels, options, seed, 2), shadow_rows(labels, plain, seed, 2)),
    ):
        assert [len(part) for part in parts(rows)] == [kept, size, size - kept]
        np.testing.assert_array_equal(np.union1d(rows.train, rows.inference), whole.train)
        np.testing.assert_array_equal(rows.test, whole.test)
        if stratified:
            count = np.bincount(labels[rows.train], minlength=4)
            assert (
                abs(count - np.bincount(labels[whole.train], minlength=4) * kept / size) < 2
            ).all()


@pytest.mark.parametrize(("scheme", "sets"), [("crl", 4), ("relaxloss", 5), ("past", 6)])
def test_too_little_data(scheme: str, sets: int) -> None:
    """The message gives the numbers and the way out; one row less is one too few."""
    options = SplitOptions.model_validate({"scheme": scheme, "size": 10})
    assert options.set_size(sets * 10) == 10
    with pytest.raises(
        ValueError,
        match=rf"split\.size: scheme {scheme} needs {sets} sets of 10, {sets * 10} samples, the "
        rf"data has {sets * 10 - 1}; set it to 9 or less",
    ):
        options.set_size(sets * 10 - 1)
    with pytest.raises(ValueError, match=r"needs . sets of 2, .*; use a larger data set"):
        SplitOptions.model_validate({"scheme": scheme}).set_size(2 * sets - 1)
    assert SplitOptions.model_validate({"scheme": scheme}).set_size(2 * sets) == 2


def test_inference_share_is_for_crl_only() -> None:
    with pytest.raises(ValidationError, match="must be 0 with scheme past, which has a reference"):
        SplitOptions(inference_share=0.1)
    assert not SplitOptions(scheme="crl").has_inference
    assert SplitOptions(scheme="crl", inference_share=0.1).has_inference
    assert SplitOptions(scheme="relaxloss").has_inference


@given(st.integers(0, 200), st.integers(0, 200))
def test_spread_is_even(n: int, count: int) -> None:
    n, count = max(n, count), min(n, count)
    positions = evenly(n, count)
    assert len(positions) == count
    if count:
        gaps = np.diff(np.append(positions, n + positions[0]))  # round the circle
        assert gaps.min() >= n // count
        assert gaps.max() <= -(-n // count)


def test_deal_refuses_more_than_there_is() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="cannot deal 3 sets of 4 from 11 rows"):
        deal(np.arange(11), np.zeros(11, np.int64), 3, 4, True, rng)


def test_rows_must_not_overlap() -> None:
    a, b, empty = np.array([0, 1]), np.array([1, 2]), np.empty(0, np.int64)
    Rows(a, np.array([2]), empty)
    with pytest.raises(AssertionError, match="must be disjoint"):
        Rows(a, b, empty)


@given(seeds)
def test_duplicates_equal_the_slow_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = rng.integers(0, 2, (40, 2, 2)).astype(np.uint8)
    members, others = np.arange(0, 25), np.arange(25, 40)
    slow = sum(any((inputs[m] == inputs[o]).all() for m in members) for o in others)
    assert count_duplicates(inputs, members, others) == slow
    assert count_duplicates(inputs, members[:0], others) == 0


def test_rows_survive_the_file(tmp_path: Path) -> None:
    """Also more than nine and, with their names, a thousand."""
    labels, options = draw_labels(60, 3), SplitOptions(scheme="crl")
    models = {f"{i:03d}": shadow_rows(labels, options, 0, i) for i in (*range(11), 999, 1000)}
    save_rows(tmp_path / "rows.npz", models)
    for saved, loaded in zip(models.values(), load_rows(tmp_path / "rows.npz"), strict=True):
        for one, other in zip(parts(saved), parts(loaded), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_random_half_shows_every_sample_to_half_of_the_shadows(scheme: str) -> None:
    """The online attacks need both kinds of shadow for each sample, trained like the target."""
    options, labels = SplitOptions.model_validate({"scheme": scheme}), draw_labels(300, 4)
    target = target_rows(labels, options, 0)
    pool = set(target.train) | set(target.test)
    seen = np.zeros(300, int)
    for i in range(6):
        rows = half_rows(labels, options, 0, i)
        assert set(rows.train) | set(rows.test) == pool
        assert len(rows.train) == len(target.train)
        assert len(rows.inference) == len(target.inference)
        assert not set(rows.inference) & pool
        seen[rows.train] += 1
    assert set(seen[sorted(pool)]) == {3}


@settings(deadline=None)
@given(seeds, st.integers(0, 20))
def test_random_half_is_a_function_of_seed_and_index(seed: int, i: int) -> None:
    """Growing the number of shadows keeps the first; pairs complement each other."""
    options, labels = SplitOptions(scheme="crl"), draw_labels(80, 3)
    rows, again = (half_rows(labels, options, seed, i) for _ in range(2))
    np.testing.assert_array_equal(rows.train, again.train)
    other = half_rows(labels, options, seed, i ^ 1)
    np.testing.assert_array_equal(rows.train, other.test)
    later = half_rows(labels, options, seed, i + 2)
    assert not np.array_equal(rows.train, later.train)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_canaries_are_as_many_members_as_non_members_with_wrong_labels(share: float) -> None:
    options, labels = SplitOptions(canaries=share), draw_labels(1200, 5)
    target, canaries = target_rows(labels, options, 0), draw_canaries(labels, options, 0)
    count = round(share * len(target.train))
    assert np.isin(canaries.rows, target.train).sum() == count
    assert np.isin(canaries.rows, target.test).sum() == count
    assert len(canaries.rows) == 2 * count
    assert (canaries.labels != labels[canaries.rows]).all()
    assert ((canaries.labels >= 0) & (canaries.labels < 5)).all()


def test_too_few_members_for_a_canary() -> None:
    with pytest.raises(ValueError, match=r"split\.canaries: 0.01 of 20 members is 0; must be two"):
        draw_canaries(draw_labels(120, 3), SplitOptions(canaries=0.01), 0)


def test_a_shadow_that_saw_the_targets_samples_is_refused() -> None:
    labels = np.arange(120) % 3
    options = SplitOptions(scheme="past")
    target = target_rows(labels, options, 0)
    honest = shadow_rows(labels, options, 0, 0)
    check_apart(target, [honest])
    with pytest.raises(AssertionError, match="shadow 1 has rows that the target is evaluated on"):
        check_apart(target, [honest, Rows(honest.train, target.train[:3], honest.inference)])


@pytest.mark.parametrize("judged", ["train", "test"])
@pytest.mark.parametrize("used", ["train", "test"])
def test_a_shadow_is_apart_from_both_sets_with_both_of_its_own(judged: str, used: str) -> None:
    options, labels = SplitOptions(scheme="past"), draw_labels(120, 3)
    target, honest = target_rows(labels, options, 0), shadow_rows(labels, options, 0, 0)
    shadow = dataclasses.replace(honest, **{used: getattr(target, judged)[:1]})
    with pytest.raises(AssertionError, match="shadow 0"):
        check_apart(target, [shadow])


def test_canaries_follow_the_seed_and_take_every_other_class() -> None:
    labels, options = draw_labels(4000, 5), SplitOptions(canaries=0.5)
    target = target_rows(labels, options, 1)
    one, again, other = (draw_canaries(labels, options, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.rows, again.rows)
    assert len(np.setdiff1d(one.rows, other.rows)) > 0
    members = np.isin(target.train, one.rows)
    assert 0 < members[: len(members) // 2].mean() < 1  # not the first ones
    steps = np.bincount((one.labels - labels[one.rows]) % 5, minlength=5)
    assert steps[0] == 0
    assert steps[1:].min() > 0.7 * steps[1:].mean()


def test_every_draw_follows_the_seed_within_its_pool() -> None:
    """The pool itself does; so that alone would change the rows."""
    labels = np.zeros(240, np.int64)
    options = SplitOptions(scheme="past", stratified=False, canaries=0.5)
    for draw in (shadow_rows, half_rows):
        drawn = [draw(labels, options, seed, 0) for seed in (1, 2)]
        places = [np.isin(np.sort(np.concatenate(parts(r)[:2])), r.train) for r in drawn]
        assert not np.array_equal(places[0], places[1])
    labels[::2] = 1
    chosen = [draw_canaries(labels, options, seed).rows for seed in (1, 2)]
    places = [np.isin(target_rows(labels, options, s + 1).train, c) for s, c in enumerate(chosen)]
    assert not np.array_equal(places[0], places[1])


def test_random_halves_are_stratified() -> None:
    labels = draw_labels(600, 3)
    rows = half_rows(labels, SplitOptions(scheme="past"), 0, 0)
    for part in (rows.train, rows.test):
        counts = np.bincount(labels[part], minlength=3)
        assert np.abs(counts - np.bincount(labels, minlength=3) * len(part) / 600).max() <= 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_under_random_half_no_model_has_trained_on_the_known_rows(scheme: str) -> None:
    """They are the non-members that an attack may learn from: members would teach it nonsense."""
    labels = np.random.default_rng(0).integers(4, size=240)
    options = SplitOptions.model_validate({"scheme": scheme})
    known = known_rows(labels, options, 3)
    assert len(known) >= 240 // 6
    models = [
        target_rows(labels, options, 3),
        *(half_rows(labels, options, 3, i) for i in range(6)),
    ]
    for rows in models:
        for part in (rows.train, rows.test, rows.inference):
            assert not np.isin(known, part).any()
