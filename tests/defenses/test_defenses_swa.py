from __future__ import annotations

from typing import Any

import pytest
import tiny
import torch

from nonmember.data.prepared import Prepared
from nonmember.training.train import Trained, train

TINY = {"swa_start": 0.0}


def stop(data: Prepared, epoch: int, **options: Any) -> Trained:
    """Plain training cut off after `epoch` epochs."""
    return train(tiny.task(data, {"name": "early_stopping", "stop_epoch": epoch}, **options), data)


def test_it_releases_the_mean_of_the_last_epochs(tmp_path):
    data = tiny.save(tmp_path)
    options = {"epochs": 8, "schedule": "cosine", "lr": 0.05}
    averaged = train(tiny.task(data, {"name": "swa", "swa_start": 0.75}, **options), data)
    seventh, eighth = (stop(data, epoch, **options) for epoch in (7, 8))
    for key, value in averaged.weights.items():
        torch.testing.assert_close(value, (seventh.weights[key] + eighth.weights[key]) / 2)
    assert averaged.curve == eighth.curve
    assert averaged.facts == {"averaged_epochs": 2.0}


def test_batch_norm_describes_the_averaged_weights(tmp_path):
    """One batch of the whole training set: its own mean and variance, layer by layer."""
    data = tiny.save(tmp_path, (1, 8, 8), n=96)
    task = tiny.task(
        data, {"name": "swa", "swa_start": 0.5}, net={"name": "resnet20"}, batch_size=1000
    )
    trained = train(task, data)
    model, x, _ = tiny.start(task, data)
    model.load_state_dict(trained.weights)
    model.train()
    with torch.no_grad():
        out = model.get_submodule("conv")(x)
    mean, var = out.mean(dim=(0, 2, 3)), out.var(dim=(0, 2, 3))
    torch.testing.assert_close(trained.weights["norm.running_mean"], mean, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(trained.weights["norm.running_var"], var, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("rate", "expected"), [(0.0, [0.1, 0.02]), (0.3, [0.1, 0.3])])
def test_the_learning_rate_while_averaging(tmp_path, rate, expected):
    data = tiny.save(tmp_path)
    defense = {"name": "swa", "swa_start": 0.5, "swa_lr": rate}
    trained = train(tiny.task(data, defense, lr={0: 0.1, 1: 0.02}), data)
    assert [row["lr"] for row in trained.curve] == expected
