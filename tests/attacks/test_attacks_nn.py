"""The neural network attack: it trains all of its layers, and scores without dropout."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from typed import sure

from nonmember import statistics
from nonmember.attacks import nn
from nonmember.attacks.nn import NeuralNetwork
from nonmember.metrics import rates
from nonmember.views import View

INPUTS = ("log_probabilities_label", "probabilities_label", "sorted_logits")


def view(seed: int, n: int = 400, classes: int = 4) -> View:
    """Members are predicted with the true class on top, by a logit gap of 4; others by 1."""
    rng = np.random.default_rng(seed)
    labels, member = rng.integers(classes, size=n), rng.random(n) < 0.5
    logits = rng.normal(size=(n, classes)).astype(np.float32)
    logits[np.arange(n), labels] += 1 + 3 * member
    return View(np.arange(n), labels, logits, {}, member)


def fitted(seed: int = 0, **options: Any) -> NeuralNetwork:
    attack = NeuralNetwork(**options)
    attack.fit([view(1), view(2)], seed=seed)
    return attack


def weights(attack: NeuralNetwork) -> list[torch.Tensor]:
    return [p.detach() for p in attack._net.parameters()]


@pytest.mark.parametrize("kind", INPUTS)
def test_it_learns(kind: str) -> None:
    other = view(3)
    assert sure(rates.auc(fitted(nn_input=kind).score(other), sure(other.member)).low) > 0.85


@pytest.mark.parametrize("kind", INPUTS)
def test_every_layer_trains(kind: str) -> None:
    before = fitted(nn_input=kind, nn_epochs=1, nn_lr=1e-12, nn_weight_decay=0.0)
    after = fitted(nn_input=kind, nn_epochs=1, nn_weight_decay=0.0)
    assert len(weights(after)) == (4 if kind == "sorted_logits" else 8)
    for old, new in zip(weights(before), weights(after), strict=True):
        assert (old - new).abs().max() > 1e-5


def test_scores_do_not_use_dropout() -> None:
    attack, other = fitted(nn_dropout=0.5, nn_epochs=2), view(3)
    assert not attack._net.training
    np.testing.assert_array_equal(attack.score(other), attack.score(other))


def test_the_seed_decides_and_nothing_else() -> None:
    other = view(3)
    torch.manual_seed(5)
    one = fitted(seed=3).score(other)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        two = fitted(seed=3).score(other)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(one, two)
    assert torch.equal(torch.get_rng_state(), state)  # the caller's random numbers are untouched
    assert not np.array_equal(one, fitted(seed=4).score(other))


def test_score_is_the_log_odds_of_member_in_float64() -> None:
    attack, other = fitted(nn_input="probabilities_label"), view(3)
    x = np.concatenate([np.exp(other.log_probs), np.eye(4)[other.labels]], axis=1)
    out = attack._net(torch.from_numpy(x)).softmax(dim=1)[:, 1].detach().numpy()
    assert out.dtype == np.float64
    np.testing.assert_allclose(attack.score(other), np.log(out / (1 - out)), rtol=1e-6)


def test_sorted_logits_ignore_labels_and_class_order() -> None:
    attack, other = fitted(nn_input="sorted_logits"), view(3)
    moved = View(other.ids, (other.labels + 1) % 4, other.logits[:, ::-1])
    np.testing.assert_array_equal(attack.score(other), attack.score(moved))


def test_the_default_sees_the_true_class_then_the_others_by_size_then_the_label() -> None:
    p = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]])
    inputs = NeuralNetwork()._inputs(View(np.arange(2), np.array([2, 0]), np.log(p)))
    log = np.log
    expected = [
        [log(0.3 / 0.7), log(0.6), log(0.1), 0, 0, 1],
        [log(0.5 / 0.5), log(0.3), log(0.2), 1, 0, 0],
    ]
    np.testing.assert_allclose(inputs, expected, atol=1e-12)


def test_many_classes_do_not_hide_a_leak_of_the_true_class() -> None:
    """As much as the loss tells: with a place for each of 100 classes the net lost .1 here."""
    attack = NeuralNetwork()
    attack.fit([view(seed, n=3000, classes=100) for seed in (1, 2)])
    other = view(3, n=3000, classes=100)
    loss = sure(
        rates.auc(statistics.log_odds(other.log_probs, other.labels), sure(other.member)).value
    )
    assert sure(rates.auc(attack.score(other), sure(other.member)).value) > loss - 0.01


def test_the_learning_rate_drops_at_shares_of_the_epochs() -> None:
    dropped = fitted(nn_epochs=2, nn_lr_drops=[0.5])
    constant = fitted(nn_epochs=2, nn_lr_drops=[])
    for a, b in zip(
        weights(fitted(nn_epochs=2, nn_lr_drops=[1.0])), weights(constant), strict=True
    ):
        assert torch.equal(a, b)  # a drop after the last epoch changes nothing
    assert not torch.equal(weights(dropped)[0], weights(constant)[0])


def test_a_training_that_diverges_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"diverged: lower attacks\.nn_lr"):
        fitted(nn_lr=1e8)


@pytest.mark.parametrize(
    ("option", "value"),
    [("nn_input", "logits"), ("nn_epochs", 0), ("nn_dropout", 1.0), ("nn_lr_drops", [1.5])],
)
def test_bad_options(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=option):
        NeuralNetwork(**{option: value})


def test_it_trains_and_scores_on_one_thread_so_that_sums_do_not_depend_on_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, train = [], NeuralNetwork._train

    def record(self: NeuralNetwork, table: Any) -> Any:
        seen.append(torch.get_num_threads())
        return train(self, table)

    monkeypatch.setattr(NeuralNetwork, "_train", record)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        attack = fitted(nn_epochs=1)
        attack._net.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
        attack.score(view(3))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert seen == [1, 1]


def test_rounded_probabilities_hide_what_log_probabilities_show() -> None:
    """Members 30 nats surer than others: softmax gives 1 for both (a trap CRL walks into)."""

    def saturated(seed: int) -> Any:
        rng = np.random.default_rng(seed)
        labels, member = rng.integers(0, 4, 400), np.arange(400) < 200
        logits = rng.normal(size=(400, 4)) + np.eye(4)[labels] * np.where(member, 70, 40)[:, None]
        ids = np.arange(400)
        return View(ids, labels, logits.astype(np.float32), member=member)

    def auc_of(nn_input: Any) -> Any:
        attack = NeuralNetwork(nn_input=nn_input, nn_epochs=10)
        attack.fit([saturated(0), saturated(1)])
        other = saturated(2)
        return sure(rates.auc(attack.score(other), other.member).value)

    assert auc_of("log_probabilities_label") > 0.95
    assert auc_of("probabilities_label") < 0.65


@pytest.mark.parametrize("kind", INPUTS)
def test_rows_read_anew_in_blocks_give_the_scores_of_rows_kept(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, other = fitted(nn_input=kind, nn_epochs=3), view(3)
    monkeypatch.setattr(nn, "IN_MEMORY", 0)
    monkeypatch.setattr(nn, "_BLOCK", 4 * 37)
    in_blocks = fitted(nn_input=kind, nn_epochs=3)
    for one, two in zip(weights(whole), weights(in_blocks), strict=True):
        assert torch.equal(one, two)
    scores = in_blocks.score(other)  # a product's last digit may depend on how many rows it has
    np.testing.assert_allclose(scores, whole.score(other), rtol=1e-9, atol=1e-12)


def test_rows_read_anew_come_from_where_the_logits_lie() -> None:
    """Of three views, in the order asked for."""
    views = [view(seed, n=20) for seed in (1, 2, 3)]
    read = [dataclasses.replace(v, read_logits=v.logits.__getitem__) for v in views]
    attack = NeuralNetwork()
    table = nn._Table(read, attack._inputs)
    rows = np.array([45, 3, 59, 20, 0, 19])
    kept, member = table.take(rows)
    table._kept = None
    anew, again = table.take(rows)
    np.testing.assert_array_equal(anew, kept)
    np.testing.assert_array_equal(again, member)
    expected = np.concatenate([sure(v.member) for v in views])[rows]
    np.testing.assert_array_equal(member, expected)
