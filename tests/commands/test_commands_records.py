"""Where `nonmember records` writes, and that nothing there gets into git or DVC by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import runs
import yaml
from project import ROOT

from nonmember.commands import records

FILES = ("records.csv", "exposed.json")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    runs.fill(tmp_path)
    return tmp_path


def found(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_private_is_where_they_go(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = found(made)
    records.main()
    assert found(made) - before == {f"private/{arm}/{name}" for arm in runs.ARMS for name in FILES}
    assert capsys.readouterr().out.splitlines() == [
        "private/undefended/records.csv: 120 records of the undefended model",
        "private/defended/records.csv: 120 records of the defended (crl) model",
    ]


def test_published_they_go_to_metrics(made: Path) -> None:
    before = found(made)
    runs.write_params(made, {**runs.PARAMS, "records": {"publish": True}})
    records.main()
    assert found(made) - before == {f"metrics/{arm}/{name}" for arm in runs.ARMS for name in FILES}


@pytest.mark.parametrize("change", [{"seed": 3}, {"records": {"publish": "x"}}])
def test_nothing_is_written_of_another_run(made: Path, change: dict[str, Any]) -> None:
    before = found(made)
    runs.write_params(made, {**runs.PARAMS, **change})
    with pytest.raises(ValueError, match=r"seed was 0, is 3|records\.publish: must be true or"):
        records.main()
    assert found(made) == before


def test_git_and_dvc_pass_private_over() -> None:
    for name in (".gitignore", ".dvcignore"):
        assert "private/" in (ROOT / name).read_text().splitlines()
    if not (ROOT / ".git").exists():
        return
    command = ["git", "check-ignore", "-q", "private/defended/records.csv"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def test_dvc_push_leaves_out_who_was_a_member() -> None:
    """Split, signals and scores say it; models and reports do not."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    kept: dict[str, bool] = {}
    for stage in stages.values():
        for out in [*stage.get("outs", []), *stage.get("metrics", [])]:
            name, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
            kept[name] = options.get("push", True)
    private = {name for name, pushed in kept.items() if not pushed}
    assert private == {
        "data/split/target.npz", "data/split/shadows.npz", "data/split/canaries.npz",
        "data/signals/${item.arm}", "data/scores/${item.arm}.npz",
    }  # fmt: skip
    assert {name for name in kept if name.startswith(("data/signals", "data/scores"))} <= private
