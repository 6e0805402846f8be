"""One training: learning rates, batches, augmentation, precision, and a hand-written twin."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F

from nonmember.data.prepared import Prepared
from nonmember.defenses import Defense
from nonmember.defenses._run import Run
from nonmember.training.build import build_model
from nonmember.training.train import restore, train


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("images"), (2, 6, 5), n=96)


def by_hand(data: Prepared, **options: Any) -> dict[str, torch.Tensor]:
    """Undefended training written out, without the package's loop, optimiser or schedule."""
    task = tiny.task(data, **options)
    o = task.train
    torch.manual_seed(task.seed)
    order = torch.Generator().manual_seed(task.seed)
    model = build_model(task, data.outline)
    x, y = data.take(task.train_rows)
    x = (x - 0.1) / 1.2
    velocity = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for epoch in range(o.epochs):
        for rows in torch.randperm(len(y), generator=order).split(o.batch_size):
            model.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            with torch.no_grad():
                for name, p in model.named_parameters():
                    step = tiny.gradient(p) + o.weight_decay * p
                    velocity[name] = o.momentum * velocity[name] + step
                    ahead = step + o.momentum * velocity[name]
                    p.sub_(o.lr_at(epoch) * (ahead if o.nesterov else velocity[name]))
    return model.state_dict()


@pytest.mark.parametrize(
    "options",
    [
        {"weight_decay": 0.01},
        {"momentum": 0.0, "lr": {0: 0.2, 1: 0.05}},
        {"nesterov": True, "schedule": "cosine", "epochs": 3},
    ],
    ids=str,
)
def test_plain_training_is_a_loop_written_by_hand(table: Prepared, options: dict[str, Any]) -> None:
    trained = train(tiny.task(table, **options), table)
    for name, value in by_hand(table, **options).items():
        torch.testing.assert_close(trained.weights[name], value, rtol=1e-4, atol=1e-6)


def test_it_learns_and_the_curve_says_so(table: Prepared) -> None:
    trained = train(tiny.task(table, epochs=30, lr={0: 0.05, 20: 0.005}), table)
    first, last = trained.curve[0], trained.curve[-1]
    assert [row["epoch"] for row in trained.curve] == list(range(1, 31))
    assert (first["lr"], last["lr"]) == (0.05, 0.005)
    assert last["loss"] < 0.3 < first["loss"]
    assert last["accuracy"] > 0.9


def test_adam_trains_and_differs(table: Prepared) -> None:
    task = tiny.task(table, optimizer="adam", lr=0.01, epochs=20)
    assert train(task, table).curve[-1]["accuracy"] > 0.9


def test_training_leaves_the_callers_random_numbers_alone(table: Prepared) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    train(tiny.task(table), table)
    assert torch.equal(torch.rand(2), expected)


def test_bf16_runs_close_to_fp32_and_keeps_float32_weights(images: Prepared) -> None:
    net = {"name": "resnet20"}
    curves = {}
    for precision in ("fp32", "bf16"):
        task = tiny.task(images, net=net, precision=precision, batch_size=16, lr=0.01)
        trained = train(task, images)
        assert all(v.dtype in (torch.float32, torch.int64) for v in trained.weights.values())
        curves[precision] = trained.curve[-1]["loss"]
    assert curves["bf16"] == pytest.approx(curves["fp32"], rel=0.1)
    assert curves["bf16"] != curves["fp32"]


def test_augmentation_draws_anew_each_epoch_and_only_in_training(images: Prepared) -> None:
    plain = train(tiny.task(images, net=tiny.MLP), images)
    task = tiny.task(images, net=tiny.MLP, augment="crop_flip")
    augmented = train(task, images)
    key = "1.weight"
    assert not torch.allclose(plain.weights[key], augmented.weights[key])
    model = restore(task, augmented, images)
    x = images.normalise(images.take(np.arange(5))[0])
    assert not model.training
    assert torch.equal(model(x), model(x))


def test_a_loss_that_explodes_stops_the_training_and_names_model_and_key(table: Prepared) -> None:
    task = tiny.task(table, lr=1e30, epochs=5)
    with pytest.raises(FloatingPointError, match=r"tiny target: the loss became .*train\.lr"):
        train(task, table)


def test_progress_hears_of_every_epoch(table: Prepared) -> None:
    heard: list[tuple[int, int]] = []
    train(tiny.task(table, epochs=3), table, progress=lambda e, n, *_: heard.append((e, n)))
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_rows_order_and_name_of_a_task(table: Prepared, tmp_path: Path) -> None:
    """The name is for people; the rows decide what is learned."""
    task = tiny.task(table)
    same = train(dataclasses.replace(task, name="another"), table).weights
    other = train(dataclasses.replace(task, train_rows=task.inference_rows), table).weights
    weights = train(task, table).weights
    assert all(torch.equal(weights[k], same[k]) for k in weights)
    assert any(not torch.equal(weights[k], other[k]) for k in weights)


def test_a_defense_that_these_data_do_not_allow_is_refused(tmp_path: Path) -> None:
    """`config` has seen the data once; the file may have changed since."""
    data = tiny.save(tmp_path)  # three classes: no cross-entropy of a guess is above log 3
    task = tiny.task(data, {"name": "crl", "alpha_rce": 1.2})
    with pytest.raises(ValueError, match=r"defense\.alpha_rce: must be between"):
        train(task, data)


class Watching(Defense):
    """Notes what a training runs under."""

    def start(self, run: Run, required: Any) -> None:
        self.seen = (
            torch.backends.cudnn.enabled,
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.allow_tf32,
        )


def test_a_training_keeps_cudnn_and_has_it_be_exact(
    table: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's context manager turns cuDNN off unless it is told not to."""
    defense = Watching()
    monkeypatch.setattr("nonmember.training.train.build_defense", lambda _: defense)
    before = torch.backends.cudnn.allow_tf32
    train(tiny.task(table), table)
    assert defense.seen == (torch.backends.cudnn.enabled, True, False, False)
    assert defense.seen[0]
    assert torch.backends.cudnn.allow_tf32 == before


def test_the_cpu_wakes_no_gpu(table: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker would otherwise open a context on every card."""
    asked: list[Any] = []
    real = torch.random.fork_rng

    def fork(devices: list[torch.device]) -> AbstractContextManager[None]:
        asked.append(devices)
        return real([])

    monkeypatch.setattr(torch.random, "fork_rng", fork)
    trained = train(tiny.task(table), table)
    restore(tiny.task(table), trained, table)
    assert asked == [[], []]


def test_weights_that_the_last_step_ruins_are_refused(table: Prepared) -> None:
    """The loss of a step is taken before it."""
    task = tiny.task(table, lr=1e38, epochs=1, batch_size=len(tiny.task(table).train_rows))
    with pytest.raises(FloatingPointError, match=r"infinite or NaN.*lower train\.lr"):
        train(task, table)
