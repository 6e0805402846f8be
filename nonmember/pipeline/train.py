"""Train the model under test, and the attacker's models like it."""

from __future__ import annotations

from pathlib import Path

from nonmember import files
from nonmember.data import prepared
from nonmember.data.canaries import Canaries
from nonmember.data.splits import load_rows
from nonmember.params import read_compute
from nonmember.task import Task, make_task
from nonmember.training import fleet, probe


def target_task(place: Path, arm: str) -> Task:
    """The task of the arm's target, from what the stages config, prepare and split left."""
    return _tasks(place, arm, "target", first=0)[0]


def train_target(place: Path, arm: str) -> None:
    """The arm's recipe, data/prepared and data/split -> models/ARM/target.{safetensors,json}."""
    paths = [place / f"models/{arm}/target"]
    _train(place, [target_task(place, arm)], paths, f"{arm} target")


def train_shadows(place: Path, arm: str) -> None:
    """The same on the attacker's data -> models/ARM/shadows/{000,001,…}.{safetensors,json}."""
    tasks = _tasks(place, arm, "shadows", first=1)
    paths = [place / f"models/{arm}/shadows/{i:03d}" for i in range(len(tasks))]
    _train(place, tasks, paths, f"{arm} shadows")


def _tasks(place: Path, arm: str, whose: str, first: int) -> list[Task]:
    canaries = Canaries.load(place / "data/split/canaries.npz")
    recipe = files.read_json(place / f"data/config/{arm}.json")
    data = prepared.load(place / "data/prepared")
    rows = load_rows(place / f"data/split/{whose}.npz")
    return [make_task(recipe, own, data, arm, first + i, canaries) for i, own in enumerate(rows)]


def _train(place: Path, tasks: list[Task], paths: list[Path], label: str) -> None:
    if tasks:
        _probe(place, tasks[0])
    compute = read_compute(place / "params.yaml")
    fleet.deliver(tasks, place / "data/prepared", paths, compute, label)


def _probe(place: Path, task: Task) -> None:
    """Ask the network before it trains, also about the gradients that `extract` will want."""
    signals = place / "data/config/signals.json"  # changed attacks alone train nothing anew
    wanted = files.read_json(signals)["names"] if signals.is_file() else ()
    probe.before_training(task, prepared.load(place / "data/prepared"), signals=wanted)
