"""What a worker must not import: each costs every process of every stage up to a second."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = """
import numpy as np
from nonmember.training import fleet
from nonmember.data import prepared
from nonmember.kinds import BINARY
from nonmember.datasets import Arrays
from nonmember.task import TrainOptions
from nonmember.task import Task
from nonmember.training.train import train
arrays = Arrays(np.eye(8, dtype=np.float32), np.arange(8) % 2, ["a", "b"], kind=BINARY)
prepared.save(arrays, "eye", sys.argv[1])
data = prepared.load(sys.argv[1])
model = {"name": "mlp", "widths": [4], "activation": "relu"}
rows = np.arange(8)
options = TrainOptions(epochs=1, batch_size=4, optimizer=OPTIMIZER)
train(Task("m", model, {"name": "none"}, options, 0, data.sha256, rows, rows[:0]), data)
"""
EXTRACT = """
import torch
from nonmember.extraction import extract, signals
from torch import nn
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
x, y = torch.ones(5, 3), torch.ones(5, dtype=torch.long)
signals.compute(model, x, y, list(signals.SIGNALS), normalise=lambda raw: raw)
"""
ATTACK = """
import numpy as np
from nonmember.attacks.nn import NeuralNetwork
from nonmember.views import View
rows = np.arange(6)
NeuralNetwork().fit([View(rows, rows % 3, np.eye(6, 3, dtype=np.float32), member=rows % 2 == 0)])
"""


@pytest.mark.parametrize(
    "work",
    [TRAIN.replace("OPTIMIZER", "'sgd'"), TRAIN.replace("OPTIMIZER", "'adam'"), EXTRACT, ATTACK],
    ids=["sgd", "adam", "extract", "nn"],
)
def test_work_starts_without_what_it_does_not_use(work: str, tmp_path: Path) -> None:
    found = "print([m for m in ('torch._dynamo', 'sympy', 'sklearn') if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", f"import sys\n{work}\n{found}", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout == "[]\n"
