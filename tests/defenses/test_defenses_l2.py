from __future__ import annotations

import pytest
import tiny
import torch
import torch.nn.functional as F

from nonmember.training.train import train

TINY = {"l2_lambda": 0.05}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_steps_descend_on_cross_entropy_plus_the_sum_of_squares(tmp_path, optimizer):
    """On top of train.weight_decay, which is half as strong per unit."""
    data = tiny.save(tmp_path)
    options = {**tiny.ONE_STEP, "epochs": 3, "weight_decay": 0.02, "optimizer": optimizer}
    task = tiny.task(data, {"name": "l2", "l2_lambda": 0.05}, **options)
    model, x, y = tiny.start(task, data)
    make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer]
    twin = make(model.parameters(), lr=task.train.lr)
    for _ in range(3):
        twin.zero_grad()
        squares = sum(p.square().sum() for p in model.parameters())
        (F.cross_entropy(model(x), y) + (0.05 + 0.02 / 2) * squares).backward()
        twin.step()
    trained = train(task, data)
    for name, p in model.named_parameters():
        torch.testing.assert_close(trained.weights[name], p.detach(), rtol=1e-4, atol=1e-5)
