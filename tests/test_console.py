"""How a stage or a command runs: arguments, one message for an error, an exit code."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from nonmember import console


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NONMEMBER_DEBUG", raising=False)


def failing(error: BaseException) -> None:
    def main() -> None:
        raise error

    console.run(main, "What it does.", arguments=[])


@pytest.mark.parametrize("kind", [ValueError, FileNotFoundError, RuntimeError, MemoryError])
def test_an_expected_error_is_one_line(kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        failing(kind("labels.npy is missing"))
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", "error: labels.npy is missing\n")


def test_the_traceback_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NONMEMBER_DEBUG", "1")
    with pytest.raises(ValueError, match="here"):
        failing(ValueError("here"))


def test_a_mistake_in_the_program_keeps_its_traceback() -> None:
    with pytest.raises(KeyError):
        failing(KeyError("x"))


def test_ctrl_c_says_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        failing(KeyboardInterrupt())
    assert ended.value.code == 130
    assert capsys.readouterr().err == f"{console.INTERRUPTED}\n"


def test_ctrl_c_is_heeded_again_once_it_runs() -> None:
    """Stages ignore it, or leave at once, while they import."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        console.run(lambda: None, None, arguments=[])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_arguments_reach_main() -> None:
    got = {}
    console.run(
        lambda **values: got.update(values),
        "doc",
        arm=True,
        add=lambda parser: parser.add_argument("--seeds", type=int, default=3),
        arguments=["defended", "--seeds", "5"],
    )
    assert got == {"arm": "defended", "seeds": 5}


def test_another_arm_is_refused_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        console.run(lambda arm: pytest.fail("it ran"), "doc", arm=True, arguments=["crl"])
    assert ended.value.code == 2
    assert "invalid choice: 'crl'" in capsys.readouterr().err


def test_help_is_the_doc_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        console.run(lambda: None, "Does a thing.\n\nRun:    so\n", name="prog", arguments=["-h"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: prog")
    assert "Does a thing.\n\nRun:    so\n" in out
