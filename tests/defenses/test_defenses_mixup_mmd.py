"""Mixup and MMD against plain loops, and when the penalty acts."""

from __future__ import annotations

import math

import pytest
import tiny
import torch
import torch.nn.functional as F

from nonmember.defenses import Batch, MixupMMD
from nonmember.defenses import mixup_mmd as module
from nonmember.defenses.mixup_mmd import mmd2, mmd2_by_class
from nonmember.training.train import train_with_required

TINY = {"mmd_min_gap": 0.0}


def samples(n: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return F.softmax(torch.randn(n, 3, generator=rng, dtype=torch.float64), dim=1)


def by_hand(x: list[list[float]], y: list[list[float]], width: float) -> float:
    def k(a: list[float], b: list[float]) -> float:
        return math.exp(-sum((u - v) ** 2 for u, v in zip(a, b, strict=True)) / (2 * width**2))

    def mean(p: list[list[float]], q: list[list[float]]) -> float:
        return sum(k(a, b) for a in p for b in q) / (len(p) * len(q))

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


def test_mmd_is_the_biased_estimate():
    x, y = samples(5, 0), samples(7, 1)
    assert mmd2(x, y, 0.6).item() == pytest.approx(by_hand(x.tolist(), y.tolist(), 0.6))
    assert mmd2(x, x, 0.6).item() == pytest.approx(0, abs=1e-12)


def test_mmd_by_class_averages_the_classes():
    x, y, labels = samples(6, 0), samples(6, 1), torch.tensor([0, 1, 0, 1, 1, 2])
    parts = [by_hand(x[labels == c].tolist(), y[labels == c].tolist(), 1.0) for c in range(3)]
    assert mmd2_by_class(x, y, labels, 1.0).item() == pytest.approx(sum(parts) / 3)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("mmd"))


def spied(table, monkeypatch, **options):
    """A training, the batches that were forwarded for the loss, and the epochs with a penalty."""
    losses, epochs = [], []
    loss, penalty = MixupMMD.loss, MixupMMD._penalty

    def see(self, batch):
        value = loss(self, batch)
        losses.append((batch, batch.run.memory.get("mixed"), float(value.detach())))
        return value

    def act(self, run, rows):
        epochs.append(run.epoch)
        return penalty(self, run, rows)

    monkeypatch.setattr(MixupMMD, "loss", see)
    monkeypatch.setattr(MixupMMD, "_penalty", act)
    epochs_wanted = options.pop("epochs", 2)
    task = tiny.task(table, {"name": "mixup_mmd", **options}, epochs=epochs_wanted)
    train_with_required(task, table)
    return losses, epochs


def test_a_batch_is_mixed_and_both_labels_weighted(table, monkeypatch):
    losses, _ = spied(table, monkeypatch, mmd_lambda=0.0)
    for batch, (partner, share), value in losses[:5]:
        assert 0 <= share <= 1
        own = F.cross_entropy(batch.logits, batch.labels).item()
        other = F.cross_entropy(batch.logits, partner).item()
        assert value == pytest.approx(share * own + (1 - share) * other, rel=1e-5)
        plain, _ = batch.run.take(batch.rows)
        assert sorted(partner.tolist()) == sorted(batch.labels.tolist())
        assert not torch.allclose(batch.inputs, plain)


def test_the_penalty_waits_for_the_gap_and_spares_the_last_epoch(table, monkeypatch):
    gaps = iter([0.01, 0.2, 0.2, 0.2])
    monkeypatch.setattr(MixupMMD, "_gap", lambda self, run: next(gaps))
    _, epochs = spied(table, monkeypatch, epochs=5)
    assert set(epochs) == {3, 4}


def test_the_penalty_compares_members_with_others_of_their_classes(table, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "mmd2", lambda p, q, w: seen.append((p, q)) or (p * 0).sum())
    drawn = []
    draw = module.draw_like
    monkeypatch.setattr(
        module, "draw_like", lambda run, labels: drawn.append((run, labels)) or draw(run, labels)
    )
    spied(table, monkeypatch, epochs=3, mmd_min_gap=0.0)
    run, labels = drawn[0]
    rows, there = draw(run, labels)
    assert there.all()
    assert torch.equal(run.inference_labels[rows], labels)
    members, others = seen[0]
    assert members.requires_grad
    assert not others.requires_grad
    torch.testing.assert_close(members.sum(dim=1), torch.ones(len(members)))


def test_training_is_a_loop_by_hand_with_the_penalty_added_in_the_second_epoch(table, monkeypatch):
    """Three epochs of one step each; the strangers are those that the training drew."""
    drawn = []
    draw = module.draw_like
    monkeypatch.setattr(module, "draw_like", lambda *a: drawn.append(draw(*a)) or drawn[-1])
    keys = {"mixup_alpha": 0.0, "mmd_lambda": 4.0, "mmd_min_gap": 0.0}
    task = tiny.task(table, {"name": "mixup_mmd", **keys}, **{**tiny.ONE_STEP, "epochs": 3})
    result = train_with_required(task, table)
    ((rows, _),) = drawn
    model, x, y = tiny.start(task, table)
    strangers = table.normalise(table.take(task.inference_rows[rows.numpy()])[0])
    for epoch in (1, 2, 3):
        loss = F.cross_entropy(model(x), y)
        if epoch == 2:
            theirs = F.softmax(model(strangers), dim=1).detach()
            loss = loss + 4.0 * mmd2(F.softmax(model(x), dim=1), theirs, 1.0)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for p, gradient in zip(model.parameters(), gradients, strict=True):
                p -= task.train.lr_at(0) * gradient
    wanted = dict(model.state_dict())
    torch.testing.assert_close(result.weights, wanted, rtol=1e-4, atol=1e-6)


def test_classes_that_the_inference_set_lacks_take_no_part(table):
    class Run:
        inference_labels = torch.tensor([2, 0, 2])
        classes, memory, device = 3, {"stream 1": torch.Generator()}, torch.device("cpu")

    rows, there = module.draw_like(Run, torch.tensor([0, 1, 2]))
    assert there.tolist() == [True, False, True]
    assert rows[0] == 1
    assert rows[2] in (0, 2)


def test_a_loop_without_a_run_is_told():
    with pytest.raises(ValueError, match=r"Batch\.run"):
        MixupMMD().loss(Batch(torch.zeros(2, 3), torch.tensor([0, 1])))
