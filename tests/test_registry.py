"""Parts are found by their file names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nonmember.architectures import architectures
from nonmember.attacks import attacks
from nonmember.datasets import datasets
from nonmember.defenses import defenses
from nonmember.registry import Registry

ALL: dict[str, Any] = {"architectures": architectures, "attacks": attacks, "datasets": datasets,
       "defenses": defenses}  # fmt: skip


class Base:
    """What the parts of the toy package derive from."""


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[Base]]:
    """A registry over a package with a good module, a helper, an empty and a double one."""
    package = tmp_path / "toys"
    package.mkdir()
    head = "from test_registry import Base\n"
    for name, text in {
        "__init__": "",
        "_helper": head + "class Helper(Base): pass\n",
        "good": head + "from toys._helper import Helper\nclass _Own(Helper): pass\n"
        "class Good(_Own): pass\n",
        "empty": "",
        "double": head + "class A(Base): pass\nclass B(Base): pass\n",
    }.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield Registry("toy", "toys", Base)
    for name in [name for name in sys.modules if name.partition(".")[0] == "toys"]:
        del sys.modules[name]


def test_names_are_files_without_underscore(toys: Registry[Base]) -> None:
    assert toys.names() == ["double", "empty", "good"]


def test_names_import_nothing(toys: Registry[Base]) -> None:
    toys.names()
    assert "toys.good" not in sys.modules
    toys.get("good")
    assert "toys.good" in sys.modules
    assert "toys.empty" not in sys.modules


def test_the_one_public_class_of_the_module(toys: Registry[Base]) -> None:
    """Imported and private classes do not count."""
    assert toys.get("good").__name__ == "Good"
    assert toys.get("good") is toys.get("good")


@pytest.mark.parametrize("name", ["empty", "double"])
def test_a_module_with_no_or_two_parts(toys: Registry[Base], name: str) -> None:
    with pytest.raises(TypeError, match=rf"toys\.{name} must define one Base"):
        toys.get(name)


@pytest.mark.parametrize("name", ["nope", "_helper", "", "good.Good", "../good", None, ["good"]])
def test_an_unknown_name_lists_the_known(toys: Registry[Base], name: Any) -> None:
    with pytest.raises(ValueError, match=r"unknown toy '.*', known: double, empty, good"):
        toys.get(name)


@pytest.mark.parametrize("kind", ALL)
def test_every_part_of_the_package(kind: str) -> None:
    registry = ALL[kind]
    parts = dict(registry)
    assert list(parts) == registry.names()
    for name, cls in parts.items():
        assert cls.__module__ == f"nonmember.{kind}.{name}"
        assert issubclass(cls, registry.base)
        assert registry.by_class_name(cls.__name__) is cls


def test_a_class_by_its_own_name() -> None:
    from nonmember.defenses import CRL

    assert CRL is defenses.get("crl")
    with pytest.raises(ImportError, match="cannot import name 'Nope'"):
        from nonmember.defenses import Nope  # noqa: F401
    with pytest.raises(AttributeError, match=r"module 'nonmember\.defenses' has no attribute"):
        defenses.by_class_name("Nope")


def test_listing_names_costs_no_torch() -> None:
    code = "import sys; from nonmember.datasets import datasets; datasets.names(); " \
           "sys.exit('torch' in sys.modules)"  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
