"""A fleet of six trainings against the plain way of training six models.

Run:    python -m benchmarks.fleet [mlp_small mlp_large resnet20 vgg11_bn]
Prints: seconds of both ways and their ratio, median of `--repeats` runs taken in turn

The plain way: one process, torch's default threads, fp32, NCHW, a DataLoader over a TensorDataset,
one model after the other. The fleet: what the stages call, with one worker a core, resident data,
one thread a worker, channels_last; once in fp32 and once in bf16. Workers are started before the
clock, as they are kept between the models of a stage; a training is some seconds long, or the half
second around a fleet would count.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from nonmember.compute import ComputeOptions
from nonmember.data import prepared
from nonmember.datasets import Arrays
from nonmember.kinds import BINARY, IMAGE
from nonmember.task import Task, TrainOptions
from nonmember.training import fleet
from nonmember.training.build import build_model
from nonmember.training.store import Store

MODELS = 6
Case = tuple[dict[str, Any], tuple[int, ...], int, int]
CASES: dict[str, Case] = {  # model settings, input shape, samples a model, epochs
    "mlp_small": ({"name": "mlp", "widths": [256, 128], "activation": "relu"}, (600,), 5000, 40),
    "mlp_large": (
        {"name": "mlp", "widths": [1024, 512, 256], "activation": "relu"}, (600,), 5000, 10,
    ),
    "resnet20": ({"name": "resnet20"}, (3, 32, 32), 1500, 3),
    "vgg11_bn": ({"name": "vgg11_bn"}, (3, 32, 32), 750, 1),
}  # fmt: skip


def make_data(shape: tuple[int, ...], n: int, folder: str) -> prepared.Prepared:
    """Random inputs: only the time matters here."""
    rng = np.random.default_rng(0)
    high = 2 if len(shape) == 1 else 256
    arrays = Arrays(
        rng.integers(0, high, (n, *shape), dtype=np.uint8),
        np.arange(n) % 10,
        [str(c) for c in range(10)],
        kind=BINARY if len(shape) == 1 else IMAGE,
    )
    prepared.save(arrays, "random", folder)
    return prepared.load(folder)


def plain(task: Task, data: prepared.Prepared) -> None:
    """Train one model the way a tutorial does."""
    torch.manual_seed(task.seed)
    raw, labels = data.take(task.train_rows)
    loader = DataLoader(
        TensorDataset(data.normalise(raw), labels), batch_size=task.train.batch_size, shuffle=True
    )
    model = build_model(task, data.outline)
    options = task.train
    optimizer = torch.optim.SGD(
        model.parameters(), options.lr_at(0), options.momentum, weight_decay=options.weight_decay
    )
    model.train()
    for _ in range(options.epochs):
        for inputs, targets in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()


def clock(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(name: str, repeats: int) -> str:
    model, shape, members, epochs = CASES[name]
    with TemporaryDirectory() as folder:
        data = make_data(shape, members, folder)
        tasks = {
            precision: [
                Task(
                    f"model {seed}", model, {"name": "none"},
                    TrainOptions(epochs=epochs, precision=precision, lr=0.01), seed, data.sha256,
                    np.arange(members), np.empty(0, np.int64),
                )
                for seed in range(MODELS)
            ]
            for precision in ("fp32", "bf16")
        }  # fmt: skip

        def by_hand() -> None:
            for task in tasks["fp32"]:
                plain(task, data)

        def run(precision: str, attempt: int) -> None:
            store = Store(Path(folder) / f"{precision}{attempt}" / "models")
            fleet.train_all(tasks[precision], Path(folder), store, ComputeOptions())

        run("fp32", -1)
        times: dict[str, list[float]] = {"plain": [], "fp32": [], "bf16": []}
        for attempt in range(repeats):
            times["plain"].append(clock(by_hand))
            for precision in ("fp32", "bf16"):
                times[precision].append(clock(functools.partial(run, precision, attempt)))
    median = {way: statistics.median(seconds) for way, seconds in times.items()}
    return (
        f"{name:10} plain {median['plain']:6.1f} s   fleet fp32 {median['fp32']:6.1f} s "
        f"(x{median['plain'] / median['fp32']:.2f})   bf16 {median['bf16']:6.1f} s "
        f"(x{median['plain'] / median['bf16']:.2f})"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES), help="which models")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each way, in turn")
    arguments = parser.parse_args()
    for case in arguments.cases or CASES:
        print(measure(case, arguments.repeats), flush=True)
