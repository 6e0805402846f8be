"""One model to train, as data: learning rates, seeds, and what a task is made of."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from pydantic import ValidationError

from nonmember.data.canaries import Canaries
from nonmember.data.prepared import Prepared
from nonmember.data.splits import Rows
from nonmember.task import TrainOptions, child_seed, make_task


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("data"))


ROWS = Rows(np.array([1, 4, 7]), np.array([2, 3]), np.array([5]))
RECIPE = {"seed": 3, "model": {"name": "mlp"}, "defense": {"name": "none"}, "train": tiny.TRAIN}


def test_learning_rates_by_first_epoch() -> None:
    options = TrainOptions(lr={0: 0.1, 3: 0.02, 5: 0.004}, epochs=7)
    assert [options.lr_at(e) for e in range(7)] == [0.1, 0.1, 0.1, 0.02, 0.02, 0.004, 0.004]
    assert TrainOptions(lr=0.3).lr_at(99) == 0.3


def test_cosine_is_torchs() -> None:
    options = TrainOptions(lr=0.2, schedule="cosine", epochs=9)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    twin = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=9)
    for epoch in range(9):
        assert options.lr_at(epoch) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        twin.step()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"lr": 0.0}, "lr"),
        ({"lr": {0: 0.1, 5: -0.1}}, "starts at 0"),
        ({"lr": {1: 0.1}}, "starts at 0"),
        ({"lr": {}}, "starts at 0"),
        ({"lr": {0: 0.1}, "schedule": "cosine"}, r"train\.schedule: cosine needs a single number"),
        ({"nesterov": True, "momentum": 0.0}, r"train\.nesterov: needs train\.momentum"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"momentum": 1.0}, "momentum"),
        ({"optimizer": "rmsprop"}, "optimizer"),
    ],
    ids=str,
)
def test_bad_training_settings_are_refused_by_name(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainOptions(**bad)


def test_a_learning_rate_that_is_never_reached_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"train\.lr: epoch 5 is never reached, .* is 5"):
        TrainOptions(lr={0: 0.1, 5: 0.01}, epochs=5)
    assert TrainOptions(lr={0: 0.1, 4: 0.01}, epochs=5).lr_at(4) == 0.01


def test_a_model_keeps_its_seed_whatever_the_number_of_shadows() -> None:
    seeds = [child_seed(seed, model) for seed in range(20) for model in range(20)]
    assert len(set(seeds)) == 400
    assert seeds[21] == child_seed(1, 1)
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_model_0_is_the_target_and_1_the_first_shadow(data: Prepared) -> None:
    target, shadow = (make_task(RECIPE, ROWS, data, "defended", model) for model in (0, 1))
    assert (target.name, shadow.name) == ("defended target", "defended shadow 0")
    assert (target.seed, shadow.seed) == (child_seed(3, 0), child_seed(3, 1))
    assert target.train_rows.tolist() == [1, 4, 7]
    assert target.inference_rows.tolist() == [5]
    assert target.data == data.sha256


def test_only_canaries_it_trains_on_are_its_own(data: Prepared) -> None:
    canaries = Canaries(np.array([2, 4]), np.array([0, 1]))
    task = make_task(RECIPE, ROWS, data, "defended", 0, canaries)
    assert (task.canaries.rows.tolist(), task.canaries.labels.tolist()) == ([4], [1])


def test_a_recipe_survives_json(data: Prepared) -> None:
    """JSON knows no number as a key, as the epochs of learning rates are."""
    train = {**tiny.TRAIN, "epochs": 9, "lr": {0: 0.1, 8: 0.01}}
    task = make_task({**RECIPE, "train": train}, ROWS, data, "defended", 0)
    recipe = json.loads(json.dumps(task.recipe()))
    again = make_task({**recipe, "seed": 3}, ROWS, data, "defended", 0)
    assert again.train == task.train
    assert again.train.lr_at(8) == 0.01
    assert again.recipe() == task.recipe()
    assert not {"name", "train_rows"} & set(recipe)
