"""HAMP: labels of a given entropy, the loss by hand, and answers that keep only the order."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import tiny
import torch
import torch.nn.functional as F

from nonmember.defenses import HAMP, Batch
from nonmember.defenses.hamp import label_entropy, random_inputs, top_probability
from nonmember.kinds import BINARY, IMAGE, TABLE
from nonmember.training.build import build_defense
from nonmember.training.train import train_with_required


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("gamma", [0.0, 0.05, 0.5, 0.8, 0.99])
def test_a_label_has_the_entropy_asked_for(gamma: float, classes: int) -> None:
    p = top_probability(gamma, classes)
    label = [p] + [(1 - p) / (classes - 1)] * (classes - 1)
    entropy = -sum(v * math.log(v) for v in label if v > 0)
    assert entropy == pytest.approx(gamma * math.log(classes), abs=1e-9)
    assert label_entropy(p, classes) == pytest.approx(entropy, abs=1e-12)
    assert p >= 1 / classes


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_the_loss_is_kl_minus_weighted_entropy(alpha: float, published: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 4, generator=rng, dtype=torch.float64)
    labels = torch.tensor([0, 3, 2, 1, 1])
    p = top_probability(0.6, 4)
    kl = entropy = 0.0
    for row, y in zip(F.softmax(logits, dim=1).tolist(), labels.tolist(), strict=True):
        soft = [p if c == y else (1 - p) / 3 for c in range(4)]
        kl += sum(s * math.log(s / q) for s, q in zip(soft, row, strict=True)) / 5
        entropy += -sum(q * math.log(q) for q in row) / 5
    defense = HAMP(hamp_gamma=0.6, hamp_alpha=alpha, hamp_published_scale=published)
    found = defense.loss(Batch(logits, labels)).item()
    assert found == pytest.approx(kl / (4 if published else 1) - alpha * entropy)


def test_gamma_zero_is_cross_entropy() -> None:
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    found = HAMP(**HAMP.neutral).loss(Batch(logits, labels))
    assert found == F.cross_entropy(logits, labels)


def test_the_answer_is_a_random_score_vector_in_the_order_of_the_query() -> None:
    rng = torch.Generator().manual_seed(0)
    bank = torch.randn(7, 5, generator=rng).sort(dim=1, descending=True).values
    logits = 9 * torch.randn(300, 5, generator=rng)
    out = HAMP().release(logits, {"scores": bank})
    assert torch.equal(out.argsort(dim=1), logits.argsort(dim=1))
    rows = {tuple(row) for row in bank.tolist()}
    assert {tuple(row) for row in out.sort(dim=1, descending=True).values.tolist()} == rows


def test_the_scores_say_nothing_about_confidence() -> None:
    rng = torch.Generator().manual_seed(0)
    bank = torch.randn(200, 4, generator=rng).sort(dim=1, descending=True).values
    sure = 20 * torch.randn(2000, 4, generator=rng)
    unsure = torch.randn(2000, 4, generator=rng)
    tops = [HAMP().release(x, {"scores": bank}).max(dim=1).values.mean() for x in (sure, unsure)]
    assert tops[0] == pytest.approx(tops[1].item(), abs=0.1)


def test_the_same_query_gets_the_same_answer() -> None:
    bank = torch.randn(50, 4).sort(dim=1, descending=True).values
    logits = torch.randn(30, 4)
    one = HAMP().release(logits, {"scores": bank})
    two = torch.cat([HAMP().release(row[None], {"scores": bank}) for row in logits])
    assert torch.equal(one, two)


def test_the_model_itself_can_be_released(tmp_path: Path) -> None:
    data = tiny.save(tmp_path)
    task = tiny.task(data, {"name": "hamp", "hamp_release": False})
    result = train_with_required(task, data)
    assert result.extras == {}
    logits = torch.randn(3, 3)
    assert torch.equal(build_defense(task).release(logits, result.extras), logits)


def test_random_inputs_stay_in_range_and_whole_features_whole() -> None:
    stream = torch.Generator().manual_seed(0)
    table = torch.tensor([[0.0, 1.5], [3.0, 2.5], [1.0, 2.0]])
    drawn = random_inputs(table, TABLE, 4000, stream)
    assert set(drawn[:, 0].tolist()) == {0.0, 1.0, 2.0, 3.0}
    assert drawn[:, 1].min() >= 1.5
    assert drawn[:, 1].max() <= 2.5
    bits = random_inputs(torch.eye(3, dtype=torch.uint8), BINARY, 200, stream)
    assert bits.dtype == torch.uint8
    assert set(bits.unique().tolist()) == {0, 1}  # a table of 0 and 1 is no image
    images = random_inputs(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), IMAGE, 50, stream)
    assert images.dtype == torch.uint8
    assert images.min() == 0
    assert images.max() == 255
