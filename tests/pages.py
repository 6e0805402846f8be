"""README.md and docs/*.md, cut into blocks and commands, for the tests that run them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

from project import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.S | re.M)
_INSIDE = re.compile(r"\$\(([^)]*)\)")
_PROSE = re.compile(r"`((?:[A-Z_]+=\S+ )?(?:nonmember|dvc|make|python -m) [^`]+)`")


class Block(NamedTuple):
    """A fenced block: where it is (page:line), its language, its text without indentation."""

    place: str
    kind: str
    text: str


def blocks(*kinds: str) -> list[Block]:
    """The fenced blocks of some languages; output, such as a terminal's, has none."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(f"{page.name}:{line}", match[1], dedent(match[2])))
    return [block for block in found if not kinds or block.kind in kinds]


def commands() -> list[tuple[str, list[str]]]:
    """(place, words) of each command: of `sh` blocks, after `$ ` in output, in prose."""
    found: dict[str, str] = {}
    for block in blocks("sh", ""):
        lines = block.text.replace("\\\n", " ").splitlines()
        if not block.kind:
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        for line in lines:
            found.setdefault(line, block.place)
    for page in PAGES:
        for command in _PROSE.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
            found.setdefault(command.replace("\n", " "), page.name)
    return [(place, words) for line, place in found.items() for words in _words(line)]


def _words(line: str) -> Iterator[list[str]]:
    """A line's command and those inside its $(…), each without comment and variables."""
    for inner in _INSIDE.findall(line):
        yield from _words(inner)
    words = shlex.split(_INSIDE.sub("x", line), comments=True)
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if words:
        yield words


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.M)}
