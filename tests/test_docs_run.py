"""What README.md and docs/ tell one to type: commands parse or run, Python runs, keys exist."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from pages import Block, blocks, commands
from project import ROOT

from nonmember import yaml12
from nonmember.architectures import architectures
from nonmember.attacks import attacks
from nonmember.datasets import datasets
from nonmember.defenses import Batch, defenses
from nonmember.params import read_yaml
from nonmember.pipeline.side_by_side import entries
from nonmember.views import View

PARTS: dict[str, Any] = {
    "dataset": datasets, "model": architectures, "defense": defenses, "attacks": attacks,
}  # fmt: skip
ADDED = {"my_defense"}  # by a reader, as docs/architecture.md shows
QUICK = (
    ["nonmember", "compare", "--help"], ["nonmember", "schema"],
    ["python", "-m", "docs.generate"], ["python", "-m", "docs.results"],
)  # fmt: skip
COMMANDS = commands()
PYTHON = blocks("python")


def require_key(key: str, value: Any) -> None:
    """`section.key`, or `seed`, is one that params.yaml or a part has; a name is known."""
    section, _, name = key.partition(".")
    known = read_yaml(ROOT / "params.yaml")
    assert section in known, key
    if not name:
        assert not isinstance(known[section], dict), key
        return
    options = {field for _, cls in PARTS.get(section, ()) for field in cls.Options.model_fields}
    assert name in {*known[section], *options}, key
    if name == "name":
        assert {*str(value).split(",")} <= {*PARTS[section].names(), *ADDED}, f"{key}={value}"


def require_changes(changes: Sequence[str]) -> None:
    for change in changes:
        key, equals, value = change.partition("=")
        assert equals, change
        require_key(key, value)


def check_nonmember(words: list[str]) -> None:
    name, *rest = words
    module = importlib.import_module(f"nonmember.commands.{name}")
    if rest == ["--help"]:
        return
    parser = argparse.ArgumentParser()
    getattr(module, "add_arguments", lambda _: None)(parser)
    values = parser.parse_args(rest)
    require_changes(getattr(values, "changes", []))
    for text in getattr(values, "names", []):
        for entry in entries(text):
            fields = defenses.get(entry.defense).Options.model_fields
            for key in re.findall(r"(\w+)=", text):
                assert key in fields or any(key in cls.Options.model_fields for _, cls in defenses)


def check_dvc(words: list[str]) -> None:
    """A command without options may be a mention only: its arguments are not asked for."""
    from dvc.cli.parser import get_main_parser

    if not any(word.startswith("-") for word in words):
        with pytest.raises(SystemExit, match=r"^0$"):
            get_main_parser().parse_args([*words, "--help"])
        return
    values = get_main_parser().parse_args(words)
    require_changes(getattr(values, "set_param", None) or [])


def check_make(words: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text(), re.M)
    assert set(words) <= set(targets)


def check_python(words: list[str]) -> None:
    assert words[0] == "-m"
    assert importlib.util.find_spec(words[1]), words[1]


def check_git(words: list[str]) -> None:
    listed = subprocess.run(["git", "--list-cmds=main"], capture_output=True, text=True, check=True)
    assert words[0] in listed.stdout.split()


def check_source(words: list[str]) -> None:
    assert words == [".venv/bin/activate"]


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "nonmember": check_nonmember, "dvc": check_dvc, "make": check_make, "python": check_python,
    "git": check_git, "source": check_source,
}  # fmt: skip


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    """An `sh`, Python or YAML block, or output without a language."""
    assert {block.kind for block in blocks()} == {"", "sh", "python", "yaml"}


@pytest.mark.parametrize(("place", "words"), COMMANDS, ids=[" ".join(w)[:60] for _, w in COMMANDS])
def test_the_command_parses(place: str, words: list[str]) -> None:
    """By its own parser, with keys and names that are there."""
    assert words[0] in CHECKS, f"{place}: nothing here can check `{words[0]}`"
    CHECKS[words[0]](words[1:])


@pytest.mark.parametrize("words", QUICK, ids=" ".join)
def test_the_quick_command_runs(words: list[str], copy: Path) -> None:
    """Those of the pages that take seconds, in a copy."""
    assert words in [found for _, found in COMMANDS]
    module = ["nonmember.commands", *words[1:]] if words[0] == "nonmember" else words[2:]
    subprocess.run([sys.executable, "-m", *module], cwd=copy, check=True, capture_output=True)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the quick commands read and write."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("docs", "metrics", "nonmember", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "params.yaml", folder)
    return folder


@pytest.mark.parametrize("block", PYTHON, ids=[block.place for block in PYTHON])
def test_the_python_runs(
    block: Block, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands, from a reader's clipboard; after `dvc repro` where it says so."""
    finished = "of_run" in block.text
    monkeypatch.chdir(request.getfixturevalue("finished").folder if finished else tmp_path)
    made = ran(block)
    if "loss" in made:
        assert made["loss"].isfinite()
    if "logits" in made and finished:
        assert made["logits"].shape == (3, made["model"].data.classes)


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.place)
def test_the_settings_have_known_keys(block: Block) -> None:
    for section, values in yaml12.load(block.text).items():
        for key, value in values.items():
            require_key(f"{section}.{key}", value)


def ran(block: Block) -> dict[str, Any]:
    """What a block of Python defines."""
    scope: dict[str, Any] = {"__name__": "example"}
    exec(compile(block.text, block.place, "exec"), scope)
    return scope


def part(name: str) -> Any:
    """The class that a page shows how to add."""
    [block] = [block for block in PYTHON if f"class {name}(" in block.text]
    return ran(block)[name]


def test_the_new_defense_penalises() -> None:
    """At equal logits there is no penalty: log 3."""
    defense = part("MyDefense")(my_weight=1.0)
    labels = torch.tensor([0, 1])
    assert defense.loss(Batch(torch.zeros(2, 3), labels)).item() == pytest.approx(np.log(3))
    ones = torch.ones(2, 3)
    assert defense.loss(Batch(ones, labels)).item() == pytest.approx(1 + np.log(3))


def test_the_new_attack_scores() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.4, 0.4, 0.2]], np.float32))
    scores = part("Margin")().score(View(np.arange(2), np.array([0, 1]), logits))
    np.testing.assert_allclose(scores, [np.log(3.5), 0], atol=1e-6)


def test_the_new_network_answers() -> None:
    net = part("Shallow")(shallow_width=8).build(tiny.outline((4, 2), 3))
    assert net(torch.zeros(5, 4, 2)).shape == (5, 3)


def test_the_new_data_set_loads() -> None:
    arrays = part("Clouds")().load(Path())
    assert arrays.inputs.shape == (1200, 20)
    assert set(arrays.labels) == {0, 1}
