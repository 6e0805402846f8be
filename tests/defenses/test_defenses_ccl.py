"""The convex-concave loss against plain Python, and what its gradient does to easy and hard."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from nonmember.defenses import CCL, Batch

LABELS = torch.tensor([0, 2, 1])


def some_logits() -> torch.Tensor:
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("form", ["exponential", "quadratic"])
def test_the_loss_is_the_papers(alpha, form):
    total = 0.0
    for row, y in zip(some_logits().softmax(dim=1).tolist(), LABELS.tolist(), strict=True):
        p = row[y]
        concave = math.exp(p) if form == "exponential" else p + p * p / 2
        total += 0.2 * (-alpha * math.log(p) - (1 - alpha) * concave)
    loss = CCL(ccl_alpha=alpha, ccl_beta=0.2, ccl_form=form).loss(Batch(some_logits(), LABELS))
    assert loss.item() == pytest.approx(total / 3, rel=1e-12)


@pytest.mark.parametrize("form", ["exponential", "quadratic"])
def test_a_hard_sample_pulls_less_than_under_cross_entropy(form):
    """What spreads the losses: of the pull on both, the hard sample's share is smaller."""
    logits = torch.tensor([[3.0, 0.0], [0.0, 3.0]], dtype=torch.float64, requires_grad=True)
    labels, shares = torch.tensor([0, 0]), []
    for loss in (
        F.cross_entropy(logits, labels), CCL(ccl_form=form).loss(Batch(logits, labels))
    ):  # fmt: skip
        easy, hard = torch.autograd.grad(loss, logits)[0][:, 0].abs().tolist()
        shares.append(hard / (easy + hard))
    assert shares[1] < shares[0] - 0.01


def test_extreme_logits_give_no_nan():
    logits = torch.tensor([[1e4, 0.0, -1e4], [1e4, 0.0, -1e4]], requires_grad=True)
    loss = CCL().loss(Batch(logits, torch.tensor([0, 2])))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    "bad",
    [{"ccl_alpha": 1.1}, {"ccl_alpha": -0.1}, {"ccl_beta": 0.0}, {"ccl_form": "cubic"}],
    ids=str,
)
def test_bad_options_are_refused_by_name(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        CCL(**bad)
