"""YAML is read as DVC reads it: scalars by YAML 1.2, and a duplicate key is an error."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from dvc.utils.serialize import parse_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nonmember import yaml12

# Plain PyYAML reads many of these differently.
SCALARS = """
    1e-3 1E5 1.e3 .5e3 -.5 +.5 .5 1. off no yes y N True TRUE tRue 010 -010 08 00 12:30 1:2:3.5
    1_000 1_0.5 1_ 0o17 -0o17 0x1F -0x1F 0b11 +5 -5 +1e3 ~ null Null NULL nUll 2026-01-01
    2026-1-1 2026-01-01T10:20:30 .nan .NaN .inf -.inf +.inf nan inf 1e400 1e 1.5.2 1,000
    99999999999999999999 '1' "1" 'null' "" '' [1e-3,off,010] {a:1} {1:2} [] {} !!str\\ 5 !!int\\ 5
    !!float\\ 5 !!bool\\ true
""".replace("\\ ", "\0").split()


DOCUMENTS = [
    "v:\n",
    "lr:\n  0: 0.1\n  50: 0.01\n",
    "off: 1\nno: 2\n1e-3: 3\n010: 4\n",
    "b: &b {p: 1, q: 2}\nc: {<<: *b, q: 3}\n",
    "b: &b {p: 1}\nd: &d {p: 2, r: 3}\nc: {<<: [*b, *d]}\n",
    "a: &x 1\nb: *x\n",
    "a: |\n  1e-3\nb: >\n  two\n  lines\n",
    "\ufeffa: ü\r\nb: 2\r\n",
]


@pytest.mark.parametrize("text", [f"v: {s}\nw: [{s}]\n".replace("\0", " ") for s in SCALARS])
def test_scalars_are_what_dvc_reads(text: str) -> None:
    assert repr(yaml12.load(text)) == repr(parse_yaml(text, "params.yaml"))


@pytest.mark.parametrize("text", DOCUMENTS)
def test_documents_are_what_dvc_reads(text: str) -> None:
    assert repr(yaml12.load(text)) == repr(parse_yaml(text, "params.yaml"))


@settings(max_examples=300, deadline=None)
@given(st.text("0123456789+-._eExXoObBnaif:~<=TZ ", min_size=1, max_size=8))
def test_any_plain_scalar_is_what_dvc_reads(text: str) -> None:
    document = f"v: {text}\n"
    try:
        expected: Any = parse_yaml(document, "params.yaml")
    except Exception:
        with pytest.raises((yaml.YAMLError, ValueError)):
            yaml12.load(document)
        return
    assert repr(yaml12.load(document)) == repr(expected)


def test_values_that_yaml_1_1_gets_wrong() -> None:
    text = "a: 1e-3\nb: off\nc: 010\nd: 12:30\ne: 1_000\nf: no\ng: 2026-01\n"
    assert yaml12.load(text) == {
        "a": 0.001, "b": "off", "c": 10, "d": "12:30", "e": 1000, "f": "no", "g": "2026-01",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\nb: 2\na: 1\n", (2, 0)),
        ("x: {a: 1, a: 1}\n", (0, 10)),
        ("0x10: a\n16: b\n", (1, 0)),  # one number in two ways
    ],
)
def test_a_duplicate_key_is_an_error_at_its_place(text: str, place: tuple[int, int]) -> None:
    with pytest.raises(yaml.MarkedYAMLError, match="found duplicate key") as error:
        yaml12.load(text)
    mark = error.value.problem_mark
    assert mark is not None
    assert (mark.line, mark.column) == place


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "null"])
def test_nothing_is_none(text: str) -> None:
    assert yaml12.load(text) is None


def test_a_merge_may_repeat_a_key_that_is_then_replaced() -> None:
    text = "b: &b {p: 1, q: 2}\nc: {<<: *b, q: 3}\n"
    assert yaml12.load(text)["c"] == {"p": 1, "q": 3}
