"""Adversarial regularisation: both players' losses by hand, and who moves when."""

from __future__ import annotations

import math

import pytest
import tiny
import torch
import torch.nn.functional as F

from nonmember.defenses import AdvReg, Batch

TINY = {
    "advreg_warmup": 0.0, "advreg_classifier_steps": 1, "advreg_attack_steps": 3,
    "advreg_alpha": 50.0, "advreg_lr": 0.01,
}  # fmt: skip
NEUTRAL = {"advreg_alpha": 0.0}
CLASSES = 3


def players(seed: int = 0) -> tuple[Batch, Batch]:
    torch.manual_seed(seed)
    attacker = AdvReg().make_parts(CLASSES, 8)
    for p in attacker.parameters():
        torch.nn.init.normal_(p, std=0.05)
    members = Batch(
        torch.randn(4, CLASSES).requires_grad_(), torch.tensor([0, 1, 2, 1]), epoch=2,
        parts=attacker,
    )  # fmt: skip
    return members, Batch(torch.randn(4, CLASSES), torch.tensor([2, 0, 1, 1]))


def attacker_says(net: torch.nn.Module, shown: torch.Tensor, labels: torch.Tensor) -> list[float]:
    """h, layer by layer, sample by sample."""
    values = []
    for row, label in zip(shown, labels, strict=True):
        left = net.prediction(row[None])
        right = net.label(F.one_hot(label, CLASSES).float()[None])
        values.append(torch.sigmoid(net.both(torch.cat([left, right], dim=1))).item())
    return values


@pytest.mark.parametrize("objective", ["paper", "published"])
@pytest.mark.parametrize("shown", ["probabilities", "logits"])
def test_both_losses_are_the_formulas(objective, shown):
    members, others = players()
    defense = AdvReg(advreg_alpha=2.0, advreg_objective=objective, advreg_input=shown)
    view = [
        b.logits if shown == "logits" else F.softmax(b.logits, dim=1) for b in (members, others)
    ]
    inside = attacker_says(members.parts, view[0], members.labels)
    outside = attacker_says(members.parts, view[1], others.labels)
    if objective == "paper":
        gain = sum(math.log(h) for h in inside) / 4
        attack = -sum([*map(math.log, inside), *(math.log(1 - h) for h in outside)]) / 8
    else:
        gain = sum(inside) / 4 - 0.5
        attack = sum([*((1 - h) ** 2 for h in inside), *(h**2 for h in outside)]) / 8
    ce = F.cross_entropy(members.logits, members.labels).item()
    assert defense.loss(members).item() == pytest.approx(ce + 2.0 * gain, rel=1e-5)
    assert defense.attack_loss(members, others).item() == pytest.approx(attack, rel=1e-5)


def test_no_gradient_of_the_attackers_loss_reaches_the_classifier():
    members, others = players()
    AdvReg().attack_loss(members, others).backward()
    assert members.logits.grad is None
    assert all(p.grad is not None for p in members.parts.parameters())


def test_nasrs_net():
    widths = [
        (m.in_features, m.out_features)
        for m in AdvReg().make_parts(100, 8).modules()
        if isinstance(m, torch.nn.Linear)
    ]
    assert widths == [
        (100, 1024), (1024, 512), (512, 64), (100, 512), (512, 64), (128, 256), (256, 64), (64, 1)
    ]  # fmt: skip


def test_warm_up_epochs_are_cross_entropy(tmp_path, monkeypatch):
    data = tiny.save(tmp_path)
    found = {}
    plain = AdvReg.loss

    def see(self, batch):
        loss = plain(self, batch)
        same = bool(loss == F.cross_entropy(batch.logits, batch.labels))
        found.setdefault(batch.epoch, set()).add(same)
        return loss

    monkeypatch.setattr(AdvReg, "loss", see)
    keys = {**TINY, "advreg_warmup": 0.5}
    tiny.train_with_needs(tiny.task(data, {"name": "advreg", **keys}, epochs=4), data)
    assert found == {1: {True}, 2: {True}, 3: {False}, 4: {False}}


def test_a_round_has_the_attacker_and_classifier_steps_of_its_keys(tmp_path, monkeypatch):
    data = tiny.save(tmp_path)
    calls = []
    plain = AdvReg.attack_loss
    monkeypatch.setattr(AdvReg, "attack_loss", lambda self, *a: calls.append(1) or plain(self, *a))
    keys = {"advreg_attack_steps": 2, "advreg_classifier_steps": 3}
    task = tiny.task(data, {"name": "advreg", **keys})
    tiny.train_with_needs(task, data)
    steps = task.train.epochs * -(-len(task.train_rows) // task.train.batch_size)
    assert len(calls) == 2 * -(-steps // 3)


def test_parts_are_asked_for():
    with pytest.raises(ValueError, match=r"Batch\.parts"):
        AdvReg().loss(Batch(torch.zeros(2, 3), torch.tensor([0, 1]), epoch=5))


def test_the_attacker_learns_to_tell_confident_members():
    """The other player works too: on fixed predictions its accuracy leaves one half."""
    torch.manual_seed(1)
    defense = AdvReg()
    net = defense.make_parts(CLASSES, 8)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
    labels = torch.arange(60) % CLASSES
    sure = Batch(6 * F.one_hot(labels, CLASSES).float(), labels, parts=net)
    unsure = Batch(torch.randn(60, CLASSES), labels, parts=net)
    for _ in range(60):
        optimizer.zero_grad()
        loss = defense.attack_loss(sure, unsure)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3
