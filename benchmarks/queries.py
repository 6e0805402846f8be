"""The 162 queries of `shifts` against 162 plain forward passes of as many images, side by side.

Run:     python -m benchmarks.queries   (about five minutes, one torch thread)
Expect:  a ratio of 0.8 to 1.2; padding, cropping, normalising and counting cost next to nothing.

Plain is the same ResNet20 on images that are normalised and in its memory format already, in the
same batches. A round takes the processor time of both on the same images, and the ratio is the
median of the rounds' ratios, which the load of the machine moves less than either time.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from nonmember.data import prepared
from nonmember.data.splits import Rows
from nonmember.datasets import Arrays
from nonmember.extraction.released import Released
from nonmember.kinds import IMAGE
from nonmember.queries import queries
from nonmember.queries.shifts import QUERIES
from nonmember.task import TrainOptions, make_task
from nonmember.training.store import Store
from nonmember.training.train import train

ROUNDS, IMAGES, CLASSES = 3, 256, 10
ROWS = np.arange(IMAGES)
LABELS = ROWS % CLASSES


def make(folder: Path) -> Released:
    """A ResNet20 after an epoch on 64 random byte images of 32 × 32."""
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(IMAGES, 3, 32, 32)).astype(np.uint8)
    names = [str(number) for number in range(CLASSES)]
    arrays = Arrays(images, LABELS, names, [0.5] * 3, [0.25] * 3, kind=IMAGE)
    prepared.save(arrays, "random", folder)
    data = prepared.load(folder)
    options = TrainOptions(epochs=1).model_dump(mode="json")
    recipe = {"model": {"name": "resnet20"}, "defense": {"name": "none"}, "train": options}
    rows = Rows(train=ROWS[:64], test=ROWS[64:128], inference=ROWS[:0])
    task = make_task({**recipe, "seed": 0}, rows, data, "benchmark", 0)
    store = Store(folder)
    store.put("model", task, train(task, data))
    return Released(task, store.weights_path("model"), folder, "cpu")


def seconds(call: Callable[[], object]) -> float:
    """Processor time of this process, which has one busy thread."""
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    """Print both times an image and the ratio."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        released = make(Path(name))
    query = queries.get("shifts")()
    inputs = released.data.normalise(released.data.take(ROWS)[0])
    batches = inputs.split(released.batch_size)

    @torch.inference_mode()
    def plain() -> None:
        for _ in range(QUERIES):
            for batch in batches:
                released.model(batch)

    released.model(batches[0])

    def ask() -> object:
        return released.ask(query, ROWS, LABELS, 0)

    rows = [(seconds(ask), seconds(plain)) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) / IMAGES * 1e3 for column in zip(*rows, strict=True))
    ratio = statistics.median(a / b for a, b in rows)
    print(
        f"resnet20, {IMAGES} images in batches of {released.batch_size}: shifts {ours:.0f} ms, "
        f"{QUERIES} plain forward passes {theirs:.0f} ms an image, ratio {ratio:.2f}"
    )


if __name__ == "__main__":
    main()
