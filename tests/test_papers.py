"""The commands in docs/papers.md have settings that can run; nothing is trained here."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from project import ROOT

from nonmember import config
from nonmember.commands import compare
from nonmember.pipeline import side_by_side

TEXT = (ROOT / "docs/papers.md").read_text()
COMMANDS = [
    shlex.split(block.replace("\\\n", " ")) for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S)
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[2])
def test_the_settings_pass_config(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CIFAR is not downloaded: arrays of its shape and number of classes stand in."""
    assert command[:2] == ["nonmember", "compare"]
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    arguments = parser.parse_args(command[2:])
    changes = arguments.changes
    named = [change for change in changes if change.startswith("dataset.name=cifar")]
    if named:
        classes = int(named[0].removeprefix("dataset.name=cifar"))
        labels = np.arange(20 * classes) % classes
        images = np.zeros((len(labels), 3, 32, 32), np.uint8)
        np.savez(tmp_path / "x.npz", x=images, y=labels)
        changes = [c for c in changes if c not in named]
        changes += ["dataset.name=npz", f"dataset.path={tmp_path / 'x.npz'}"]
    monkeypatch.chdir(ROOT)
    params = side_by_side.settings(changes)
    monkeypatch.chdir(tmp_path)
    for text in arguments.names:
        for entry in side_by_side.entries(text):
            side_by_side.Place(tmp_path / entry.folder, params, entry)
            assert config.make(tmp_path / entry.folder / "params.yaml")["defended"]


def test_all_four_papers_are_there() -> None:
    assert len(COMMANDS) == 5
