from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from nonmember.defenses import Batch, LabelSmoothing

LABELS = torch.tensor([0, 2, 1])


def logits() -> torch.Tensor:
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.7, 1.0])
def test_the_loss_is_eq_14(alpha):
    total = 0.0
    for row, y in zip(logits().softmax(dim=1).tolist(), LABELS.tolist(), strict=True):
        divergence = sum(0.25 * math.log(0.25 / p) for p in row)
        total += alpha * divergence - (1 - alpha) * math.log(row[y])
    loss = LabelSmoothing(smoothing_alpha=alpha).loss(Batch(logits(), LABELS))
    assert loss.item() == pytest.approx(total / 3, rel=1e-12)


def test_the_gradient_is_that_of_a_smoothed_label():
    g = logits().requires_grad_()
    LabelSmoothing(smoothing_alpha=0.3).loss(Batch(g, LABELS)).backward()
    target = 0.7 * F.one_hot(LABELS, 4) + 0.3 / 4
    torch.testing.assert_close(g.grad, (logits().softmax(dim=1) - target) / 3)


@pytest.mark.parametrize("bad", [-0.1, 1.1, "0.1"])
def test_bad_options_are_refused_by_name(bad):
    with pytest.raises(ValidationError, match="smoothing_alpha"):
        LabelSmoothing(smoothing_alpha=bad)
