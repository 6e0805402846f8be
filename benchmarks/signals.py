"""Gradient norms: nonmember.extraction.signals against a loop over single samples, side by side.

Run:     python -m benchmarks.signals   (about two minutes)
Prints:  median milliseconds a sample of each, and the median ratios of the paired rounds: one
         thread each, and what a stage does (a model on every core) against the loop with torch's
         default threads

The loop is the obvious one: zero_grad, forward, backward, norms, one sample at a time. It is
timed on the first samples and compared per sample. `bound` is what no batching can beat: the same
ratio if only the layers that multiply took time, each alone at the library's speed for a batch,
forward and backward to its input; for weight gradients also backward to a convolution's weights,
all samples together (a linear layer needs none: the norm of an outer product is the product of the
norms).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nonmember import compute
from nonmember.architectures import architectures
from nonmember.compute import ComputeOptions
from nonmember.data.prepared import Normalise
from nonmember.extraction import signals
from nonmember.kinds import IMAGE, TABLE, Outline

ROUNDS = 7
Task = tuple[str, str, dict[str, Any], tuple[int, ...], int, int, int]
# signal, architecture, its options, input shape, classes, samples, samples of the loop
TASKS: list[Task] = [
    ("grad_x", "resnet20", {}, (3, 32, 32), 10, 256, 16),
    ("grad_w", "resnet20", {}, (3, 32, 32), 10, 256, 16),
    ("grad_x", "mlp", {"widths": [512, 256]}, (600,), 100, 512, 256),
    ("grad_w", "mlp", {"widths": [512, 256]}, (600,), 100, 512, 256),
]


def loop(model: nn.Module, x: Tensor, labels: Tensor, signal: str) -> list[tuple[float, float]]:
    """(ℓ1, ℓ2) of each sample, by backward()."""
    found = []
    for sample, label in zip(x.split(1), labels.split(1), strict=True):
        model.zero_grad()
        leaf = sample.clone().requires_grad_()
        F.cross_entropy(model(leaf), label).backward()
        of = [leaf] if signal == "grad_x" else list(model.parameters())
        found.append(_norms([tensor.grad for tensor in of if tensor.grad is not None]))
    return found


def _norms(gradients: Sequence[Tensor]) -> tuple[float, float]:
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    return flat.norm(p=1).item(), flat.norm().item()


def seconds(task: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def laid_out(x: Tensor) -> Tensor:
    """Inputs as the stages feed them: images with channels last."""
    return Normalise((0.0,), (1.0,), IMAGE if x.dim() == 4 else TABLE).laid_out(x)


def floor(model: nn.Module, x: Tensor, signal: str) -> float:
    """Seconds a sample that its linear and convolution layers take alone, in batches of 64."""
    uses: list[tuple[nn.Module, Tensor]] = []
    layers = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    hooks = [
        layer.register_forward_pre_hook(lambda module, inputs: uses.append((module, inputs[0])))
        for layer in layers
    ]
    with torch.no_grad():
        model(laid_out(x[:64]))
    for hook in hooks:
        hook.remove()
    return sum(_alone(*use, signal) for use in uses) / len(x[:64])


def _alone(layer: nn.Module, inputs: Tensor, signal: str) -> float:
    """Seconds of one layer, forward and backward, the least of several."""
    leaf = inputs.clone().requires_grad_()
    targets = [leaf]
    if signal == "grad_w" and isinstance(layer, nn.Conv2d):
        targets.append(layer.weight)

    def once() -> object:
        out = layer(leaf)
        return torch.autograd.grad(out, targets, out.detach())

    return min(seconds(once) for _ in range(10))


def make(number: int) -> tuple[nn.Module, Tensor, Tensor]:
    """Model, inputs and labels of a task."""
    _, name, options, shape, classes, samples, _ = TASKS[number]
    torch.manual_seed(0)
    outline = Outline(samples, classes, shape, IMAGE if len(shape) == 3 else TABLE)
    model = architectures.get(name)(**options).build(outline).eval()
    return model, torch.randn(samples, *shape), torch.randint(classes, (samples,))


def batched(number: int) -> float:
    """In a worker, as the stages do it: seconds for all samples of a task, the mean of a second's
    work, so that workers that begin a little apart are in each other's way."""
    model, x, labels = make(number)
    names = [f"{TASKS[number][0]}_l1", f"{TASKS[number][0]}_l2"]

    def once() -> object:
        return signals.compute(model, x, labels, names, normalise=laid_out)

    times: list[float] = []
    with compute.one_thread():
        while sum(times) < 1:
            times.append(seconds(once))
    return statistics.mean(times)


def compare(number: int) -> None:
    """Time one task in alternating rounds and print its line."""
    signal, name, _, _, _, samples, few = TASKS[number]
    model, x, labels = make(number)
    cores = len(compute.slots(ComputeOptions()))

    def once() -> object:
        return loop(model, x[:few], labels[:few], signal)

    rows = []
    for _ in range(ROUNDS + 1):
        with compute.one_thread():
            alone = seconds(once) / few
        default = seconds(once) / few
        (ours,) = compute.in_pool(ComputeOptions(), batched, [(number,)])
        slower = max(compute.in_pool(ComputeOptions(), batched, [(number,)] * cores))
        rows.append([alone, ours / samples, default, slower / cores / samples])
    times = [statistics.median(column) * 1e3 for column in zip(*rows[1:], strict=True)]
    core, stage = (statistics.median(row[i] / row[i + 1] for row in rows[1:]) for i in (0, 2))
    with compute.one_thread():
        least = floor(model, x, signal) * 1e3
    print(
        f"{signal} {name:9} loop {times[0]:6.3f} ms, ours {times[1]:6.3f} ms a sample: ×{core:.1f} "
        f"on a core (bound ×{times[0] / least:.1f}); with {cores} cores {times[2]:6.3f} and "
        f"{times[3]:6.3f}: ×{stage:.1f} (bound ×{times[2] / least * cores:.1f})",
        flush=True,
    )


if __name__ == "__main__":
    for index in range(len(TASKS)):
        compare(index)
