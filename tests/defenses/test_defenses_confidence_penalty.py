from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from nonmember.defenses import Batch, ConfidencePenalty

LABELS = torch.tensor([0, 2, 1])


@pytest.mark.parametrize("alpha", [0.0, 0.3, 8.0])
def test_the_loss_is_eq_15(alpha):
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    total = 0.0
    for row, y in zip(logits.softmax(dim=1).tolist(), LABELS.tolist(), strict=True):
        total += alpha * sum(p * math.log(p) for p in row) - math.log(row[y])
    loss = ConfidencePenalty(penalty_alpha=alpha).loss(Batch(logits, LABELS))
    assert loss.item() == pytest.approx(total / 3, rel=1e-12)


def test_extreme_logits_give_no_nan():
    logits = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    loss = ConfidencePenalty(penalty_alpha=1.0).loss(Batch(logits, torch.tensor([0])))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_a_strong_penalty_prefers_doubt():
    """At a right and certain prediction the gradient lowers the true-class logit."""
    logits = torch.tensor([[3.0, 0.0, 0.0]], requires_grad=True)
    ConfidencePenalty(penalty_alpha=1.0).loss(Batch(logits, torch.tensor([0]))).backward()
    assert logits.grad[0, 0] > 0


@pytest.mark.parametrize("bad", [-0.1, float("nan"), "1"])
def test_bad_options_are_refused_by_name(bad):
    with pytest.raises(ValidationError, match="penalty_alpha"):
        ConfidencePenalty(penalty_alpha=bad)
