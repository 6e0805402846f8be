"""MemGuard keeps every argmax and its budget, and leaves its attacker unsure."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch
import torch.nn.functional as F

from nonmember.defenses import MemGuard
from nonmember.defenses.memguard import _objective, _surrogate
from nonmember.training.train import train_with_required

TINY = {"memguard_epochs": 2, "memguard_steps": 20}
CLASSES = 6


@pytest.fixture(scope="module")
def attacker() -> torch.nn.Module:
    """A surrogate that takes sure predictions for members'."""
    torch.manual_seed(0)
    net = _surrogate(CLASSES)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.002)
    for _ in range(150):
        logits = torch.cat([8 * torch.randn(64, CLASSES), 1.5 * torch.randn(64, CLASSES)])
        truth = (torch.arange(128) < 64).float()
        shown = F.softmax(logits.sort(dim=1, descending=True).values, dim=1)
        loss = F.binary_cross_entropy_with_logits(net(shown)[:, 0], truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


@pytest.fixture(scope="module")
def queries() -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    logits = torch.randn(200, CLASSES, generator=rng)
    return logits * torch.linspace(0.5, 6, 200)[:, None] + 3


def certainty(net: torch.nn.Module, logits: torch.Tensor) -> torch.Tensor:
    shown = F.softmax(logits.sort(dim=1, descending=True).values, dim=1)
    return (net(shown)[:, 0].sigmoid() - 0.5).abs().detach()


def distortion(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (F.softmax(a.double(), 1) - F.softmax(b.double(), 1)).abs().sum(dim=1)


@pytest.mark.parametrize("form", ["expected", "deterministic"])
@pytest.mark.parametrize("budget", [0.05, 0.5, 2.0])
def test_every_argmax_is_kept(
    form: str, budget: float, attacker: torch.nn.Module, queries: torch.Tensor
) -> None:
    out = MemGuard(memguard_budget=budget, memguard_form=form).release(
        queries, attacker.state_dict()
    )
    assert torch.equal(out.argmax(dim=1), queries.argmax(dim=1))
    assert torch.isfinite(out).all()
    assert (distortion(out, queries) > 1e-6).any()


@pytest.mark.parametrize("budget", [0.05, 0.5])
def test_the_deterministic_form_keeps_the_budget_for_each_query(
    budget: float, attacker: torch.nn.Module, queries: torch.Tensor
) -> None:
    defense = MemGuard(memguard_budget=budget, memguard_form="deterministic")
    spent = distortion(defense.release(queries, attacker.state_dict()), queries)
    assert spent.max() <= budget + 1e-6
    assert spent.max() > 0.9 * budget


def test_the_expected_form_keeps_it_on_average_over_the_random_choice(
    attacker: torch.nn.Module, queries: torch.Tensor
) -> None:
    """P(noise) · ‖noise‖₁ ≤ budget for each query: noise of d is added to about budget / d."""
    many = (queries[:50, None] + 0.01 * torch.arange(40)[None, :, None]).reshape(-1, CLASSES)
    free = MemGuard(memguard_budget=2.0, memguard_form="deterministic")
    full = distortion(free.release(many, attacker.state_dict()), many)
    spent = distortion(
        MemGuard(memguard_budget=0.1).release(many, attacker.state_dict()), many
    ).reshape(50, 40)
    assert ((spent < 1e-6) | ((spent - full.reshape(50, 40)).abs() < 1e-4)).all()
    assert spent.mean() <= 0.1
    assert (spent.mean(dim=1) <= 0.1 + 3 * full.reshape(50, 40)[:, 0] / 40**0.5).all()


def test_the_attacker_ends_up_less_certain(
    attacker: torch.nn.Module, queries: torch.Tensor
) -> None:
    out = MemGuard(memguard_budget=2.0).release(queries, attacker.state_dict())
    before, after = certainty(attacker, queries), certainty(attacker, out)
    assert (after <= before + 1e-5).all()
    assert after.mean() < before.mean() / 2


def test_the_same_query_always_gets_the_same_answer_in_any_company(
    attacker: torch.nn.Module, queries: torch.Tensor
) -> None:
    defense = MemGuard(memguard_budget=0.2)
    out = defense.release(queries, attacker.state_dict())
    alone = torch.cat([defense.release(q[None], attacker.state_dict()) for q in queries[:20]])
    torch.testing.assert_close(out[:20], alone, rtol=1e-3, atol=1e-3)
    assert torch.equal(out, defense.release(queries, attacker.state_dict()))


def test_the_scale_of_the_logits_stays_inside(
    attacker: torch.nn.Module, queries: torch.Tensor
) -> None:
    """A user gets probabilities: two models that differ by a constant answer alike."""
    guard, weights = MemGuard(memguard_budget=0.5), attacker.state_dict()
    out = guard.release(queries, weights)
    torch.testing.assert_close(out.logsumexp(dim=1), torch.zeros(len(out)), atol=1e-5, rtol=0)


def test_no_budget_no_change_and_no_query_no_answer(
    attacker: torch.nn.Module, queries: torch.Tensor
) -> None:
    defense = MemGuard(memguard_budget=0.0)
    assert torch.equal(defense.release(queries, attacker.state_dict()), queries)
    assert MemGuard().release(queries[:0], attacker.state_dict()).shape == (0, CLASSES)


def test_the_objective_is_the_papers_sum(attacker: torch.nn.Module, queries: torch.Tensor) -> None:
    z = queries[:3].sort(dim=1, descending=True).values
    x = z.flip(1)  # the argmax is overtaken
    p = F.softmax(z, dim=1)
    h, total = _objective(attacker, x, p, c3=0.7)
    for i in range(3):
        q = F.softmax(x[i], dim=0)
        by_hand = (
            attacker(q[None]).abs().item()
            + 10 * max(0.0, (x[i, 1:].max() - x[i, 0]).item())
            + 0.7 * (q - p[i]).abs().sum().item()
        )
        assert total[i].item() == pytest.approx(by_hand, rel=1e-5)
        assert h[i].item() == pytest.approx(attacker(q[None]).item(), rel=1e-5)


def test_training_is_plain_and_the_surrogate_learns_from_members_and_inference_set(
    tmp_path: Path,
) -> None:
    data = tiny.save(tmp_path)
    plain = train_with_required(tiny.task(data), data)
    guarded = train_with_required(tiny.task(data, {"name": "memguard", **TINY}), data)
    for key, value in plain.weights.items():
        assert torch.equal(value, guarded.weights[key])
    assert guarded.extras.keys() == _surrogate(data.classes).state_dict().keys()
    other = tiny.task(data, {"name": "memguard", **TINY})
    object.__setattr__(other, "inference_rows", other.inference_rows[:10])
    moved = train_with_required(other, data).extras
    assert any(not torch.equal(moved[k], v) for k, v in guarded.extras.items())
