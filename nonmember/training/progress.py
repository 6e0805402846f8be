"""One progress bar over the models of a fleet; plain lines where the output is no terminal.

Workers write a small file a model; the parent reads them. That works for processes, threads and
Ray alike, and the files of a dead worker still say what it was doing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from nonmember import files
from nonmember.training.run import Progress

QUIET = 30.0  # seconds between plain lines about models in training


@dataclass(frozen=True)
class Board:
    """A folder of progress notes, one file a model in training."""

    folder: Path

    def start(self, key: str) -> None:
        """Say that a model is in training in this process."""
        self._write(key, {"pid": os.getpid(), "epoch": 0, "epochs": 0, "loss": 0.0, "acc": 0.0})

    def stop(self, key: str) -> None:
        """Say that it no longer is (finished or failed)."""
        (self.folder / f"{key}.json").unlink(missing_ok=True)

    def reporter(self, key: str) -> Progress:
        """The callback for `train`: at most five notes a second."""
        last = 0.0

        def report(epoch: int, epochs: int, loss: float, accuracy: float) -> None:
            nonlocal last
            if epoch == epochs or time.monotonic() - last > 0.2:
                last = time.monotonic()
                note = {"epoch": epoch, "epochs": epochs, "loss": loss, "acc": accuracy}
                self._write(key, {"pid": os.getpid(), **note})

        return report

    def read(self) -> dict[str, dict[str, float]]:
        """The newest note of each model in training."""
        notes = {}
        for path in sorted(self.folder.glob("*.json")):
            try:
                notes[path.stem] = files.read_json(path)
            except (OSError, ValueError):
                continue  # replaced or removed between listing and reading
        return notes

    def running(self) -> list[str]:
        """Models that were in training when somebody last looked."""
        return list(self.read())

    def log(self, key: str, name: str, seconds: float) -> None:
        """Append the seconds a training took to `work/times.csv`."""
        path = self.folder.parent.parent / "times.csv"
        with contextlib.suppress(OSError), path.open("a") as file:
            file.write(f"{key},{name},{seconds:.3f}\n")

    def clear(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, key: str, note: Mapping[str, float]) -> None:
        data = json.dumps(dict(note)).encode()
        path = self.folder / f"{key}.json"
        if not self.folder.is_dir():  # on a machine with another disk
            return
        with contextlib.suppress(OSError):  # a note that cannot be kept must not end a training
            files.write(path, lambda file: file.write(data), durable=False)


class Watcher:
    """Shows a board while a fleet trains: a bar on a terminal, else a line a finished model."""

    def __init__(self, board: Board, label: str, names: Mapping[str, str]) -> None:
        self.board = board
        self.names = names
        self.label = label
        self.done: set[str] = set()
        self.terminal = sys.stderr.isatty()
        self.began = self.spoke = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._bar = tqdm(
            total=len(names),
            desc=label,
            unit="model",
            disable=not self.terminal,
            bar_format="{desc} {bar:20} {n:.1f}/{total} [{elapsed}<{remaining}]{postfix}",
        )

    def __enter__(self) -> Watcher:
        self.board.folder.mkdir(parents=True, exist_ok=True)
        if not self.terminal:
            print(f"{self.label}: {len(self.names)} to train", file=sys.stderr, flush=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self._bar.close()

    def finished(self, key: str, curve: Sequence[Mapping[str, float]]) -> None:
        """A model with this training curve is done: count it and, off a terminal, print a line."""
        self.done.add(key)
        if self.terminal:
            return
        left = (time.monotonic() - self.began) / len(self.done) * (len(self.names) - len(self.done))
        ends = [f", loss {row['loss']:.3f}, accuracy {row['accuracy']:.1%}" for row in curve[-1:]]
        print(
            f"{self.label}: {self.names[key]} done, {len(self.done)}/{len(self.names)}"
            f"{''.join(ends)}, about {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            self._show()
        self._show()

    def _show(self) -> None:
        notes = {key: note for key, note in self.board.read().items() if key in self.names}
        active = {key: note for key, note in notes.items() if key not in self.done}
        share = sum(note["epoch"] / note["epochs"] for note in active.values() if note["epochs"])
        state = "; ".join(self._state(key, note) for key, note in active.items())
        if self.terminal:
            self._bar.n = len(self.done) + share
            self._bar.set_postfix_str(state, refresh=False)
            self._bar.refresh()
        elif time.monotonic() - self.spoke > QUIET and state:
            self.spoke = time.monotonic()
            print(f"{self.label}: {state}", file=sys.stderr, flush=True)

    def _state(self, key: str, note: Mapping[str, float]) -> str:
        """One model in training, without the word that the label says already."""
        name = self.names[key].removeprefix(f"{self.label.split()[0]} ")
        if not note["epochs"]:
            return f"{name} starts"
        epochs = f"{note['epoch']:.0f}/{note['epochs']:.0f}"
        return f"{name} epoch {epochs} loss {note['loss']:.3f} acc {note['acc']:.1%}"
