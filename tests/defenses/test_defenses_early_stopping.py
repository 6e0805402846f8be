from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from nonmember.data.prepared import Prepared
from nonmember.defenses import EarlyStopping
from nonmember.defenses._run import Run
from nonmember.task import Task
from nonmember.training.train import Trained, restore, train

TINY = {"stop_epoch": 0, "stop_validation": 0.25}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("data"))


def stopped(data: Prepared, epochs: int = 8, **options: Any) -> tuple[Task, Trained]:
    task = tiny.task(
        data, {"name": "early_stopping", **options}, epochs=epochs, schedule="cosine", lr=0.05
    )
    return task, train(task, data)


def assert_same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_it_is_the_whole_training_cut_off(data: Prepared) -> None:
    """Same learning rates as a training that goes on, which a shorter training has not."""
    _, short = stopped(data, stop_epoch=3)
    full = train(tiny.task(data, epochs=8, schedule="cosine", lr=0.05), data)
    assert short.curve == full.curve[:3]
    assert short.facts == {"released_epoch": 3.0}
    brief = train(tiny.task(data, epochs=3, schedule="cosine", lr=0.05), data)
    assert any(not torch.equal(short.weights[k], brief.weights[k]) for k in brief.weights)


def validation_rows(data: Prepared, task: Task, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows without influence on the weights of the first epoch, found by spoiling each."""
    reference = stopped(data, stop_epoch=1, stop_validation=share)[1].weights
    held = []
    for row in task.train_rows:
        inputs = np.array(data.inputs)
        inputs[row] += 1
        spoilt = dataclasses.replace(data, inputs=inputs)
        weights = stopped(spoilt, stop_epoch=1, stop_validation=share)[1].weights
        if all(torch.equal(weights[k], reference[k]) for k in weights):
            held.append(row)
    return np.array(held), np.setdiff1d(task.train_rows, held)


def test_the_best_epoch_is_chosen_on_a_part_of_the_training_set(
    data: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[dict[str, torch.Tensor]] = []

    def keep(self: EarlyStopping, run: Run) -> None:
        epochs.append({key: value.clone() for key, value in run.model.state_dict().items()})

    monkeypatch.setattr(EarlyStopping, "end_epoch", keep)
    task, chosen = stopped(data, stop_epoch=0, stop_validation=0.25)
    monkeypatch.undo()
    held, _ = validation_rows(data, task, 0.25)
    assert len(held) == round(0.25 * len(task.train_rows))
    inputs, labels = data.take(held)
    accuracies = []
    for weights in epochs:
        model = restore(task, dataclasses.replace(chosen, weights=weights), data)
        hits = model(data.normalise(inputs)).argmax(dim=1) == labels
        accuracies.append(hits.double().mean().item())
    best = int(np.argmax(accuracies))  # the first of equals
    assert chosen.facts == {"released_epoch": best + 1, "validation_accuracy": max(accuracies)}
    assert_same(chosen.weights, epochs[best])


def test_every_epoch_takes_all_other_rows_once_in_an_order_of_its_own(
    data: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders, real = [], EarlyStopping.rows

    def spy(self: EarlyStopping, run: Any, batch_size: int) -> list[torch.Tensor]:
        pieces = real(self, run, batch_size)
        orders.append(torch.cat(pieces).tolist())
        return pieces

    monkeypatch.setattr(EarlyStopping, "rows", spy)
    stopped(data, epochs=3, stop_epoch=0, stop_validation=0.25)
    assert [len(set(order)) for order in orders] == [18, 18, 18]
    assert {tuple(sorted(order)) for order in orders} == {tuple(sorted(orders[0]))}
    assert len({tuple(order) for order in orders}) == 3


def test_patience_ends_the_training(data: Prepared) -> None:
    _, patient = stopped(data, epochs=30, stop_epoch=0, stop_validation=0.25)
    _, hasty = stopped(data, epochs=30, stop_epoch=0, stop_validation=0.25, stop_patience=3)
    assert len(patient.curve) == 30
    assert hasty.curve == patient.curve[: len(hasty.curve)]
    assert len(hasty.curve) == hasty.facts["released_epoch"] + 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stop_epoch": 9}, r"defense\.stop_epoch: must be at most train\.epochs = 8, found 9"),
        ({"stop_epoch": 1, "stop_validation": 0.001}, r"defense\.stop_validation: 0\.001 of 24"),
        ({"stop_epoch": 1, "stop_validation": 0.99}, r"defense\.stop_validation: 0\.99 of 24"),
    ],
)
def test_what_does_not_fit_the_training_is_refused(
    data: Prepared, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        stopped(data, **options)


def test_patience_needs_a_validation_share() -> None:
    (problem,) = EarlyStopping(stop_patience=2).check(3)
    assert problem.startswith("defense.stop_patience: needs defense.stop_validation")
