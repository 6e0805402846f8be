"""params.yaml is read as DVC reads it; what is wrong with it is said in one readable message."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from dvc.utils.serialize import load_yaml
from pydantic import Field, ValidationError

from nonmember.compute import ComputeOptions
from nonmember.params import (
    ParamsError,
    ShadowOptions,
    check_fixed,
    problems_of,
    read_compute,
    read_yaml,
    shown,
)
from nonmember.settings import Settings

BROKEN = {
    "a: 1\na: 2\n": 'line 2, column 1: found duplicate key "a"',
    "x: {a: 1, a: 1}\n": 'line 1, column 11: found duplicate key "a"',
    "a: 1\n b: 2\n": "line 2, column 3: mapping values are not allowed here",
    "a: [1, 2\n": "expected ',' or ']'",
    "a: @x\n": "cannot start any token",
    "a: *missing\n": "found undefined alias 'missing'",
    "a: !!python/object/apply:os.getcwd []\n": "could not determine a constructor",
    "a: !secret 1\n": "could not determine a constructor",
    "a: 2026-13-45\n": "month must be in 1..12",
    "a: 1\n---\nb: 2\n": "but found another document",
    "a: \x07\n": "special characters are not allowed",
}


def write(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("text", BROKEN)
def test_what_dvc_refuses_is_one_line_naming_the_place(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(Exception, match=r".") as theirs:
        load_yaml(path)
    assert not isinstance(theirs.value, AssertionError)
    with pytest.raises(ParamsError) as ours:
        read_yaml(path)
    assert BROKEN[text] in str(ours.value)
    assert len(ours.value.problems) == 1
    assert "\n" not in ours.value.problems[0]


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n"])
def test_a_file_without_content_is_an_empty_mapping(text: str, tmp_path: Path) -> None:
    assert read_yaml(write(tmp_path, text)) == {} == load_yaml(write(tmp_path, text))


def test_a_file_that_is_no_mapping_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"must be a mapping of sections, found \[1, 2\]"):
        read_yaml(write(tmp_path, "[1, 2]"))
    with pytest.raises(ParamsError, match="there is no such file"):
        read_yaml(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xfc\n")
    with pytest.raises(ParamsError, match=r"latin\.yaml: .*utf-8"):
        read_yaml(tmp_path / "latin.yaml")


def test_message_counts_and_lists_the_problems() -> None:
    assert str(ParamsError(["seed: no"])) == "params.yaml has a problem:\n  seed: no"
    assert str(ParamsError(["a: x", "b: y"])) == "params.yaml has 2 problems:\n  a: x\n  b: y"


class Sample(Settings):
    whole: int = Field(1, ge=1, le=9)
    real: float = Field(0.5, gt=0, lt=1)
    flag: bool = False
    text: str = "x"
    choice: Literal["a", "b", "c"] = "a"
    maybe: int | None = Field(None, ge=2)
    either: Literal["auto"] | int = "auto"
    rates: float | dict[int, float] = 0.1
    many: list[int] = Field([1])
    names: Literal["all"] | list[str] = "all"


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("whole", 1.0, "must be a whole number, found 1.0"),
        ("whole", True, "must be a whole number, found true"),
        ("whole", None, "must be a whole number, found null"),
        ("whole", "3", "must be a whole number, found '3'"),
        ("whole", 0, "must be at least 1, found 0"),
        ("whole", 10, "must be at most 9, found 10"),
        ("real", "1e-3x", "must be a number, found '1e-3x'"),
        ("real", True, "must be a number, found true"),
        ("real", float("nan"), "must be a finite number, found nan"),
        ("real", float("inf"), "must be a finite number, found inf"),
        ("real", 0, "must be greater than 0, found 0"),
        ("real", 1, "must be less than 1, found 1"),
        ("flag", "off", "must be true or false, found 'off'"),
        ("flag", 0, "must be true or false, found 0"),
        ("text", 5, "must be text, found 5"),
        ("choice", "d", "must be 'a', 'b' or 'c', found 'd'"),
        ("maybe", 1, "must be at least 2, found 1"),
        ("either", "two", "must be 'auto' or a whole number, found 'two'"),
        ("rates", "one", "must be a number or a mapping, found 'one'"),
        ("many", 5, "must be a list, found 5"),
        ("names", 5, "must be 'all' or a list, found 5"),
    ],
)
def test_one_plain_line_a_wrong_value(key: str, value: Any, line: str) -> None:
    assert problems(key, value) == [f"part.{key}: {line}"]


def test_the_place_inside_a_value() -> None:
    assert problems("rates", {0: "x", 5: 0.1}) == ["part.rates.0: must be a number, found 'x'"]
    assert problems("rates", {"a": 0.1}) == [
        "part.rates.a: the key must be a whole number, found 'a'"
    ]
    assert problems("many", [1, "a", 2.0]) == [
        "part.many.1: must be a whole number, found 'a'",
        "part.many.2: must be a whole number, found 2.0",
    ]
    assert problems("names", ["a", 1]) == ["part.names.1: must be text, found 1"]


def problems(key: str, value: Any) -> list[str]:
    with pytest.raises(ValidationError) as error:
        Sample(**{key: value})
    return problems_of("part", {key: value}, error.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), (1, "1"), (0.5, "0.5"), ("a", "'a'"), ([1, "a"], "[1, 'a']")],
)
def test_values_are_shown_as_in_yaml(value: Any, text: str) -> None:
    assert shown(value) == text


def test_a_section_without_keys_has_the_defaults() -> None:
    found: list[str] = []
    assert check_fixed("shadows", None, ShadowOptions, found) == ShadowOptions()
    assert check_fixed("shadows", {}, ShadowOptions, found) == ShadowOptions()
    assert found == []
    assert check_fixed("shadows", [3], ShadowOptions, found) is None
    assert found == ["shadows: must be a mapping, found [3]"]


def test_unknown_key_beside_a_wrong_one() -> None:
    found: list[str] = []
    assert check_fixed("shadows", {"cuont": 1, "count": 0, 7: 1}, ShadowOptions, found) is None
    assert found == [
        "shadows.cuont: unknown key (did you mean count?)",
        "shadows.7: unknown key (known: assignment, count)",
        "shadows.count: must be at least 1, found 0",
    ]


def test_compute_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "train: {epochs: none of our business}\n")
    assert read_compute(path) == ComputeOptions()
    path = write(tmp_path, "compute: {workers: 2, devices: [cpu]}\n")
    assert read_compute(path) == ComputeOptions(workers=2, devices=["cpu"])
    with pytest.raises(ParamsError) as error:
        read_compute(write(tmp_path, "compute: {workers: 0, devices: 'cuda:0', thread: 1}\n"))
    assert error.value.problems == [
        "compute.thread: unknown key (known: address, backend, devices, memory, workers)",
        "compute.devices: must be 'auto' or 'cpu' or a list, found 'cuda:0'",
        "compute.workers: must be 'auto' or at least 1, found 0",
    ]
