"""What defenses with a reference set share: draws from it, forward passes, answers in bulk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nonmember.data.batches import crop_flip
from nonmember.defenses._base import Batch

if TYPE_CHECKING:
    from nonmember.defenses._run import Run

CHUNK = 2048  # samples of one forward pass without gradient


@dataclass
class Streams:
    """The random streams that a run has opened, by purpose."""

    opened: dict[int, torch.Generator] = field(default_factory=dict)


def own_stream(run: Run, purpose: int) -> torch.Generator:
    """The run's random stream for a purpose, beside the one that orders the data: drawing from it
    leaves that order alone."""
    opened = run.state(Streams).opened
    if purpose not in opened:
        seed = np.random.SeedSequence([run.task.seed, purpose]).generate_state(1)[0]
        opened[purpose] = torch.Generator().manual_seed(int(seed))
    return opened[purpose]


def draw(run: Run, count: int) -> Tensor:
    """(count,) random rows of the reference set, with replacement."""
    rows = torch.randint(len(run.inference_labels), (count,), generator=own_stream(run, 1))
    return rows.to(run.device)


def draw_like(run: Run, labels: Tensor) -> tuple[Tensor, Tensor]:
    """For each of (batch,) labels a random row of the reference set with that label.

    Returns (batch,) rows and (batch,) whether the reference set has that class at all.
    """
    order = run.inference_labels.argsort(stable=True)
    counts = torch.bincount(run.inference_labels, minlength=run.classes)
    begins = counts.cumsum(0) - counts
    u = torch.rand(len(labels), generator=own_stream(run, 1), dtype=torch.float64).to(run.device)
    picks = begins[labels] + (u * counts[labels]).long()
    return order[picks.clamp(max=len(order) - 1)], counts[labels] > 0


def forward_inference(run: Run, rows: Tensor) -> Batch:
    """Pass rows of the reference set through the model, augmented as the members are."""
    raw = run.inference_inputs[rows]
    if run.options.augment == "crop_flip":
        raw = crop_flip(raw, own_stream(run, 1))
    with frozen_statistics(run.model):
        return run.forward(run.prepare(raw), run.inference_labels[rows])


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Batch norm uses the batch at hand, but its running statistics stay those of the members."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


@torch.no_grad()
def answers(run: Run, model: nn.Module, raw: Tensor) -> Tensor:
    """(n, classes) float32 logits of raw inputs, in evaluation mode and without augmentation."""
    training = model.training
    model.eval()
    logits = torch.cat([model(run.prepare(part)).float() for part in raw.split(CHUNK)])
    model.train(training)
    return logits
