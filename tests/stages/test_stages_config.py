"""`python -m stages.config` from outside: exit code, one message, whole files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nonmember import files

ROOT = Path(__file__).parent.parent.parent
PARAMS = """
seed: 0
dataset: {name: digits, path: data/raw}
model: {name: mlp, widths: [16]}
defense: {name: crl, alpha_rce: 0.5, relax_alpha: 0.5}
attacks: {names: [loss]}
train: {epochs: 2, lr: 1e-3}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("nonmember", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(project: Path, params: str) -> subprocess.CompletedProcess[str]:
    """The stage as DVC runs it: in the project's folder, with the package beside it."""
    (project / "params.yaml").write_text(params)
    environment = {k: v for k, v in os.environ.items() if k != "NONMEMBER_DEBUG"}
    return subprocess.run(
        [sys.executable, "-m", "stages.config"],
        cwd=project, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_good_params_then_bad_ones(project: Path) -> None:
    """Bad ones leave the files of before alone."""
    done = run(project, PARAMS)
    assert (done.returncode, done.stderr) == (0, "")
    folder = project / "data/config"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(before) == {
        "dataset.json", "split.json", "undefended.json", "defended.json", "shadows.json",
        "signals.json", "attacks.json", "stamp_undefended.json", "stamp_defended.json",
    }  # fmt: skip
    assert files.read_json(folder / "defended.json")["train"]["lr"] == 0.001
    assert run(project, PARAMS.replace("seed: 0", "seed: -1")).returncode == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (
            "epochs: 2, lr: 1e-3",
            "epochs: 0, lr: fast, momentun: 1",
            [
                "error: params.yaml has 3 problems:",
                "  train.momentun: unknown key (did you mean momentum?)",
                "  train.lr: must be a number or a mapping, found 'fast'",
                "  train.epochs: must be at least 1, found 0",
            ],
        ),
        (
            "alpha_rce: 0.5",
            "alpha_rce: 0.5, alpha_rce: 0.6",
            [
                "error: params.yaml has a problem:",
                '  params.yaml: line 5, column 38: found duplicate key "alpha_rce"',
            ],
        ),
    ],
)
def test_bad_params(project: Path, before: str, after: str, lines: list[str]) -> None:
    """One message on stderr, nothing on stdout, no traceback, no file."""
    assert before in PARAMS
    done = run(project, PARAMS.replace(before, after))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == lines
    assert not (project / "data").exists()


def test_ctrl_c_while_a_stage_still_imports_is_one_line(project: Path) -> None:
    code = "import sys; sys.argv = ['-m']; import stages, os; os.kill(os.getpid(), 2); import torch"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    assert done.stderr.startswith("interrupted; finished models are kept")
    assert done.stderr.count("\n") == 1
