"""What a defended training costs against `none`, on `shoppers`.

Run:    python -m benchmarks.defenses [name ...] [--widths 1024 512 256]
Prints: the ratio of every defense, median over `--repeats`; updates docs/costs.json, unless
        `--widths` asks for another net than the one shipped

Each repeat times `none` and the defense one after the other on one thread and takes the ratio of
their processor times; models that a defense needs first count in full. Twenty epochs stand for a
hundred, so all counts of epochs are a fifth (PAST tunes for 4 instead of 20). The shipped net
is so small that a hundred operations on a batch take as long as a third of its step, so a loss of
many small ones weighs more here than on any larger net.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from nonmember import compute
from nonmember.data import prepared, splits
from nonmember.datasets import datasets
from nonmember.defenses import defenses
from nonmember.task import Task, TrainOptions
from nonmember.training.build import build_defense
from nonmember.training.train import Trained, train

COSTS = Path(__file__).parent.parent / "docs" / "costs.json"
OF_A_HUNDRED = {
    "past": {"past_epochs": 20},
    "early_stopping": {"stop_epoch": 10},
    "memguard": {"memguard_epochs": 20},
}
WIDTHS = [256, 128]


def train_with_required(task: Task, data: prepared.Prepared) -> Trained:
    """Train what the task requires, one after the other, then the task."""
    needs = build_defense(task).requires(task)
    return train(task, data, {name: train_with_required(t, data) for name, t in needs.items()})


def seconds(
    name: str, rows: splits.Rows, data: prepared.Prepared, epochs: int, widths: list[int]
) -> float:
    scaled = {key: count * epochs // 100 for key, count in OF_A_HUNDRED.get(name, {}).items()}
    options = defenses.get(name).Options(**scaled).model_dump()
    model = {"name": "mlp", "widths": widths, "activation": "relu"}
    task = Task(
        name, model, {"name": name, **options}, TrainOptions(epochs=epochs), 0, data.sha256,
        rows.train, rows.inference,
    )  # fmt: skip
    began = time.process_time()
    train_with_required(task, data)
    return time.process_time() - began


def main(names: list[str], repeats: int, epochs: int, widths: list[int]) -> None:
    costs = json.loads(COSTS.read_text())
    with TemporaryDirectory() as folder, compute.one_thread():
        prepared.save(datasets.get("shoppers")().load(Path()), "shoppers", folder)
        data = prepared.load(folder)
        rows = splits.target_rows(data.labels, splits.SplitOptions(), seed=0)
        seconds("none", rows, data, 1, widths)
        for name in names or defenses.names():
            ratios = [
                1
                / seconds("none", rows, data, epochs, widths)
                * seconds(name, rows, data, epochs, widths)
                for _ in range(repeats)
            ]
            costs[name] = round(statistics.median(ratios), 2)
            print(f"{name:20} x{costs[name]:.2f}  ({np.round(ratios, 2).tolist()})", flush=True)
    if widths == WIDTHS:
        COSTS.write_text(json.dumps(dict(sorted(costs.items())), indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="which defenses; default: all")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of trainings")
    parser.add_argument("--epochs", type=int, default=20, help="epochs a training, at least 10")
    parser.add_argument("--widths", nargs="+", type=int, default=WIDTHS, help="of the MLP")
    arguments = parser.parse_args()
    main(arguments.names, arguments.repeats, arguments.epochs, arguments.widths)
