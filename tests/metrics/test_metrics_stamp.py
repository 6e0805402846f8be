"""What numbers are of: its lines, and what it finds different."""

from __future__ import annotations

from typing import Any

import pytest
import reports
from pydantic import ValidationError
from runs import STAMP

from nonmember.metrics.stamp import Origin, Stamp


def origin(**changes: Any) -> Origin:
    values = STAMP.model_dump(include=set(Origin.model_fields))
    return Origin(**{**values, **changes})


def test_the_lines() -> None:
    start = "data tiny (01234567), 120 records, 4 classes · 500 members, 400 non-members · seed 0"
    assert origin().line() == start
    assert STAMP.line() == f"{start} · nonmember 1.0 · model m, code c"
    assert STAMP.short() == f"{start} · nonmember 1.0, code c"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-5, "1e-05"), ("crl", "crl"), (None, "null"), (True, "true"), ([256, 128], "[256, 128]"),
        ({"0": 0.1, "3": 0.01}, "{0: 0.1, 3: 0.01}"),
        (["loss", "nn", "lira", "rmia"], "loss, nn, … (4)"),
    ],
)  # fmt: skip
def test_settings_are_written_as_in_the_file(value: Any, text: str) -> None:
    stamp = origin(settings={"some.key": value, "other.key": 1})
    end = f"defaults: some.key {text}; other.key 1"
    assert stamp.changed().endswith(end)


def test_no_setting_of_ones_own() -> None:
    assert origin().changed() == "settings that differ from the defaults: none"


@pytest.mark.parametrize(
    ("now", "problems"),
    [
        ({}, []),
        ({"sha256": "f" * 64}, ["sha256 was 01234567, is ffffffff"]),
        ({"groups": 30}, ["groups was null, is 30"]),
        ({"members": 1, "seed": 2}, ["members was 500, is 1", "seed was 0, is 2"]),
        ({"settings": {"a.b": 2}}, ["a.b was 1, is 2"]),
        ({"settings": {}}, ["a.b was 1, is the default"]),
        ({"settings": {"a.b": 1, "a.c": None}}, ["a.c was the default, is null"]),
        ({"settings": {"a.b": 1, "a.names": ["w", "x", "y", "z"]}},
         ["a.names was the default, is [w, x, y, z]"]),
    ],
)  # fmt: skip
def test_problems_name_what_differs(now: dict[str, Any], problems: list[str]) -> None:
    stamp = Stamp(**{**STAMP.model_dump(), "settings": {"a.b": 1}})
    assert stamp.problems(origin(**{"settings": {"a.b": 1}, **now})) == problems


def test_equal_origins_have_no_problems() -> None:
    """What made the numbers is not compared: the present has no model and no versions."""
    assert reports.stamp().problems(reports.origin()) == []
    assert reports.stamp(model="0", code="1", versions={}).problems(reports.origin()) == []


def test_every_field_of_an_origin_is_compared() -> None:
    """So that a new one cannot be forgotten."""
    others: dict[type, Any] = {str: "new", dict: {}}
    for name in Origin.model_fields:
        other = others.get(type(getattr(reports.origin(), name)), 999)
        present = reports.origin().model_copy(update={name: other})
        assert reports.stamp().problems(present) != [], name


def test_a_stamp_is_frozen_and_knows_its_fields() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        reports.stamp().seed = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="clock"):
        reports.stamp(clock="now")


def test_the_key_is_of_data_model_and_code() -> None:
    stamp = reports.stamp()
    assert stamp.key().split() == [stamp.sha256[:8], stamp.model[:8], stamp.code[:8]]
