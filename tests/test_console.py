"""How a stage or command ends: its arguments, one message for an error, its exit code."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any

import pytest

from nonmember import console


def code_of(main: Any, *arguments: str, **options: Any) -> int:
    try:
        console.run(main, "What it does.", arguments=arguments, **options)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture(autouse=True)
def _without_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NONMEMBER_DEBUG", raising=False)


def test_arguments_arrive_by_name() -> None:
    seen: dict[str, Any] = {}

    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--seeds", type=int, default=1)

    assert code_of(lambda **values: seen.update(values), "defended", "--seeds", "3", arm=True,
                   add=add) == 0  # fmt: skip
    assert seen == {"arm": "defended", "seeds": 3}


def test_an_arm_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(lambda arm: None, "both", arm=True) == 2
    assert "invalid choice: 'both'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [ValueError, OSError, RuntimeError, MemoryError])
def test_an_expected_error_is_one_message(
    capsys: pytest.CaptureFixture[str], kind: type[Exception]
) -> None:
    assert code_of(raising(kind("train.lr: must be a number"))) == 1
    out, error = capsys.readouterr()
    assert (out, error) == ("", "error: train.lr: must be a number\n")


def test_debug_keeps_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NONMEMBER_DEBUG", "1")
    with pytest.raises(ValueError, match="here"):
        code_of(raising(ValueError("here")))


def test_a_mistake_in_the_code_is_no_message() -> None:
    with pytest.raises(KeyError):
        code_of(raising(KeyError("x")))


def test_ctrl_c_says_that_finished_models_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == f"{console.INTERRUPTED}\n"


def test_help_has_the_words_of_the_module(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(lambda: None, "--help", name="nonmember toy") == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: nonmember toy")
    assert "What it does." in said


def raising(error: BaseException) -> Any:
    def main() -> None:
        raise error

    return main


def test_a_reader_that_has_enough_is_no_error() -> None:
    """As in `nonmember schema | head`."""
    code = (
        "from nonmember.console import run; run(lambda: print('x\\n' * 100_000), '', arguments=[])"
    )
    command = f'{sys.executable} -c "{code}" | head -1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("x\n", "")
