"""What stands for no label, or for one class twice, never becomes a class without a word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nonmember.datasets._labels import LabelOptions, Labels, read_labels


def read(labels: Any, accept: tuple[str, ...] = (), **options: Any) -> Labels:
    return read_labels(np.array(labels), LabelOptions(**options), accept)


@pytest.mark.parametrize(
    ("labels", "stands"),
    [
        ([0, 1, 2, -1], "-1"),  # as unlabelled points have in scikit-learn
        ([1, 2, 3, 99], "99"),  # a questionnaire's "no answer"
        ([0, 1, 2, 255], "255"),  # a byte's largest, in masks
        ([0, 1, -999], "-999"),
        (["a", "b", "NA"], "NA"),
        (["a", "b", "N/A"], "N/A"),
        (["a", "b", "<NULL>"], "<NULL>"),
        (["a", "b", "Unknown"], "Unknown"),
        (["a", "b", "?"], "?"),
        (["a", "b", ""], ""),
        (["a", "b", "-1"], "-1"),  # a number among words
        (["0", "1", "none"], "none"),
        ([0.0, 1.0, np.nan], "nan"),
    ],
)
def test_a_stand_in_is_refused_and_can_be_left_out(labels: list[Any], stands: str) -> None:
    with pytest.raises(ValueError, match=r"stand for no label.*dataset\.unlabelled") as error:
        read(labels * 5)
    assert f"'{stands}' (5 samples)" in str(error.value)
    left = read(labels * 5, unlabelled=[stands])
    assert left.kept.sum() == len(left.codes) == 5 * (len(labels) - 1)
    assert stands not in left.names
    assert left.skipped == ["skipped samples: 5 without a label (dataset.unlabelled)"]
    [notice] = read(labels * 5, ("missing_labels",)).notices
    assert notice.name == "missing_labels"


@pytest.mark.parametrize(
    "labels",
    [
        [-1, 1],  # the two sides of a hyperplane
        [3, 5, 9],
        [-2, -1, 0, 1, 2],
        [0, 1, 2, 3],
        list(range(100)),
        ["cat", "dog"],
        ["A+", "A-", "A"],
        ["c", "c++", "c#"],
    ],
)
def test_plain_labels_are_let_pass(labels: list[Any]) -> None:
    assert read(labels * 3).notices == []


def test_minus_one_beside_zero_and_one_may_be_a_scale() -> None:
    [notice] = read([-1, 0, 1] * 4).notices
    assert "may stand for no label" in notice.says


@pytest.mark.parametrize(
    "alike",
    [
        ("x", "X"),
        ("x", "x."),
        ("new york", "New_York"),
        ("caf\u00e9", "cafe\u0301"),  # composed and decomposed
        ("ﬁn", "fin"),  # a ligature
        ("x", "x\u200b"),  # a space of no width
        ("1", "01"),
    ],
)
def test_one_class_in_two_spellings_is_refused_or_folded(alike: tuple[str, str]) -> None:
    labels = [alike[0]] * 5 + [alike[1]] * 4 + ["7"] * 5
    with pytest.raises(ValueError, match=r"several spellings.*dataset\.fold_labels") as error:
        read(labels)
    assert repr(alike[0]) in str(error.value)
    folded = read(labels, fold_labels=True)
    assert len(folded.names) == 2
    assert sorted(np.bincount(folded.codes).tolist()) == [5, 9]
    assert len(read(labels, ("spellings",)).names) == 3


def test_numbers_written_in_two_ways_are_one_class() -> None:
    assert read(["1", "1.0", "2", "2."] * 2).names == ["1", "2"]


def test_a_label_to_leave_out_must_occur() -> None:
    with pytest.raises(ValueError, match=r"dataset\.unlabelled: no sample has the label 'z'"):
        read(["a", "b"] * 3, unlabelled=["z"])


def test_codes_follow_the_order_of_the_names() -> None:
    labels = np.random.default_rng(0).integers(-5, 5, 200) * 7
    found = read(labels)
    assert np.array_equal(np.array(found.names, int)[found.codes], labels)
    assert read(["10", "9", "2"] * 2).names == ["2", "9", "10"]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["10000000000000000001", "10000000000000000002"], None),  # more digits than a number holds
        (["1_0", "10"], ["10", "1_0"]),  # Python reads both as ten
        ([" 2", "10", "2", "10 "], ["2", "10"]),
    ],
)
def test_labels_are_numbers_only_where_nothing_is_lost(labels: Any, names: Any) -> None:
    assert read(labels * 2).names == (names or labels)


@pytest.mark.parametrize("labels", [[0.5, 1.5] * 3, ["0.5", "1.5"] * 3])
def test_a_regression_is_refused(labels: list[Any]) -> None:
    with pytest.raises(ValueError, match="only classification is audited"):
        read(labels)
