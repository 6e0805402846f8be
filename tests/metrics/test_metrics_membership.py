"""Members and non-members apart, and random halves of both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nonmember.metrics.membership import by_membership, random_half


def test_scores_of_members_come_first_as_float64() -> None:
    inside, outside = by_membership(np.array([1, 2, 3], np.float32), np.array([1, 0, 1]))
    assert (inside.tolist(), outside.tolist()) == ([1, 3], [2])
    assert inside.dtype == outside.dtype == np.float64


@pytest.mark.parametrize(
    ("scores", "member", "message"),
    [
        (np.zeros(3), np.zeros(4), r"lira \(3,\) and member \(4,\) must be"),
        (np.zeros((3, 1)), np.zeros((3, 1)), r"lira \(3, 1\)"),
        (np.zeros(3), np.array([1, 0, -1]), "member of lira must be bool or 0/1"),
        (np.array([0, np.nan, np.inf]), np.array([1, 0, 1]), "2 of 3 .* first at position 1"),
        (np.zeros(3), np.ones(3), "lira need members and non-members, got 3 and 0"),
        (np.zeros(2), np.zeros(2, bool), "lira need members and non-members, got 0 and 2"),
    ],
)
def test_what_does_not_fit_is_named(scores: Any, member: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        by_membership(scores, member, "lira")


def test_a_half_has_half_of_each_rounded_down() -> None:
    member = np.arange(21) < 7
    half = random_half(member, np.random.default_rng(0))
    assert (half[member].sum(), half[~member].sum()) == (3, 7)


def test_each_sample_is_as_often_in_a_half_as_any_other_of_its_kind() -> None:
    member, rng = np.arange(12) < 5, np.random.default_rng(1)
    share = np.mean([random_half(member, rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(share, np.where(member, 2 / 5, 3 / 7), atol=0.035)


@pytest.mark.parametrize("members", [0, 1, 8, 9])
def test_one_of_a_kind_cannot_be_halved(members: int) -> None:
    with pytest.raises(ValueError, match=f"needs two of each, got {members} and {9 - members}"):
        random_half(np.arange(9) < members, np.random.default_rng(0))
