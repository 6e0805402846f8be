"""Gradient norms: nonmember.signals against a loop over single samples, side by side.

Run:     python -m benchmarks.signals   (about a minute, one torch thread)
Prints:  median milliseconds a sample of each, and the median ratio of the paired rounds.

The loop is the obvious one: zero_grad, forward, backward, norms, one sample at a time. It is
timed on the first samples and compared per sample. `lean` is the same loop asking autograd for
the needed gradients alone. `bound` is what no batching can beat: the loop's time over the time that
the multiplications of a forward and an input-backward pass take at the speed of a large matrix
product. A convolution's weight gradients add half as much again. On a quiet Xeon core it is
about ×7 for ResNet20 (×5 with weight gradients): its loop is not slow enough for ×10.
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

from nonmember import signals
from nonmember.architectures import architectures

ROUNDS = 7
Task = tuple[str, str, dict[str, Any], tuple[int, ...], int, int, int]
# signal, architecture, its options, input shape, classes, samples, samples of the loop
TASKS: list[Task] = [
    ("grad_x", "resnet20", {}, (3, 32, 32), 10, 128, 16),
    ("grad_w", "resnet20", {}, (3, 32, 32), 10, 128, 16),
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


def lean(model: nn.Module, x: Tensor, labels: Tensor, signal: str) -> list[tuple[float, float]]:
    """The same by autograd.grad, which leaves out what is not asked for."""
    found = []
    for sample, label in zip(x.split(1), labels.split(1), strict=True):
        leaf = sample.clone().requires_grad_(signal == "grad_x")
        of = [leaf] if signal == "grad_x" else list(model.parameters())
        found.append(_norms(torch.autograd.grad(F.cross_entropy(model(leaf), label), of)))
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


def compare(task: Task) -> None:
    """Time one task in alternating rounds and print its line."""
    signal, name, options, shape, classes, samples, few = task
    torch.manual_seed(0)
    model = architectures.get(name)(**options).build(shape, classes).eval()
    x, labels = torch.randn(samples, *shape), torch.randint(classes, (samples,))
    names = [f"{signal}_l1", f"{signal}_l2"]

    def ours() -> object:
        return signals.compute(model, x, labels, names, normalise=lambda raw: raw)

    ways = (
        (lambda: loop(model, x[:few], labels[:few], signal), few),
        (lambda: lean(model, x[:few], labels[:few], signal), few),
        (ours, samples),
    )
    rows = [[seconds(way) / count for way, count in ways] for _ in range(ROUNDS + 1)][1:]
    times = [statistics.median(column) * 1e3 for column in zip(*rows, strict=True)]
    ratios = [statistics.median(row[i] / row[2] for row in rows) for i in (0, 1)]
    bound = times[0] / 1e3 / floor(model, x)
    print(
        f"{signal} {name:9} loop {times[0]:6.3f} ms, lean {times[1]:6.3f} ms, ours "
        f"{times[2]:6.3f} ms a sample: ×{ratios[0]:.1f} over the loop, ×{ratios[1]:.1f} over lean "
        f"(bound ×{bound:.0f})"
    )


def main() -> None:
    """Every task, in one process with one thread."""
    torch.set_num_threads(1)
    for task in TASKS:
        compare(task)


if __name__ == "__main__":
    main()
