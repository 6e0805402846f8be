"""What a defense keeps from hook to hook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tiny
from torch import Tensor

from nonmember.defenses import Defense
from nonmember.defenses._run import Run
from nonmember.training.train import train


@dataclass
class Notes:
    lines: list[str] = field(default_factory=list)


@dataclass
class Remarks(Notes):
    pass


class Keeper(Defense):
    """Notes something at the start and reads it at the end."""

    def start(self, run: Run, required: Mapping[str, Mapping[str, Tensor]]) -> None:
        run.state(Notes).lines.append("by default")
        run.state(Notes).lines.append("and again")
        run.remember(Remarks(["lost"]))
        run.remember(Remarks(["remembered"]))

    def extras(self, run: Run) -> dict[str, Tensor]:
        self.read = run.state(Notes).lines, run.state(Remarks).lines
        return {}


def test_a_run_has_one_state_of_each_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Keeper()
    monkeypatch.setattr("nonmember.training.train.build_defense", lambda task: keeper)
    data = tiny.save(tmp_path)
    for _ in range(2):  # nothing is left of the run before
        train(tiny.task(data, epochs=1), data)
        assert keeper.read == (["by default", "and again"], ["remembered"])
