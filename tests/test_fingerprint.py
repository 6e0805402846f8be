"""Which modules a module imports, and a fingerprint of what they do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nonmember import fingerprint

MAIN = '''"""What it is for."""
from __future__ import annotations
from typing import TYPE_CHECKING
from pydantic import Field
from toy.middle import value
if TYPE_CHECKING:
    from toy.types import Kind
else:
    import toy.otherwise

RATE = Field(0.1, ge=0, description="rate")

def double(x: float) -> float:
    """Twice x."""
    return 2 * x  # that is all

class Empty:
    """Nothing but words."""

class Part:
    try_first = "Something."
    base_key = "none"

def local():
    limits = 3
'''
Project = Callable[..., Path]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """toy(main=text) writes a package `toy` anew and makes code.py look at it."""

    def write(**files: str) -> Path:
        for name, text in {
            "__init__": "", "main": MAIN, "middle": "def value():\n    import toy.deep.leaf\n",
            "types": "Kind = int", "otherwise": "", "deep/__init__": "", "deep/leaf": "x = 1",
            "alone": "y = 1",
        }.items():  # fmt: skip
            path = tmp_path / "toy" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files.get(name, text))
        fingerprint._direct.cache_clear()
        fingerprint._meaning.cache_clear()
        return tmp_path / "toy"

    monkeypatch.setattr(fingerprint, "PACKAGES", ("toy",))
    monkeypatch.syspath_prepend(tmp_path)
    write()
    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy"]:
        del sys.modules[name]
    fingerprint._direct.cache_clear()
    fingerprint._meaning.cache_clear()


def test_imports_however_indirect(toy: Project) -> None:
    """In functions, of packages on the way, in the else of TYPE_CHECKING; not for types only."""
    found = fingerprint.imported(["toy.main"])
    assert sorted(found) == [
        "toy", "toy.deep", "toy.deep.leaf", "toy.main", "toy.middle", "toy.otherwise",
    ]  # fmt: skip
    assert found["toy.deep.leaf"].name == "leaf.py"
    assert set(fingerprint.imported(["toy.main", "toy.alone"])) - set(found) == {"toy.alone"}


def test_nothing_of_the_project_is_run_by_looking(toy: Project) -> None:
    toy(main="from toy.middle import value\nraise RuntimeError('imported')")
    assert "toy.deep.leaf" in fingerprint.imported(["toy.main"])
    assert not [name for name in sys.modules if name.startswith("toy.")]


def test_circular_imports_end(toy: Project) -> None:
    toy(middle="import toy.main")
    assert "toy.middle" in fingerprint.imported(["toy.main"])


def test_relative_imports_are_refused(toy: Project) -> None:
    toy(main="x = 1\nfrom .middle import value")
    with pytest.raises(ValueError, match=r"main\.py, line 2: write the import with the full name"):
        fingerprint.imported(["toy.main"])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# that is all", ""),
        ("2 * x", "2*x"),
        ('"""What it is for."""', '"""What it does."""'),
        ('"""What it is for."""\n', ""),
        ('    """Twice x."""\n', ""),
        ('    """Twice x."""\n', '    """Two\n    lines."""\n'),
        ('    """Nothing but words."""', "    'Other words.'"),
        (', description="rate"', ', description="the rate"'),
        (', description="rate"', ""),
        ("\n\n", "\n\n\n\n"),
        ('"Something."', 'f"Something {1 + 1} else."'),
    ],
)
def test_words_do_not_count(toy: Project, before: str, after: str) -> None:
    first = fingerprint.of_code(["toy.main"])
    assert before in MAIN
    toy(main=MAIN.replace(before, after))
    assert fingerprint.of_code(["toy.main"]) == first


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2 * x", "3 * x"),
        ("Field(0.1", "Field(0.2"),
        ("ge=0", "gt=0"),
        ("double", "twice"),
        ('base_key = "none"', 'base_key = "x"'),
        ("limits = 3", "limits = 4"),
    ],
)
def test_code_counts(toy: Project, before: str, after: str) -> None:
    first = fingerprint.of_code(["toy.main"])
    toy(main=MAIN.replace(before, after))
    assert fingerprint.of_code(["toy.main"]) != first


def test_code_of_an_indirect_import_counts_unless_left_out(toy: Project) -> None:
    first = fingerprint.of_code(["toy.main"])
    short = fingerprint.of_code(["toy.main"], without=["toy.deep.leaf"])
    toy(**{"deep/leaf": "x = 2"})
    assert fingerprint.of_code(["toy.main"]) != first
    assert fingerprint.of_code(["toy.main"], without=["toy.deep.leaf"]) == short
    toy(alone="y = 2", types="Kind = float")
    assert fingerprint.of_code(["toy.main"]) == first


def test_a_moved_module_is_another(toy: Project) -> None:
    """The same text by another name."""
    toy(main="x = 1", alone="x = 1")
    assert fingerprint.of_code(["toy.main"]) != fingerprint.of_code(["toy.alone"])


def test_the_packages_own_modules() -> None:
    found = fingerprint.imported(["stages.train_target"])
    assert {
        "nonmember.training.fleet",
        "nonmember.training.train",
        "nonmember.settings",
        "stages",
    } <= set(found)
    assert not {"nonmember.metrics.rates", "nonmember.audit", "nonmember.config"} & set(found)
    assert fingerprint.of_code(["nonmember.training.train"]) == fingerprint.of_code(
        ["nonmember.training.train"]
    )
