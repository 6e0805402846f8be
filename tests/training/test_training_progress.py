"""What is shown while models train: a bar on a terminal, else lines."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nonmember.training import progress
from nonmember.training.progress import Board, Watcher

NAMES = {"a": "tiny target", "b": "tiny shadow 0"}


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """A model in epoch 3 of 4 and one that has just started."""
    board = Board(tmp_path)
    board.start("b")
    board.reporter("a")(3, 4, 0.5, 0.75)
    return board


def test_plain_lines_tell_epoch_loss_accuracy_and_time_left(
    board: Board, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "QUIET", 0.0)
    with Watcher(board, "tiny", NAMES) as watcher:
        watcher._show()
        time.sleep(0.01)
        watcher.finished("a", [{"loss": 0.5, "accuracy": 0.75}, {"loss": 0.25, "accuracy": 0.875}])
    out = capsys.readouterr().err.splitlines()
    assert out[0] == "tiny: 2 to train"
    assert out[1] == "tiny: target epoch 3/4 loss 0.500 acc 75.0%; shadow 0 starts"
    assert out[2] == "tiny: tiny target done, 1/2, loss 0.250, accuracy 87.5%, about 0 s left"


def test_the_bar_counts_parts_of_models(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Watcher(board, "tiny", NAMES) as watcher:
        watcher._show()
        assert watcher._bar.n == 0.75
        assert "target epoch 3/4 loss 0.500 acc 75.0%" in str(watcher._bar.postfix)
        watcher.finished("a", [])
        board.stop("a")
        watcher._show()
        assert watcher._bar.n == 1


def test_a_line_for_a_model_without_a_curve_has_no_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Watcher(Board(tmp_path), "tiny", {"a": "tiny target"}) as watcher:
        watcher.finished("a", [])
    assert capsys.readouterr().err.splitlines()[-1].startswith("tiny: tiny target done, 1/1, about")
