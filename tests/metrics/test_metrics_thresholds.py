"""Thresholds: the best of all, the highest of ties, one a class where there are samples for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonmember.metrics.thresholds import cuts, fit_class_thresholds, fit_threshold, rows_by_class


def gaussian(
    rng: np.random.Generator, members: int, others: int, shift: float
) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores, the members' mean `shift` higher."""
    member = np.arange(members + others) < members
    return rng.normal(size=len(member)) + shift * member, member


@pytest.mark.parametrize(
    ("scores", "member", "threshold"),
    [
        ([1, 2, 5, 8], [0, 0, 1, 1], 3.5),
        ([1, 2, 5, 8], [1, 1, 0, 0], np.inf),  # nothing beats accusing nobody
        ([3, 3, 3], [0, 1, 1], np.inf),
        ([1, 2, 3, 4], [0, 1, 0, 1], 3.5),  # 1.5 is as good: the higher one
        ([0, np.nextafter(0, 1)], [0, 1], np.nextafter(0, 1)),  # no number in between
        ([-1.7e308, 1.7e308], [0, 1], 0),
    ],
)
def test_threshold_by_hand(scores: Any, member: Any, threshold: Any) -> None:
    assert fit_threshold(np.array(scores, float), np.array(member)) == threshold


def test_class_thresholds_equal_each_class_alone() -> None:
    rng = np.random.default_rng(8)
    scores, member = gaussian(rng, 300, 300, 1.0)
    labels = rng.integers(3, size=600)
    scores += 10 * labels
    got = fit_class_thresholds(scores, member, labels, 3)
    for label in range(3):
        rows = labels == label
        assert got[label] == fit_threshold(scores[rows], member[rows])


def test_small_and_empty_classes_use_the_global_threshold() -> None:
    rng = np.random.default_rng(9)
    scores, member = gaussian(rng, 100, 100, 1.0)
    labels = np.zeros(200, int)
    labels[:9] = 1  # 9 members, no non-member
    labels[100:112] = labels[9:18] = 2  # 9 members, 12 non-members
    overall = fit_threshold(scores, member)
    got = fit_class_thresholds(scores, member, labels, 5)
    assert got[1:].tolist() == [overall] * 4
    assert fit_class_thresholds(scores, member, labels, 5, min_class_samples=9)[2] != overall


def test_the_middle_of_two_large_scores_does_not_overflow() -> None:
    scores = np.array([1.2e308, 1.6e308])
    assert fit_threshold(scores, np.array([False, True])) == pytest.approx(1.4e308)


@given(st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=1, max_size=40))
def test_cuts_count_who_is_at_or_above_each_threshold(pairs: Any) -> None:
    scores = np.array([float(score) for score, _ in pairs])
    member = np.array([inside for _, inside in pairs])
    thresholds, hits, alarms = cuts(scores, member)
    assert thresholds[[0, -1]].tolist() == [np.inf, -np.inf]
    assert (np.diff(thresholds) < 0).all()
    assert len(thresholds) == len(np.unique(scores)) + 1
    assert hits.tolist() == [(scores[member] >= t).sum() for t in thresholds]
    assert alarms.tolist() == [(scores[~member] >= t).sum() for t in thresholds]


def test_rows_of_each_class_are_a_slow_search() -> None:
    labels = np.random.default_rng(0).integers(4, size=50)
    labels[labels == 2] = 3
    rows = rows_by_class(labels, 6)
    assert [part.tolist() for part in rows] == [
        [i for i, label in enumerate(labels) if label == k] for k in range(6)
    ]


def test_labels_must_be_there_for_each_score_and_in_range() -> None:
    scores, member = gaussian(np.random.default_rng(0), 5, 5, 1.0)
    for labels in (np.full(10, 2), np.full(10, -1), np.zeros(9, int)):
        with pytest.raises(ValueError, match=r"labels must be \(10,\) in 0 … 1"):
            fit_class_thresholds(scores, member, labels, 2)
