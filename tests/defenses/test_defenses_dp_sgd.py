"""DP-SGD: one private step by a loop over samples, and epsilon by the accountant."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import torch.nn.functional as F
from opacus.accountants import PRVAccountant
from pydantic import ValidationError
from torch import nn

from nonmember.data.prepared import Prepared
from nonmember.defenses import Batch
from nonmember.defenses._run import Run
from nonmember.defenses.dp_sgd import DPSGD, group_norms
from nonmember.task import Task, TrainOptions
from nonmember.training.train import train, train_with_required

pytest.importorskip("opacus")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("dp"))


@pytest.mark.parametrize("clipping", ["ghost", "per_sample"])
def test_one_step_clips_every_samples_gradient(clipping: str, table: Prepared) -> None:
    clip = 0.3
    keys = {"dp_noise": 0.0, "dp_clip": clip, "dp_sampling": "shuffle", "dp_clipping": clipping}
    task = tiny.task(table, {"name": "dp_sgd", **keys}, **tiny.ONE_STEP)
    result = train(task, table)
    model, x, y = tiny.start(task, table)
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    clipped = 0
    for row, label in zip(x, y, strict=True):
        model.zero_grad()
        F.cross_entropy(model(row[None]), label[None]).backward()
        norm = math.sqrt(sum(float(tiny.gradient(p).square().sum()) for p in model.parameters()))
        clipped += norm > clip
        for name, p in model.named_parameters():
            total[name] += tiny.gradient(p) * min(1.0, clip / norm)
    assert clipped > 0
    for name, p in model.named_parameters():
        expected = p.detach() - task.train.lr_at(0) * total[name] / len(y)
        torch.testing.assert_close(result.weights[name], expected, rtol=1e-4, atol=1e-5)


def test_the_noise_has_the_standard_deviation_asked_for(table: Prepared) -> None:
    """Clipped to next to nothing only the noise moves the weights: lr · noise · clip / batch."""
    keys = {"dp_noise": 1e6, "dp_clip": 1e-5, "dp_sampling": "shuffle"}
    wide = {"name": "mlp", "widths": [400]}
    task = tiny.task(table, {"name": "dp_sgd", **keys}, net=wide, **tiny.ONE_STEP)
    moved = train(task, table).weights
    model, _, y = tiny.start(task, table)
    steps = torch.cat([(moved[k] - v).flatten() for k, v in model.state_dict().items()])
    expected = task.train.lr_at(0) * 1e6 * 1e-5 / len(y)
    assert steps.std().item() == pytest.approx(expected, rel=0.05)
    assert steps.mean().item() == pytest.approx(0, abs=0.1 * expected)


@pytest.mark.parametrize("accountant", ["rdp", "prv"])
def test_epsilon_is_the_accountants(accountant: str, table: Prepared) -> None:
    from opacus.accountants import PRVAccountant, RDPAccountant

    keys = {"dp_noise": 1.1, "dp_accountant": accountant}
    task = tiny.task(table, {"name": "dp_sgd", **keys})
    facts = train(task, table).facts
    reference = {"rdp": RDPAccountant, "prv": PRVAccountant}[accountant]()
    steps = math.ceil(len(task.train_rows) / task.train.batch_size)
    for _ in range(task.train.epochs * steps):
        reference.step(noise_multiplier=1.1, sample_rate=1 / steps)
    assert facts["epsilon"] == pytest.approx(reference.get_epsilon(1e-5), rel=1e-6)
    assert facts["delta"] == 1e-5


def test_a_target_epsilon_is_met_and_more_noise_buys_less(table: Prepared) -> None:
    defense = DPSGD(dp_noise=None, dp_epsilon=3.0)
    plan = defense.plan(5000, 128, 10)
    assert defense.epsilon(plan) == pytest.approx(3.0, abs=0.05)
    noisier = DPSGD(dp_noise=2 * plan.noise)
    assert noisier.epsilon(noisier.plan(5000, 128, 10)) < 1.5


def test_without_noise_there_is_no_epsilon_and_shuffled_batches_say_if(table: Prepared) -> None:
    neutral = train(tiny.task(table, {"name": "dp_sgd", **(DPSGD.neutral or {})}), table).facts
    assert set(neutral) == {"noise_multiplier", "delta"}
    keys = {"dp_noise": 1.0, "dp_sampling": "shuffle"}
    assert "epsilon_if_poisson" in train(tiny.task(table, {"name": "dp_sgd", **keys}), table).facts


def test_poisson_batches_have_the_expected_size_and_may_be_empty(
    table: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Spy(DPSGD):
        def update(self, run: Run, rows: torch.Tensor) -> tuple[torch.Tensor, Batch]:
            sizes.append(len(rows))
            return super().update(run, rows)

    task = tiny.task(table, {"name": "dp_sgd"}, batch_size=1, epochs=20)
    monkeypatch.setattr("nonmember.training.train.build_defense", lambda _: Spy())
    train(task, table)
    assert 0 in sizes
    assert sum(sizes) / len(sizes) == pytest.approx(1, abs=0.15)


def poisson(table: Prepared, monkeypatch: pytest.MonkeyPatch, *drawn: Any, **keys: Any) -> Task:
    """A task of one epoch whose Poisson steps draw the rows `drawn`."""
    task = tiny.task(table, {"name": "dp_sgd", **keys}, epochs=1, batch_size=20, momentum=0.0)
    monkeypatch.setattr(DPSGD, "rows", lambda *_: [torch.tensor(d).long() for d in drawn])
    return task


@pytest.mark.parametrize("clipping", ["ghost", "per_sample"])
def test_a_poisson_step_divides_by_the_expected_batch_size(
    clipping: str, table: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without noise: Σ ∇loss of the members drawn over rate · members, however many were drawn."""
    keys = {"dp_noise": 0.0, "dp_clip": 1e6, "dp_clipping": clipping}
    drawn = [0, 3, 4, 8, 11]
    task = poisson(table, monkeypatch, drawn, **keys)
    result = train(task, table)
    model, x, y = tiny.start(task, table)
    F.cross_entropy(model(x[drawn]), y[drawn], reduction="sum").backward()
    expected = len(y) / math.ceil(len(y) / 20)  # members over the steps of an epoch
    for name, p in model.named_parameters():
        moved = p.detach() - task.train.lr_at(0) * tiny.gradient(p) / expected
        torch.testing.assert_close(result.weights[name], moved, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("clipping", ["ghost", "per_sample"])
def test_an_empty_poisson_step_adds_its_noise(
    clipping: str, table: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the accountant counts it: so far below the noise, a member makes no difference."""
    keys = {"dp_noise": 20.0, "dp_clip": 0.1, "dp_clipping": clipping}
    task = poisson(table, monkeypatch, [], [0], **keys)
    result = train(task, table)
    model, _, y = tiny.start(task, table)
    moved = torch.cat([(result.weights[k] - v).flatten() for k, v in model.state_dict().items()])
    one_step = task.train.lr_at(0) * 20.0 * 0.1 / (len(y) / math.ceil(len(y) / 20))
    assert moved.std().item() == pytest.approx(math.sqrt(2) * one_step, rel=0.15)


def test_batch_norm_becomes_group_norm() -> None:
    net = group_norms(nn.Sequential(nn.Conv2d(3, 48, 1), nn.BatchNorm2d(48), nn.ReLU(True)))
    assert isinstance(net, nn.Sequential)
    assert isinstance(net[1], nn.Sequential)
    assert isinstance(net[1][0], nn.GroupNorm)
    assert net[1][0].num_groups == 16
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(net(x), F.group_norm(net[0](x), 16).relu())
    assert not net[2].inplace


@pytest.mark.parametrize("keys", [{"dp_noise": None}, {"dp_noise": 1.0, "dp_epsilon": 2.0}])
def test_either_noise_or_epsilon(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="dp_noise: set either dp_noise or dp_epsilon"):
        DPSGD(**keys)


def test_half_precision_is_refused(table: Prepared) -> None:
    with pytest.raises(ValueError, match=r"train\.precision: dp_sgd needs fp32, found bf16"):
        train(tiny.task(table, {"name": "dp_sgd"}, precision="bf16"), table)


def test_an_epoch_in_which_nobody_is_drawn_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiny.save(tmp_path)
    monkeypatch.setattr(DPSGD, "rows", lambda *_: [torch.empty(0, dtype=torch.int64)] * 2)
    result = train_with_required(tiny.task(data, {"name": "dp_sgd", "dp_noise": 1.0}), data)
    assert [row["loss"] for row in result.curve] == [0.0, 0.0]


def test_an_accountant_that_needs_too_much_memory_is_named_before_training(
    table: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(PRVAccountant, "get_epsilon", greedy)
    monkeypatch.setattr(DPSGD, "update", None)  # no step is taken
    task = tiny.task(table, {"name": "dp_sgd", "dp_noise": 0.1, "dp_accountant": "prv"})
    with pytest.raises(ValueError, match=r"defense\.dp_accountant: prv needs too much memory"):
        train(task, table)


def test_a_delta_of_one_member_or_more_is_refused() -> None:
    assert DPSGD(dp_delta=1e-3).check_training(TrainOptions(), 999) == []
    (problem,) = DPSGD(dp_delta=1e-3).check_training(TrainOptions(), 1000)
    assert problem.startswith("defense.dp_delta: must be below 1 / members = 0.001, found 0.001")
