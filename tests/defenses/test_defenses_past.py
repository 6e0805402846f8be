"""PAST against a transcription of Eq. 3–4, and its place on top of other defenses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import tiny
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from nonmember.compute import ComputeOptions
from nonmember.data.prepared import Prepared
from nonmember.defenses import Batch
from nonmember.defenses import past as module
from nonmember.defenses._inference import draw
from nonmember.defenses._run import Run
from nonmember.defenses.past import PAST, layers, sensitivity, shrink
from nonmember.task import Task
from nonmember.training import fleet
from nonmember.training.build import build_defense, build_model
from nonmember.training.store import Store
from nonmember.training.train import Trained, train_with_required

TINY = {"past_lambda": 0.01, "past_epochs": 2}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("past"))


def tuned(table: Prepared, **options: Any) -> tuple[Task, Trained]:
    task = tiny.task(table, {"name": "past", **TINY, **options})
    return task, train_with_required(task, table)


def test_sensitivity_is_eq_3_within_a_layer() -> None:
    weight, bias = torch.tensor([[1.0, -2.0], [0.0, 4.0]]), torch.tensor([-3.0, 0.0])
    total = sum(abs(v) for v in [1, -2, 0, 4, -3, 0])
    by_hand = [6 * abs(v) / total for v in [1, -2, 0, 4, -3, 0]]
    gamma = sensitivity([weight, bias])
    assert torch.cat([g.flatten() for g in gamma]).tolist() == pytest.approx(by_hand)
    assert sum(g.sum() for g in gamma) == pytest.approx(6)


def test_a_layer_without_gradient_is_not_penalised() -> None:
    assert sensitivity([torch.zeros(3)])[0].tolist() == [0, 0, 0]


def test_layers_keep_weight_and_bias_together_and_leave_nothing_out() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.BatchNorm1d(3))
    groups = layers(model)
    assert [[tuple(p.shape) for p in group] for group in groups] == [[(3, 2), (3,)], [(3,), (3,)]]


@pytest.mark.parametrize("norm", [1, 2])
def test_one_step_is_the_gradient_of_the_transcribed_objective(
    table: Prepared, norm: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """θ − lr · ∇[CE + lambda Σ γ^alpha |θ|^norm] with γ from autograd of |G| itself."""
    alpha, strength, lr = 1.5, 0.02, 0.05
    options = {"past_alpha": alpha, "past_lambda": strength, "past_norm": norm, "past_lr": lr}
    task = tiny.task(table, {"name": "past", **options, "past_epochs": 1}, **tiny.ONE_STEP)
    needs = {name: train_with_required(t, table) for name, t in _requires(task).items()}
    drawn: list[torch.Tensor] = []

    def see(run: Run, count: int) -> torch.Tensor:
        drawn.append(draw(run, count))
        return drawn[-1]

    monkeypatch.setattr(module, "draw", see)
    result = module_train(task, table, needs)
    model = build_model(task, table.outline)
    model.load_state_dict(needs["base"].weights)
    x, y = table.take(task.train_rows)
    ox, oy = table.take(task.inference_rows[drawn[0].numpy()])
    member = F.cross_entropy(model(table.normalise(x)), y)
    gap = (member - F.cross_entropy(model(table.normalise(ox)), oy)).abs()
    for group in layers(model):
        gradients = torch.autograd.grad(gap, group, retain_graph=True)
        total = sum(float(g.abs().sum()) for g in gradients)
        count = sum(g.numel() for g in gradients)
        for p, g in zip(group, gradients, strict=True):
            gamma = count * g.abs() / total
            penalty = strength * (gamma**alpha * p.abs() ** norm).sum()
            (full,) = torch.autograd.grad(member + penalty, p, retain_graph=True)
            name = next(k for k, v in model.named_parameters() if v is p)
            torch.testing.assert_close(result.weights[name], p.detach() - lr * full)


def _requires(task: Task) -> dict[str, Task]:
    return build_defense(task).requires(task)


def module_train(task: Task, table: Prepared, needs: dict[str, Trained]) -> Trained:
    from nonmember.training.train import train

    return train(task, table, needs)


def by_hand(table: Prepared, task: Task, strength: float) -> dict[str, torch.Tensor]:
    """Tuning by cross-entropy and strength · Σ|θ|, all epochs: from the base's weights, cosine
    from past_lr to 0, the momentum and batch size of `train`, its order of the data."""
    o, keys = task.train, build_defense(task).options
    assert isinstance(keys, PAST.Options)
    order = torch.Generator().manual_seed(task.seed)
    model, x, y = tiny.start(task, table)
    model.load_state_dict(train_with_required(_requires(task)["base"], table).weights)
    optimizer = torch.optim.SGD(model.parameters(), keys.past_lr, o.momentum)
    for epoch in range(keys.past_epochs):
        lr = keys.past_lr * (1 + math.cos(math.pi * epoch / keys.past_epochs)) / 2
        optimizer.param_groups[0]["lr"] = lr
        for rows in torch.randperm(len(y), generator=order).split(o.batch_size):
            optimizer.zero_grad()
            penalty = sum(p.abs().sum() for p in model.parameters())
            (F.cross_entropy(model(x[rows]), y[rows]) + strength * penalty).backward()
            optimizer.step()
    return dict(model.state_dict())


@pytest.mark.parametrize(
    "keys",
    [
        {"past_alpha": 0.0},
        {"past_weights": "uniform"},
        {"past_lambda": 0.0},
        {"past_lambda": 0.0, "past_alpha": 0.0, "past_norm": 2, "past_step": "proximal"},
    ],
    ids=str,
)
def test_equal_weights_are_plain_l1_and_lambda_zero_is_cross_entropy(
    table: Prepared, keys: dict[str, Any]
) -> None:
    task, result = tuned(table, **keys)
    wanted = by_hand(table, task, task.defense["past_lambda"])
    torch.testing.assert_close(result.weights, wanted, rtol=1e-4, atol=1e-6)
    other = tuned(table)[1].weights
    assert any(not torch.allclose(other[k], v, rtol=1e-3) for k, v in wanted.items())


def test_gamma_is_refreshed_every_k_steps_only(
    table: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Mock(wraps=draw)
    monkeypatch.setattr(module, "draw", calls)
    tuned(table, past_refresh=1)
    every = calls.call_count
    calls.reset_mock()
    tuned(table, past_refresh=4)
    assert calls.call_count == -(-every // 4)


def test_shrink_solves_the_proximal_problem() -> None:
    theta, amount = torch.tensor([1.0, -0.2, 0.5]), torch.tensor([0.3, 0.3, 0.0])
    grid = torch.linspace(-2, 2, 400_001, dtype=torch.float64)
    for norm in (1, 2):
        for t, a, x in zip(theta, amount, shrink(theta, amount, norm), strict=True):
            best = grid[((grid - t) ** 2 / 2 + a * grid.abs() ** norm).argmin()]
            assert x.item() == pytest.approx(best.item(), abs=2e-5)


def test_the_proximal_step_makes_exact_zeros_and_stays_finite_where_the_gradient_jumps(
    table: Prepared,
) -> None:
    strong = {"past_lambda": 10.0, "past_alpha": 2.5}
    weights = tuned(table, past_step="proximal", **strong)[1].weights
    assert all(v.abs().max() < 10 for v in weights.values())
    assert sum(int((v == 0).sum()) for v in weights.values()) > 10


def test_tuning_the_undefended_model_uses_the_one_the_store_has(
    table: Prepared, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    options = ComputeOptions(devices="cpu", workers=1, backend="sequential")
    fleet.train_all([tiny.task(table)], table.folder, store, options)
    before = set(tmp_path.glob("*.safetensors"))
    fleet.train_all([tiny.task(table, {"name": "past", **TINY})], table.folder, store, options)
    assert len(set(tmp_path.glob("*.safetensors")) - before) == 1


def test_it_runs_on_top_of_another_defense_with_that_defenses_settings(table: Prepared) -> None:
    base = {"name": "relaxloss", "relax_alpha": 1.09}
    task, result = tuned(table, past_base=base)
    assert build_defense(task).requires(task)["base"].defense == base
    plain = tuned(table)[1]
    assert any(not torch.equal(plain.weights[k], v) for k, v in result.weights.items())
    assert set(result.facts) == {"loss_gap_before", "loss_gap_after"}


def test_the_base_decides_what_is_impossible() -> None:
    assert (
        PAST(past_base={"name": "relaxloss", "relax_alpha": 5.0})
        .check(3)[0]
        .startswith("defense.relax_alpha")
    )


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("past", "past_base\n.*another defense than past"),
        ("nothing", "past_base\n.*unknown defense 'nothing', known"),
        ({"name": "relaxloss", "relax_alpha": -1.0}, "relax_alpha"),
    ],
)
def test_an_impossible_base_is_refused(base: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PAST(past_base=base)


def test_its_loss_is_no_defense_elsewhere() -> None:
    with pytest.raises(ValueError, match=r"PAST\.loss alone does not defend: .*nonmember\.train"):
        PAST().loss(Batch(torch.randn(4, 3), torch.tensor([0, 1, 2, 0])))
