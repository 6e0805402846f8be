"""What the files around the package say agrees: versions, pins and the licence."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from project import ROOT

import nonmember
from tools import pins

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def read(name: str) -> dict[str, str]:
    """name==version lines of a constraints file."""
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


@pytest.mark.parametrize(
    "requirement", pins.declared("test", "check"), ids=lambda requirement: requirement.name
)
def test_the_pin_of_a_direct_dependency_is_within_its_bounds(requirement: Requirement) -> None:
    assert requirement.specifier.contains(
        read("constraints.txt")[canonicalize_name(requirement.name)]
    )


def test_pins_hold_on_any_platform() -> None:
    """No build of torch for one accelerator, and no library that only such a build needs."""
    found = read("constraints.txt")
    assert not [name for name in found if name.startswith(pins.UNPINNED)]
    assert not [version for version in found.values() if "+" in version]


def test_the_oldest_pins_are_the_lower_bounds() -> None:
    """After a change of a bound: python -m tools.pins oldest."""
    assert (ROOT / "constraints-oldest.txt").read_text() == pins.oldest()


def test_every_optional_dependency_has_a_lower_bound() -> None:
    for requirement in pins.declared(*PROJECT["optional-dependencies"]):
        assert pins.lower_bound(requirement)


@pytest.mark.parametrize("text", ["numpy", "numpy<3", "numpy==2.0"])
def test_a_requirement_without_lower_bound_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=rf"pyproject\.toml: {text} needs one lower bound"):
        pins.lower_bound(Requirement(text))


def test_the_closure_holds_what_a_dependency_requires() -> None:
    """dvc's own requirement is pinned; what only its extra asks for is not."""
    found = pins.closure([Requirement("dvc")])
    assert {"dvc", "pathspec"} <= set(found)
    assert "s3fs" not in found


def test_the_closure_leaves_out_gpu_libraries_and_local_versions() -> None:
    found = pins.closure([Requirement("torch")])
    assert re.fullmatch(r"[\d.]+", found["torch"])
    assert "sympy" in found
    assert not [name for name in found if name.startswith(pins.UNPINNED)]


def test_an_unknown_word_is_refused_and_nothing_written() -> None:
    before = (ROOT / "constraints.txt").read_bytes()
    run = subprocess.run(
        [sys.executable, "-m", "tools.pins", "new"], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 1
    assert "newest|oldest, not 'new'" in run.stderr
    assert (ROOT / "constraints.txt").read_bytes() == before


def test_the_version_is_the_same_everywhere() -> None:
    """pyproject.toml, CITATION.cff, the newest release of CHANGELOG.md and the package."""
    release = re.search(
        r"^## \[(\d\S*)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M
    )
    assert release is not None
    assert release[1] == PROJECT["version"] == CITATION["version"]
    assert release[2] == CITATION["date-released"].isoformat()
    assert getattr(nonmember, "__version__", PROJECT["version"]) == PROJECT["version"]


def test_the_changelog_opens_with_what_is_not_released() -> None:
    heads = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert heads[0] == "[Unreleased]"


def test_the_licence_is_named_and_there() -> None:
    assert PROJECT["license"] == CITATION["license"] == "MIT"
    assert PROJECT["license-files"] == ["LICENSE"]
    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n")


def test_the_package_says_that_it_is_typed() -> None:
    """The marker that type checkers look for is in the package and goes into a wheel."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "py.typed" in settings["package-data"]["nonmember"]
    assert (ROOT / "nonmember" / "py.typed").read_text() == ""
    assert "Typing :: Typed" in PROJECT["classifiers"]
