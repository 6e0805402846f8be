"""Steps without torch's wrapping are torch's steps."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from nonmember import optimizers
from nonmember.task import TrainOptions


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_bare_step_is_the_optimisers_own(name: Any) -> None:
    options = TrainOptions(optimizer=name, epochs=1, lr=0.1)
    torch.manual_seed(0)
    bare = nn.Linear(4, 3)
    own = copy.deepcopy(bare)
    x = torch.randn(8, 4)
    ours, theirs = (optimizers.make_optimizer(model, options) for model in (bare, own))
    called = []
    ours.register_step_pre_hook(lambda *_: called.append("ours"))
    theirs.register_step_pre_hook(lambda *_: called.append("theirs"))
    for _ in range(3):
        optimizers.forget_gradients(ours)
        theirs.zero_grad()
        for model in (bare, own):
            model(x).square().mean().backward()
        optimizers.step(ours)
        theirs.step()
    assert all(torch.equal(p, q) for p, q in zip(bare.parameters(), own.parameters(), strict=True))
    assert set(called) == {"theirs"}  # or it would not be bare
    assert torch.is_grad_enabled()


def test_forgotten_gradients_are_gone() -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(torch.ones(1, 2)).sum().backward()
    optimizers.forget_gradients(optimizer)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_weight_decay_reaches_the_optimiser(name: Any) -> None:
    options = TrainOptions(optimizer=name, epochs=1, lr=0.1, weight_decay=0.25)
    made = optimizers.make_optimizer(nn.Linear(2, 1), options)
    assert [group["weight_decay"] for group in made.param_groups] == [0.25]
