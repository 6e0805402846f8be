"""The optimisers of a training, and their steps without what torch wraps around them.

torch puts a profiler range and hooks around `zero_grad` and `step`, which take a twentieth of a
small net's training step, and imports its compiler to make an optimiser, which takes a second of
every worker; nothing here uses them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

if TYPE_CHECKING:
    from nonmember.task import TrainOptions


class SGD(torch.optim.SGD):
    """torch's SGD without its compiler."""

    add_param_group = inspect.unwrap(torch.optim.SGD.add_param_group)


class Adam(torch.optim.Adam):
    """torch's Adam without its compiler."""

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)


@dataclass(frozen=True)
class PartOptions:
    """The optimiser of a defense's own trained parts; Adam takes no momentum."""

    lr: float = 0.001
    momentum: float = 0.0
    weight_decay: float = 0.0
    optimizer: Literal["sgd", "adam"] = "sgd"


def make_optimizer(model: nn.Module, options: TrainOptions) -> torch.optim.Optimizer:
    """The optimiser of `train.optimizer` over all parameters of the model."""
    lr = options.lr_at(0)
    if options.optimizer == "adam":
        return Adam(model.parameters(), lr=lr, weight_decay=options.weight_decay, fused=True)
    return SGD(
        model.parameters(),
        lr=lr,
        momentum=options.momentum,
        nesterov=options.nesterov,
        weight_decay=options.weight_decay,
        fused=True,
    )


def make_part_optimizer(parts: nn.Module, options: PartOptions) -> torch.optim.Optimizer:
    """SGD or Adam over a defense's own trained parts."""
    if options.optimizer == "adam":
        return Adam(
            parts.parameters(), lr=options.lr, weight_decay=options.weight_decay, fused=True
        )
    return SGD(
        parts.parameters(),
        lr=options.lr,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
    )


def forget_gradients(optimizer: torch.optim.Optimizer) -> None:
    """What `optimizer.zero_grad()` does."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


@torch.no_grad()
def step(optimizer: torch.optim.Optimizer) -> None:
    """What `optimizer.step()` does; hooks registered on the optimiser are not called."""
    _bare(type(optimizer).step)(optimizer)


@lru_cache
def _bare(method: Callable[..., Any]) -> Callable[..., Any]:
    return inspect.unwrap(method)
