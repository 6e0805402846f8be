"""A look at a network before anything trains: does it answer as an audit assumes?

Each sample must have an answer of its own: (classes) finite logits, the same alone, in a batch and
when asked again. A copy is asked, in eval mode, on a few samples; random streams stay as they were.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nonmember.data.prepared import Prepared
from nonmember.task import Task
from nonmember.training.build import Build, build_model

SAMPLES = 6
CLOSE = 1e-3  # of the largest logit: sums of another order differ by less


def before_training(
    task: Task, data: Prepared, build: Build = build_model, signals: Collection[str] = ()
) -> None:
    """Build the task's network and ask it about some of its members.

    signals: what will be extracted, of which the gradients need something to differentiate.
    ValueError in a sentence that names the network and what is wrong with it.
    """
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(task.seed)
        model = build(task, data.outline).eval()
    name = f"model {task.model['name']}"
    inputs, _ = data.take(task.train_rows[:SAMPLES])
    x = data.normalise(inputs)
    require_logits(_answer(model, x, name), len(x), data.classes, name)
    require_steady(model, data, name, rows=task.train_rows)
    _require_gradients(model, x, name, data.kind.numeric and _of_inputs(signals))


def require_logits(answer: Any, count: int, classes: int, name: str) -> None:
    """ValueError unless the answer is (count, classes) finite logits; log-probabilities are."""
    if not isinstance(answer, Tensor):
        raise ValueError(f"{name}: must return its logits alone, found a {type(answer).__name__}")
    if tuple(answer.shape) != (count, classes):
        hint = " (two classes need two logits, not one)" if answer.numel() == count else ""
        raise ValueError(
            f"{name}: must return ({count}, {classes}) logits for {count} samples of {classes} "
            f"classes, found {tuple(answer.shape)}{hint}"
        )
    if not answer.is_floating_point():
        raise ValueError(f"{name}: must return logits as floats, found {answer.dtype}")
    if not answer.isfinite().all():
        raise ValueError(f"{name}: its logits must be finite, found NaN or infinity")
    if (answer >= 0).all() and ((answer.float().sum(dim=1) - 1).abs() < 1e-3).all():
        raise ValueError(
            f"{name}: returns probabilities, and logits are needed: leave the softmax out, the "
            "loss has its own"
        )


def require_steady(
    model: nn.Module,
    data: Prepared,
    name: str,
    device: str = "cpu",
    rows: np.ndarray | None = None,
) -> None:
    """ValueError unless some samples get the same answer alone, together and again."""
    model = copy.deepcopy(model).eval()
    rows = np.arange(len(data.labels)) if rows is None else rows
    x = data.normalise(data.take(rows[:SAMPLES])[0].to(device))
    together, again = _answer(model, x, name), _answer(model, x, name)
    alone = torch.cat([_answer(model, one, name) for one in x.split(1)])
    bound = CLOSE * max(float(together.abs().max()), 1e-6)
    if float((again - together).abs().max()) > bound:
        raise ValueError(
            f"{name}: answers the same samples differently when asked again, in eval mode: let "
            "what is random (a dropout) depend on `self.training`"
        )
    if alone.shape != together.shape or float((alone - together).abs().max()) > bound:
        raise ValueError(
            f"{name}: answers a sample differently alone than in a batch, in eval mode: a sample's "
            "answer must not depend on the others"
        )


def _answer(model: nn.Module, x: Tensor, name: str) -> Any:
    """What the model says; ValueError with the first line of what it raises."""
    try:
        with torch.no_grad(), torch.random.fork_rng([x.device] if x.is_cuda else []):
            torch.default_generator.seed()  # what is random must come out differently
            return model(x)
    except Exception as error:
        raise ValueError(
            f"{name}: cannot read {tuple(x.shape)} {x.dtype} inputs "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
        ) from error


def _of_inputs(signals: Collection[str]) -> bool:
    return any(name.startswith("grad_x") for name in signals)


def _require_gradients(model: nn.Module, x: Tensor, name: str, of_inputs: bool) -> None:
    weights = [p for p in model.parameters() if p.requires_grad]
    x = x.detach().clone().requires_grad_(of_inputs and x.is_floating_point())
    with torch.random.fork_rng([]):
        total = model(x).float().logsumexp(dim=1).sum()
    if not weights or not total.requires_grad:
        raise ValueError(f"{name}: no gradient reaches its weights, so it cannot be trained")
    if of_inputs:
        [found] = torch.autograd.grad(total, [x], allow_unused=True) if x.requires_grad else [None]
        if found is None:
            raise ValueError(
                f"{name}: no gradient reaches its inputs (it reads them as whole numbers, or "
                "detaches them): leave grad_x_l1 and grad_x_l2 out of attacks.names"
            )
