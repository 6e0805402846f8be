from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from nonmember.defenses import Batch, CenterLoss

TINY = {"center_loss_lambda": 0.5}
LABELS = torch.tensor([0, 2, 0, 0])


def batch() -> Batch:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 4, generator=rng, dtype=torch.float64, requires_grad=True)
    features = torch.randn(4, 2, generator=rng, dtype=torch.float64, requires_grad=True)
    centers = nn.Embedding(4, 2).double()
    return Batch(logits, LABELS, features, parts=centers)


def test_the_loss_is_cross_entropy_plus_the_mean_squared_distance():
    b = batch()
    loss = CenterLoss(center_loss_lambda=0.4).loss(b)
    loss.backward()
    distance = 0.0
    for q, y in zip(b.features.tolist(), LABELS.tolist(), strict=True):
        c = b.parts.weight[y].tolist()
        distance += sum((u - v) ** 2 for u, v in zip(q, c, strict=True))
    plain = F.cross_entropy(b.logits, LABELS)
    assert loss.item() == pytest.approx(plain.item() + 0.4 * distance / 8, rel=1e-12)
    away = b.features.detach() - b.parts.weight.detach()[LABELS]
    torch.testing.assert_close(b.features.grad, 0.4 * away / 4)
    torch.testing.assert_close(b.logits.grad, torch.autograd.grad(plain, b.logits)[0])


@pytest.mark.parametrize("strength", [0.003, 1.0])
def test_a_centre_takes_wens_step_whatever_the_weight(strength):
    defense = CenterLoss(center_loss_lambda=strength, center_loss_rate=0.5)
    b = batch()
    before = b.parts.weight.detach().clone()
    own = defense.part_options()
    optimizer = torch.optim.SGD(b.parts.parameters(), lr=own.lr, momentum=own.momentum)
    defense.loss(b).backward()
    optimizer.step()
    for j in range(4):
        mine = b.features.detach()[j == LABELS]
        step = (before[j] - mine).sum(dim=0) / (1 + len(mine))
        torch.testing.assert_close(b.parts.weight.detach()[j], before[j] - 0.5 * step)


def test_without_weight_there_are_no_centres():
    defense = CenterLoss(center_loss_lambda=0.0)
    assert defense.make_parts(4, 2) is None
    assert defense.loss(Batch(batch().logits, LABELS)) == F.cross_entropy(batch().logits, LABELS)


def test_missing_centres_are_named():
    with pytest.raises(ValueError, match=r"Batch\.features and Batch\.parts"):
        CenterLoss().loss(Batch(batch().logits, LABELS))


@pytest.mark.parametrize(
    "bad", [{"center_loss_lambda": -1.0}, {"center_loss_rate": 0.0}, {"center_loss_rate": 1.5}]
)
def test_bad_options_are_refused_by_name(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        CenterLoss(**bad)
