"""A misspelt option is an error that mypy names, in every part that reads options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parents[1]
KINDS = ("architectures", "attacks", "datasets", "defenses", "queries")
# What is not followed is Any, which is all that has to be known of it here: seconds, not minutes.
CONFIG = "[mypy]\nignore_missing_imports = True\n" + "".join(
    f"[mypy-{library}.*]\nfollow_imports = skip\n"
    for library in ("torch", "torchvision", "numpy", "scipy", "sklearn", "opacus")
)


def misspelt() -> Iterator[tuple[str, str, str]]:
    """Each file that reads options: its path, the first key it reads, its text with that key
    misspelt."""
    for kind in KINDS:
        for path in sorted((ROOT / "nonmember" / kind).glob("*.py")):
            text = path.read_text(encoding="utf-8")
            if use := re.search(r"(?:self\.options|\bo)\.(\w+)", text):
                wrong = f"{text[: use.end()]}_misspelt{text[use.end() :]}"
                yield str(path.relative_to(ROOT)), use[1], wrong


def test_mypy_names_a_misspelt_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the part's own Options, not of the base's Settings, which know no key. Takes seconds."""
    monkeypatch.chdir(ROOT)
    (tmp_path / "mypy.ini").write_text(CONFIG)
    arguments, expected = [f"--config-file={tmp_path}/mypy.ini", f"--cache-dir={tmp_path}"], {}
    for place, key, text in misspelt():
        shadow = tmp_path / place.replace("/", "-")
        shadow.write_text(text, encoding="utf-8")
        arguments += ["--shadow-file", place, str(shadow)]
        expected[place] = f'Options" has no attribute "{key}_misspelt"'
    assert {Path(place).parent.name for place in expected} == set(KINDS)
    said, complaint, _ = api.run([*arguments, *expected])
    for place, error in expected.items():
        assert any(place in line and error in line for line in said.splitlines()), said + complaint
