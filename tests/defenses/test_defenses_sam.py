"""SAM against two explicit steps, and what its extra pass must leave alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nonmember.training.train import train

RESNET = {"name": "resnet20"}


def gradients(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters())))


def two_gradients(
    model: nn.Module, x: Tensor, y: Tensor, rho: float
) -> tuple[list[Tensor], list[Tensor]]:
    """∇L(w) and ∇L(w + e), by walking to w + e and back."""
    here = gradients(model, x, y)
    norm = torch.stack([g.square().sum() for g in here]).sum().sqrt()
    weights = [p.detach().clone() for p in model.parameters()]
    for p, g in zip(model.parameters(), here, strict=True):
        p.data = p.data + rho * g / norm
    there = gradients(model, x, y)
    for p, w in zip(model.parameters(), weights, strict=True):
        p.data = w
    return here, there


def assert_one_step(
    tmp_path: Path,
    defense: dict[str, Any],
    rho: float,
    a: float,
    b: float,
    shape: tuple[int, ...] = (5,),
) -> None:
    """`train`, cut to one step, is w − lr·(a·∇L(w) + b·∇L(w + e) + decay·w)."""
    data = tiny.save(tmp_path, shape, n=96)
    net = tiny.MLP if len(shape) == 1 else RESNET
    task = tiny.task(data, defense, net=net, **{**tiny.ONE_STEP, "weight_decay": 0.01})
    model, x, y = tiny.start(task, data)
    here, there = two_gradients(model, x, y, rho)
    trained = train(task, data)
    rest = zip(model.named_parameters(), here, there, strict=True)
    for (name, p), one, two in rest:
        expected = p - task.train.lr_at(0) * (a * one + b * two + 0.01 * p)
        torch.testing.assert_close(trained.weights[name], expected.detach(), rtol=1e-3, atol=1e-5)
    assert trained.curve[0]["loss"] == pytest.approx(F.cross_entropy(model(x), y).item(), abs=1e-3)


@pytest.mark.parametrize("shape", [(5,), (1, 8, 8)])
def test_a_step_is_two_explicit_steps(tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert_one_step(tmp_path, {"name": "sam", "sam_rho": 0.5}, 0.5, 0.0, 1.0, shape)


def test_the_extra_pass_leaves_the_statistics_of_batch_norm_alone(tmp_path: Path) -> None:
    """After one step they are those of one pass at the first weights."""
    data = tiny.save(tmp_path, (1, 8, 8), n=96)
    plain = train(tiny.task(data, net=RESNET, **tiny.ONE_STEP), data)
    task = tiny.task(data, {"name": "sam", "sam_rho": 5.0}, net=RESNET, **tiny.ONE_STEP)
    trained = train(task, data)
    seen = [key for key in plain.weights if "running" in key or "num_batches" in key]
    assert seen
    for key in seen:
        torch.testing.assert_close(trained.weights[key], plain.weights[key])


def test_both_passes_drop_the_same_units(tmp_path: Path) -> None:
    """A tiny rho takes a step close to the plain one, which other masks would not."""
    data = tiny.save(tmp_path, (3, 32, 32), n=48)
    options = {"net": {"name": "vgg11_bn"}, **tiny.ONE_STEP}
    plain = train(tiny.task(data, **options), data).weights
    near = train(tiny.task(data, {"name": "sam", "sam_rho": 1e-7}, **options), data).weights
    key = "classifier.6.weight"
    torch.testing.assert_close(near[key], plain[key], rtol=1e-3, atol=1e-5)
