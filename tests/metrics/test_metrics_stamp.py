"""A stamp says in a line what numbers are of, and names every difference."""

from __future__ import annotations

from typing import Any

import pytest
import reports
from pydantic import ValidationError

from nonmember.metrics.stamp import Origin

ORIGIN_LINE = (
    "data digits (01234567), 1797 records, 10 classes · 200 members, 199 non-members · seed 7"
)


def test_the_line_of_an_origin() -> None:
    assert reports.origin().line() == ORIGIN_LINE


def test_the_line_of_a_stamp_adds_what_made_the_numbers() -> None:
    assert reports.stamp().line() == (
        f"{ORIGIN_LINE} · nonmember 1.2.3, torch 2.9.0, numpy 2.1.0 · model fedcba98, code abcdef01"
    )


def test_the_short_line_is_of_no_single_model() -> None:
    assert reports.stamp().short() == f"{ORIGIN_LINE} · nonmember 1.2.3, code abcdef01"
    other = reports.stamp(model="0" * 16)
    assert other.short() == reports.stamp().short()


def test_the_settings_that_differ_from_the_defaults() -> None:
    words = "settings that differ from the defaults: "
    assert reports.stamp().changed() == (
        f"{words}model.widths [32], train.lr 0.05, defense.name crl"
    )
    assert reports.stamp(settings={}).changed() == f"{words}none"


def test_a_long_setting_is_cut() -> None:
    changed = reports.origin(settings={"a.b": "x" * 40, "c.d": "y" * 41}).changed()
    assert changed.endswith(f": a.b {'x' * 40}, c.d {'y' * 12}…")


def test_equal_origins_have_no_problems() -> None:
    """What made the numbers is not compared: the present has no model and no versions."""
    assert reports.stamp().problems(reports.origin()) == []
    assert reports.stamp(model="0", code="1", versions={}).problems(reports.origin()) == []


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("data", "shoppers", "data was digits, is shoppers"),
        ("sha256", "f" * 64, "sha256 was 0123456789ab…, is ffffffffffff…"),
        ("n", 1798, "n was 1797, is 1798"),
        ("classes", 11, "classes was 10, is 11"),
        ("groups", 5, "groups was None, is 5"),
        ("members", 201, "members was 200, is 201"),
        ("non_members", 1, "non_members was 199, is 1"),
        ("seed", 8, "seed was 7, is 8"),
    ],
)
def test_each_difference_is_named(field: str, value: Any, words: str) -> None:
    assert reports.stamp().problems(reports.origin(**{field: value})) == [words]


def test_every_field_of_an_origin_is_compared() -> None:
    """So that a new one cannot be forgotten."""
    others: dict[type, Any] = {str: "new", dict: {}}
    for name in Origin.model_fields:
        other = others.get(type(getattr(reports.origin(), name)), 999)
        present = reports.origin().model_copy(update={name: other})
        assert reports.stamp().problems(present) != [], name


def test_settings_that_changed_came_or_went_are_named_one_by_one() -> None:
    now = {"model.widths": [64], "defense.name": "crl", "defense.tau": 1}
    assert reports.stamp().problems(reports.origin(settings=now)) == [
        "model.widths was [32], is [64]",
        "train.lr was 0.05, is –",
        "defense.tau was –, is 1",
    ]


def test_all_differences_are_named() -> None:
    present = reports.origin(seed=8, n=3, settings={})
    found = reports.stamp().problems(present)
    assert [words.split()[0] for words in found] == [
        "n", "seed", "model.widths", "train.lr", "defense.name",
    ]  # fmt: skip


def test_a_stamp_is_frozen_and_knows_its_fields() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        reports.stamp().seed = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="clock"):
        reports.stamp(clock="now")
