"""Write the pins that the Makefile installs: newest versions tested, or oldest ones declared.

Run:    python -m tools.pins newest   (by `make constraints`, in a new environment)
        python -m tools.pins oldest   (after a change of a lower bound)
Reads:  pyproject.toml; `newest` also the versions installed beside the running Python
Writes: constraints.txt or constraints-oldest.txt
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
# torch asks for these itself, others on each platform; setuptools comes with the environment.
UNPINNED = ("nvidia-", "cuda-", "triton", "setuptools")
NEWEST = """# What `make install` and `make test` install: every version the tests last passed with.
# `make constraints` rewrites this file from the newest releases that pyproject.toml allows.
"""
OLDEST = """# What `make test-oldest` installs: the lower bounds of pyproject.toml.
# `python -m tools.pins oldest` writes this file from them; a test compares the two.
"""


def declared(*extras: str) -> list[Requirement]:
    """The requirements that pyproject.toml lists, those of the named extras last."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    lists = [project["dependencies"], *(optional[extra] for extra in extras)]
    return [Requirement(text) for group in lists for text in group]


def lower_bound(requirement: Requirement) -> str:
    """The version after `>=`; ValueError if there is not exactly one."""
    bounds = [s.version for s in requirement.specifier if s.operator == ">="]
    if len(bounds) != 1:
        raise ValueError(f"pyproject.toml: {requirement} needs one lower bound (>=)")
    return bounds[0]


def closure(requirements: Iterable[Requirement]) -> dict[str, str]:
    """Installed versions of the requirements and of all they require, but for UNPINNED.

    Local version suffixes such as +cpu are left out. PackageNotFoundError if one is missing.
    """
    found: dict[str, str] = {}
    seen: set[str] = set()
    waiting = list(requirements)
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name.startswith(UNPINNED) or str(wanted) in seen:
            continue
        seen.add(str(wanted))
        found[name] = Version(metadata.version(name)).public
        for text in metadata.requires(name) or []:
            next_ = Requirement(text)
            extras = [{"extra": extra} for extra in ("", *wanted.extras)]
            if next_.marker is None or any(map(next_.marker.evaluate, extras)):
                waiting.append(next_)
    return found


def newest() -> str:
    """The text of constraints.txt."""
    return _text(NEWEST, closure(declared("test", "check")))


def oldest() -> str:
    """The text of constraints-oldest.txt."""
    return _text(OLDEST, {r.name: lower_bound(r) for r in declared("test")})


def _text(head: str, pins: dict[str, str]) -> str:
    return head + "".join(f"{name}=={pins[name]}\n" for name in sorted(pins))


if __name__ == "__main__":
    which = sys.argv[1] if len(sys.argv) == 2 else ""
    texts = {"newest": ("constraints.txt", newest), "oldest": ("constraints-oldest.txt", oldest)}
    if which not in texts:
        sys.exit(f"python -m tools.pins newest|oldest, not {which or 'nothing'!r}")
    file, text = texts[which]
    (ROOT / file).write_text(text())
