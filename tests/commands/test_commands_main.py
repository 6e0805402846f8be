"""`nonmember COMMAND`: what there is, what is said of one there is not, and the help of each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nonmember.commands import __main__ as program
from nonmember.metrics.report import AuditReport


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `nonmember ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["nonmember", *arguments])
    try:
        program.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_the_commands_are_the_files_of_the_folder() -> None:
    folder = Path(program.__file__).parent
    assert program.names() == sorted(path.stem for path in folder.glob("[a-z]*.py"))
    assert set(program.names()) >= {"compare", "doctor", "records", "schema", "show"}


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_usage_has_a_line_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert called(monkeypatch, *arguments) == 0
    said = capsys.readouterr().out.splitlines()
    words = {line.split()[0]: line.split()[1:] for line in said if line.startswith("  ")}
    assert sorted(words) == program.names()
    assert all(len(rest) > 3 for rest in words.values())


def test_an_unknown_command_is_code_2_and_the_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "shwo") == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("unknown command 'shwo'\n\nusage: nonmember COMMAND")


@pytest.mark.parametrize("name", program.names())
def test_each_command_explains_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert called(monkeypatch, name, "--help") == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: nonmember {name} ")
    assert f"\nRun:    nonmember {name}" in said


def test_what_a_command_raises_is_one_line_and_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NONMEMBER_DEBUG", raising=False)
    assert called(monkeypatch, "show") == 1
    assert capsys.readouterr().err == (
        "error: metrics/undefended/report.json is missing; run `dvc repro`\n"
    )


def test_the_schema_is_that_of_the_reports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "schema") == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["properties"]) == set(AuditReport.model_fields)
    assert schema["additionalProperties"] is False


def test_the_list_of_commands_starts_fast() -> None:
    """No command is imported for it."""
    code = (
        "import sys; sys.argv = ['nonmember']; from nonmember.commands import __main__ as m; "
        "m.main(); sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
