"""The loss gap as a penalty against its formula."""

from __future__ import annotations

import math

import pytest
import tiny
import torch
import torch.nn.functional as F

from nonmember.defenses import Batch, LossGap
from nonmember.training.train import restore, train_with_required

TINY = {"gap_lambda": 0.5}


def batches(epoch: int = 1) -> tuple[Batch, Batch]:
    rng = torch.Generator().manual_seed(0)
    draw = [torch.randn(n, 3, generator=rng, dtype=torch.float64) for n in (4, 5)]
    return (
        Batch(draw[0].requires_grad_(), torch.tensor([0, 1, 2, 0]), epoch=epoch),
        Batch(draw[1].requires_grad_(), torch.tensor([2, 1, 1, 0, 2])),
    )


def mean_loss(batch: Batch) -> float:
    losses = [
        math.log(sum(math.exp(v) for v in row)) - row[y]
        for row, y in zip(batch.logits.tolist(), batch.labels.tolist(), strict=True)
    ]
    return sum(losses) / len(losses)


def test_loss_is_the_formula_and_both_sides_get_gradient():
    members, others = batches()
    loss = LossGap(gap_lambda=0.7).loss(members, others)
    ours, theirs = mean_loss(members), mean_loss(others)
    assert loss.item() == pytest.approx(ours + 0.7 * abs(ours - theirs), rel=1e-12)
    loss.backward()
    assert members.logits.grad.abs().sum() > 0
    assert others.logits.grad.abs().sum() > 0


def test_the_penalty_waits_for_the_warm_up():
    gap = LossGap(gap_warmup=2)
    for epoch in (1, 2):
        members, others = batches(epoch)
        assert gap.loss(members, others).item() == pytest.approx(mean_loss(members))
    members, others = batches(3)
    assert gap.loss(members, others).item() > mean_loss(members) + 1e-3


def test_without_non_members_it_says_so():
    with pytest.raises(ValueError, match="needs a batch of non-members"):
        LossGap().loss(batches()[0])


def test_loss_and_accuracy_of_both_sets_are_recorded(tmp_path):
    data = tiny.save(tmp_path)
    task = tiny.task(data, {"name": "loss_gap", **TINY})
    result = train_with_required(task, data)
    wanted = {}
    for name, rows in {"members": task.train_rows, "inference": task.inference_rows}.items():
        inputs, labels = data.take(rows)
        with torch.no_grad():
            logits = restore(task, result, data)(data.normalise(inputs))
        wanted[f"{name}_loss"] = F.cross_entropy(logits, labels).item()
        wanted[f"{name}_accuracy"] = (logits.argmax(dim=1) == labels).float().mean().item()
    assert result.facts == pytest.approx(wanted, rel=1e-5)
    assert len(set(wanted.values())) == 4
