from __future__ import annotations

import pytest
import tiny
import torch
import torch.nn.functional as F

from nonmember.training.train import train

TINY = {"l1_lambda": 0.01}


def test_one_step_descends_on_cross_entropy_plus_the_sum_of_absolute_weights(tmp_path):
    data = tiny.save(tmp_path)
    task = tiny.task(data, {"name": "l1", "l1_lambda": 0.03}, **tiny.ONE_STEP)
    model, x, y = tiny.start(task, data)
    plain = F.cross_entropy(model(x), y)
    (plain + 0.03 * sum(p.abs().sum() for p in model.parameters())).backward()
    trained = train(task, data)
    for name, p in model.named_parameters():
        torch.testing.assert_close(trained.weights[name], p - task.train.lr * p.grad)
    assert trained.curve[0]["loss"] == pytest.approx(plain.item(), abs=1e-5)


def test_a_stronger_penalty_leaves_smaller_weights(tmp_path):
    data = tiny.save(tmp_path)
    sizes = []
    for strength in (0.0, 0.01, 0.1):
        task = tiny.task(data, {"name": "l1", "l1_lambda": strength}, epochs=10, lr=0.05)
        weights = train(task, data).weights.values()
        sizes.append(sum(w.abs().sum().item() for w in weights))
    assert sizes[0] > sizes[1] > sizes[2]
