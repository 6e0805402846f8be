from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import BernoulliNB
from torch import nn

from nonmember.datasets.shoppers import Shoppers

NOWHERE = Path("unused")


def test_shape_values_and_balance() -> None:
    data = Shoppers(n=1000).load(NOWHERE)
    assert data.inputs.shape == (1000, 600)
    assert data.inputs.dtype == np.uint8
    assert set(np.unique(data.inputs)) == {0, 1}
    assert np.bincount(data.labels).tolist() == [10] * 100
    assert (data.mean, data.std) == ([0.0], [1.0])
    assert "synthetic" in data.source


def test_growing_keeps_the_first_rows() -> None:
    few, many = Shoppers(n=8250).load(NOWHERE), Shoppers(n=16_500).load(NOWHERE)
    assert np.array_equal(few.inputs, many.inputs[:8250])
    assert np.array_equal(few.labels, many.labels[:8250])


def test_another_seed_is_another_world() -> None:
    first, second = (Shoppers(n=2000, data_seed=seed).load(NOWHERE) for seed in (0, 1))
    assert not np.array_equal(first.labels, second.labels)
    rates = first.inputs.mean(0), second.inputs.mean(0)
    assert abs(np.corrcoef(*rates)[0, 1]) < 0.2


def test_too_few_shoppers_are_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 200"):
        Shoppers(n=199)


def test_the_default_is_made_in_seconds() -> None:
    start = time.perf_counter()
    assert len(Shoppers().load(NOWHERE).inputs) == 30_000
    assert time.perf_counter() - start < 2


def _modified_entropy(logits: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Song and Mittal 2021, Eq. 8, negated: higher = member."""
    log_p = torch.log_softmax(logits.double(), 1)
    p, right = log_p.exp(), nn.functional.one_hot(labels, 100).bool()
    wrong = -(p * torch.log1p(-p.clamp(max=1 - 1e-15))).masked_fill(right, 0).sum(1)
    return -(wrong - ((1 - p) * log_p)[right]).numpy()


def test_a_plain_network_learns_it_and_leaks() -> None:
    """Members about 100 %, others 80 to 85 %, leakage about 0.78: a window with a ceiling."""
    data = Shoppers(n=10_000).load(NOWHERE)
    x, y = torch.from_numpy(data.inputs).float(), torch.from_numpy(data.labels)
    torch.manual_seed(0)
    layers = [nn.Linear(600, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 100)]
    model = nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for _ in range(40):
        for rows in torch.randperm(5000).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        logits = model(x)
    right = (logits.argmax(1) == y).float()
    assert right[:5000].mean() > 0.99
    assert 0.79 < right[5000:].mean() < 0.87
    assert 0.74 < roc_auc_score(np.arange(10_000) < 5000, _modified_entropy(logits, y)) < 0.84


def test_some_shoppers_cannot_be_foreseen() -> None:
    """Even a model that fits the data as it was made is wrong about one in ten."""
    data = Shoppers(n=20_000).load(NOWHERE)
    model = BernoulliNB().fit(data.inputs[:10_000], data.labels[:10_000])
    assert 0.85 < model.score(data.inputs[10_000:], data.labels[10_000:]) < 0.95
