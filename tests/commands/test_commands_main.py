"""The console command: it lists its commands, runs the one that is named, and refuses others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from project import ROOT

from nonmember.commands import __main__ as command


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["nonmember", *arguments])
        command.main()

    return run


@pytest.mark.parametrize("arguments", [(), ("-h",), ("--help",)])
def test_without_a_command_it_lists_them_with_a_line_each(
    call: Callable[..., None], arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    call(*arguments)
    out = capsys.readouterr().out
    for name in command.names():
        [line] = [line for line in out.splitlines() if line.startswith(f"  {name} ")]
        assert len(line.split()) > 2, "no first line in its module"


def test_an_unknown_command_is_refused_with_the_known_ones(
    call: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call("shwo")
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("unknown command 'shwo'\n\nusage: nonmember COMMAND")
    assert all(name in err for name in command.names())


@pytest.mark.parametrize("name", command.names())
def test_every_command_has_help(
    call: Callable[..., None], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(name, "--help")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: nonmember {name}")


def test_the_list_costs_no_heavy_import() -> None:
    code = (
        "import sys; sys.argv = ['nonmember']; from nonmember.commands.__main__ import main; "
        "main(); print(*{'torch', 'numpy', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == ""
