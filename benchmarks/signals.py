"""Gradient norms: nonmember.signals against a loop over single samples, side by side.

Run:     python -m benchmarks.signals   (about two minutes)
Prints:  median milliseconds a sample of each, and the median ratios of the paired rounds: one
         thread each, and what a stage does (a model on every core) against the loop with torch's
         default threads

The loop is the obvious one: zero_grad, forward, backward, norms, one sample at a time. It is
timed on the first samples and compared per sample. `bound` is what no batching can beat on a core:
the loop's time over the time that the multiplications of a forward and an input-backward pass take
at the speed of a large matrix product. Weight gradients add half as much to a convolution, nothing
to a linear layer (the norm of an outer product is the product of the norms).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nonmember import compute, signals
from nonmember.architectures import architectures
from nonmember.compute import ComputeOptions

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


def floor(model: nn.Module, x: Tensor) -> float:
    """Seconds of one sample's forward and input-backward arithmetic at matrix product speed."""
    square = torch.randn(1024, 1024)
    peak = 2 * 1024**3 / min(seconds(lambda: square @ square) for _ in range(10))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x[:1])
    return 2 * counter.get_total_flops() / peak


def make(number: int) -> tuple[nn.Module, Tensor, Tensor]:
    """Model, inputs and labels of a task."""
    _, name, options, shape, classes, samples, _ = TASKS[number]
    torch.manual_seed(0)
    model = architectures.get(name)(**options).build(shape, classes).eval()
    return model, torch.randn(samples, *shape), torch.randint(classes, (samples,))


def batched(number: int) -> float:
    """In a worker, as the stages do it: seconds for all samples of a task, the mean of a second's
    work, so that workers that begin a little apart are in each other's way."""
    model, x, labels = make(number)
    names = [f"{TASKS[number][0]}_l1", f"{TASKS[number][0]}_l2"]

    def once() -> object:
        return signals.compute(model, x, labels, names, normalise=lambda raw: raw)

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
        (ours,) = compute.spread(ComputeOptions(), batched, [(number,)])
        slower = max(compute.spread(ComputeOptions(), batched, [(number,)] * cores))
        rows.append([alone, ours / samples, default, slower / cores / samples])
    times = [statistics.median(column) * 1e3 for column in zip(*rows[1:], strict=True)]
    core, stage = (statistics.median(row[i] / row[i + 1] for row in rows[1:]) for i in (0, 2))
    with compute.one_thread():
        bound = times[0] / 1e3 / floor(model, x)
    print(
        f"{signal} {name:9} loop {times[0]:6.3f} ms, ours {times[1]:6.3f} ms a sample: ×{core:.1f} "
        f"on a core (bound ×{bound:.0f}); with {cores} cores {times[2]:6.3f} and {times[3]:6.3f}: "
        f"×{stage:.1f}",
        flush=True,
    )


if __name__ == "__main__":
    for index in range(len(TASKS)):
        compare(index)
