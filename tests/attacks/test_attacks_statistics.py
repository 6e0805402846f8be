"""The attacks without shadows: their order is that of the statistic they are named after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

from nonmember import statistics
from nonmember.attacks import attacks
from nonmember.metrics import rates
from nonmember.views import View


def view(scale: float = 2.0, n: int = 300) -> View:
    rng = np.random.default_rng(0)
    signals = {"grad_x_l2": rng.random(n).astype(np.float32)}
    logits = rng.normal(0, scale, (n, 6)).astype(np.float32)
    return View(np.arange(n) + 40, rng.integers(6, size=n), logits, signals)


@pytest.mark.parametrize(
    ("name", "statistic"),
    [
        ("confidence", lambda v: statistics.confidence(v.log_probs, v.labels)),
        ("loss", lambda v: -statistics.cross_entropy(v.log_probs, v.labels)),
        ("entropy", lambda v: -statistics.entropy(v.log_probs)),
        ("modified_entropy", lambda v: -statistics.modified_entropy(v.log_probs, v.labels)),
        ("correctness", lambda v: v.logits.argmax(axis=1) == v.labels),
        ("grad_x_l2", lambda v: -v.signals["grad_x_l2"]),
    ],
)
def test_score_orders_like_the_statistic(name: str, statistic: Any) -> None:
    one = view()
    scores = attacks.get(name)().score(one)
    np.testing.assert_array_equal(rankdata(scores), rankdata(statistic(one)))


def test_loss_and_confidence_are_one_attack() -> None:
    one = view()
    np.testing.assert_array_equal(
        attacks.get("loss")().score(one), attacks.get("confidence")().score(one)
    )


@pytest.mark.parametrize("name", ["confidence", "entropy", "loss", "modified_entropy"])
def test_auc_does_not_come_from_ties(name: str) -> None:
    """Very confident predictions whose gaps differ: a float32 softmax would give AUC 0.5."""
    gaps = np.linspace(20, 600, 400, dtype=np.float32)
    logits = np.zeros((400, 3), np.float32)
    logits[:, 1] = gaps
    one = View(np.arange(400), np.ones(400, int), logits)
    assert rates.auc(attacks.get(name)().score(one), gaps > 300).value == 1


@pytest.mark.parametrize("name", ["grad_x_l1", "grad_x_l2", "grad_w_l1", "grad_w_l2"])
def test_a_missing_signal_is_named(name: str) -> None:
    bare = View(np.arange(2), np.zeros(2, int), np.zeros((2, 2)), {"other": np.zeros(2)})
    with pytest.raises(ValueError, match=rf"signal '{name}' was not extracted .*other"):
        attacks.get(name)().score(bare)


def test_a_signal_that_is_not_finite_is_named() -> None:
    one = view()
    one.signals["grad_x_l2"][3] = np.nan
    with pytest.raises(ValueError, match=r"'grad_x_l2' must be finite: 1 of 300 .* sample 43"):
        attacks.get("grad_x_l2")().score(one)


def test_logits_that_are_not_finite_are_refused() -> None:
    one = view()
    one.logits[5, 0] = np.inf
    with pytest.raises(ValueError, match=r"logits must be finite: 1 of 300 .*row 5"):
        attacks.get("loss")().score(one)


def test_an_unknown_attack_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown attack 'los', known: .*correctness.*loss"):
        attacks.get("los")
