"""params.yaml says of each key what its settings class says, and why it ships another value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import params
from nonmember.attacks import attacks
from nonmember.params import read_yaml

TEXT = params.FILE.read_text(encoding="utf-8")


def test_the_comments_are_current() -> None:
    """After a change of a setting: python -m docs.params."""
    assert params.written(TEXT) == TEXT


def test_exactly_the_values_that_are_no_defaults_have_a_reason() -> None:
    assert params.changed(TEXT) == set(params.REASONS)


def test_writing_changes_no_value(tmp_path: Path) -> None:
    """Not of a file without comments either, whose comments all come back."""
    bare = re.sub(r"(?m)^( *\w+: [^#\n]*[^#\s]) +#.*$", r"\1", TEXT)
    assert bare != TEXT
    assert params.written(bare) == TEXT
    path = tmp_path / "params.yaml"
    path.write_text(params.written(bare), encoding="utf-8")
    assert repr(read_yaml(path)) == repr(read_yaml(params.FILE))


def test_lines_fit_a_screen() -> None:
    assert [line for line in TEXT.splitlines() if len(line) > 110] == []


@pytest.mark.parametrize(
    ("line", "comment"),
    [
        (
            "defense:\n  gap_warmup: 3",
            "epochs of plain cross-entropy first; default 0: no reason given",
        ),
        ("train:\n  optimizer: adam", 'update rule: sgd | adam; default "sgd": no reason given'),
        ("compute:\n  devices: [cuda:0] # mine", 'default "auto": no reason given'),
    ],
)
def test_another_value_names_the_default(line: str, comment: str) -> None:
    written = params.written(line)
    assert written.startswith(line.partition(" #")[0] + " # ")
    assert written.endswith(comment + "\n")


def test_the_list_of_attacks_is_whole() -> None:
    head = TEXT.partition("\nattacks:\n")[2].partition("\n  names:")[0]
    assert [name for name in attacks.names() if not re.search(rf"\b{name}\b", head)] == []
