"""Adversarial regularisation: both players' losses by hand, and who moves when."""

from __future__ import annotations

import math
from itertools import count

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import nn

from nonmember.defenses import AdvReg, Batch
from nonmember.defenses._inference import answers
from nonmember.training.train import train_with_required

TINY = {
    "advreg_warmup": 0.0, "advreg_classifier_steps": 1, "advreg_attack_steps": 3,
    "advreg_alpha": 50.0, "advreg_lr": 0.01,
}  # fmt: skip
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
    train_with_required(tiny.task(data, {"name": "advreg", **keys}, epochs=4), data)
    assert found == {1: {True}, 2: {True}, 3: {False}, 4: {False}}


def test_a_round_has_the_attacker_and_classifier_steps_of_its_keys(tmp_path, monkeypatch):
    data = tiny.save(tmp_path)
    calls = []
    plain = AdvReg.attack_loss
    monkeypatch.setattr(AdvReg, "attack_loss", lambda self, *a: calls.append(1) or plain(self, *a))
    keys = {"advreg_attack_steps": 2, "advreg_classifier_steps": 3}
    task = tiny.task(data, {"name": "advreg", **keys})
    train_with_required(task, data)
    steps = task.train.epochs * -(-len(task.train_rows) // task.train.batch_size)
    assert len(calls) == 2 * -(-steps // 3)


def roused(make):
    """`make_parts` with weights so large that Adam's first steps do not turn on rounding errors."""

    def parts(self, *sizes):
        attacker = make(self, *sizes)
        for p in attacker.parameters():
            nn.init.normal_(p, std=0.05)
        return attacker

    return parts


def log_odds(net: nn.Module, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The attacker's answer to predictions, without what it remembers of labels."""
    known = net.label(F.one_hot(labels, CLASSES).float())
    return net.both(torch.cat([net.prediction(F.softmax(logits, dim=1)), known], dim=1))[:, 0]


def by_hand(data, task):
    """Algorithm 1 written out: the weights of classifier and attacker after the last epoch."""
    o, keys = task.train, task.defense
    order = torch.Generator().manual_seed(task.seed)
    stream = np.random.SeedSequence([task.seed, 1]).generate_state(1)[0]
    drawn = torch.Generator().manual_seed(int(stream))
    model, x, y = tiny.start(task, data)
    other_x, other_y = data.take(task.inference_rows)
    other_x = data.normalise(other_x)
    net = AdvReg().make_parts(CLASSES, 8)
    ours = torch.optim.SGD(model.parameters(), o.lr, o.momentum)
    theirs = torch.optim.Adam(net.parameters(), keys["advreg_lr"])
    step = count()
    for epoch in range(1, o.epochs + 1):
        for rows in torch.randperm(len(y), generator=order).split(o.batch_size):
            begins = next(step) % keys["advreg_classifier_steps"] == 0
            for _ in range(keys["advreg_attack_steps"] if begins else 0):
                half = rows[: (len(rows) + 1) // 2]
                others = torch.randint(len(other_y), (len(half),), generator=drawn)
                model.eval()
                with torch.no_grad():
                    inside, outside = model(x[half]), model(other_x[others])
                model.train()
                member = F.logsigmoid(log_odds(net, inside, y[half])).mean()
                stranger = F.logsigmoid(-log_odds(net, outside, other_y[others])).mean()
                theirs.zero_grad()
                (-(member + stranger) / 2).backward()
                theirs.step()
            logits = model(x[rows])
            loss = F.cross_entropy(logits, y[rows])
            if epoch > keys["advreg_warmup"] * o.epochs:
                gain = F.logsigmoid(log_odds(net, logits, y[rows])).mean()
                loss = loss + keys["advreg_alpha"] * gain
            ours.zero_grad()
            loss.backward()
            ours.step()
    return model.state_dict(), net.state_dict()


def test_training_is_algorithm_1_written_by_hand(tmp_path, monkeypatch):
    """Several rounds of both players, the first epoch of three a warm-up."""
    data = tiny.save(tmp_path)
    keys = {
        "advreg_warmup": 0.34, "advreg_attack_steps": 2, "advreg_classifier_steps": 2,
        "advreg_alpha": 5.0, "advreg_lr": 0.001,
    }  # fmt: skip
    task = tiny.task(data, {"name": "advreg", **keys}, epochs=3, batch_size=20)
    monkeypatch.setattr(AdvReg, "make_parts", roused(AdvReg.make_parts))
    monkeypatch.setattr(AdvReg, "extras", lambda self, run: run.parts.state_dict())
    result = train_with_required(task, data)
    classifier, attacker = by_hand(data, task)
    torch.testing.assert_close(result.weights, dict(classifier), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(result.extras, dict(attacker), rtol=1e-4, atol=1e-4)


def test_the_attacker_sees_the_classifier_without_dropout(tmp_path, monkeypatch):
    data = tiny.save(tmp_path)
    seen, expected = [], []
    attack_loss, train_attacker = AdvReg.attack_loss, AdvReg._train_attacker

    def see(self, members, others):
        seen.append(members.logits)
        return attack_loss(self, members, others)

    def expect(self, run, rows):
        half = rows[: (len(rows) + 1) // 2]
        expected.append(answers(run, run.model, run.inputs[half]))
        train_attacker(self, run, rows)
        assert run.model.training

    monkeypatch.setattr(AdvReg, "attack_loss", see)
    monkeypatch.setattr(AdvReg, "_train_attacker", expect)
    monkeypatch.setattr(AdvReg, "adapt", lambda self, net: nn.Sequential(net, nn.Dropout()))
    train_with_required(tiny.task(data, {"name": "advreg", **TINY}), data)
    torch.testing.assert_close(seen, expected)


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
