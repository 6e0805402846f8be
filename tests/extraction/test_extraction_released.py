"""A trained model as its users get it: every answer is what the defense releases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from nonmember.extraction import released
from nonmember.extraction.released import Released
from nonmember.queries import queries
from nonmember.training.store import Store
from nonmember.training.train import train_with_required

HAMP = {"name": "hamp", "hamp_random": 20}


class Target:
    """A tiny model on images, trained with HAMP."""

    def __init__(self, folder: Path) -> None:
        self.data = tiny.save(folder / "data", (1, 8, 8))
        self.store = Store(folder / "models")
        task = tiny.task(self.data, HAMP)
        self.store.put("0", task, train_with_required(task, self.data))

    def released(self, defense: dict[str, Any] = HAMP) -> Released:
        task = tiny.task(self.data, defense)
        return Released(task, self.store.weights_path("0"), self.data.folder, "cpu")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return Target(tmp_path_factory.mktemp("target"))


def test_queries_see_what_the_defense_releases(target: Target) -> None:
    """HAMP answers with other scores in the same order: correctness stays, losses do not."""
    model, rows = target.released(), np.arange(20)
    inputs, labels = target.data.take(rows)
    answers = model.answer(inputs)
    logits = model.look(rows, labels.numpy(), ["logits"])["logits"]
    np.testing.assert_array_equal(answers, logits)
    plain = target.released(HAMP | {"hamp_release": False}).answer(inputs)
    assert not np.allclose(answers, plain)
    np.testing.assert_array_equal(answers.argsort(axis=1), plain.argsort(axis=1))
    found = model.ask(queries.get("rotations")(), rows, labels.numpy(), 0)
    np.testing.assert_array_equal(found[:, 0], answers.argmax(axis=1) == labels.numpy())


def test_answers_do_not_depend_on_the_batch_size(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The widest layer has 64 numbers, the flattened image: 7 inputs of 256 bytes, or all."""
    inputs, _ = target.data.take(np.arange(50))
    whole, small = target.released(), target.released()
    expected = whole.answer(inputs)
    monkeypatch.setattr(released, "LAYER_BYTES", 7 * 256)
    np.testing.assert_allclose(small.answer(inputs), expected, rtol=1e-5)
    assert small.batch_size == 7
    assert whole.batch_size == 4 * 2**20 / 256


def test_without_a_release_an_answer_is_the_models_own(target: Target) -> None:
    model = target.released(HAMP | {"hamp_release": False})
    inputs, _ = target.data.take(np.arange(9))
    with torch.no_grad():
        own = model.model(target.data.normalise(inputs))
    np.testing.assert_allclose(model.answer(inputs), own.numpy(), rtol=1e-5, atol=1e-6)
    assert not model.model.training


def test_a_label_changes_the_loss_and_not_the_answer(target: Target) -> None:
    """A canary is looked at with its wrong label."""
    model, rows = target.released(), np.arange(12)
    _, labels = target.data.take(rows)
    right, wrong = (
        model.look(rows, (labels.numpy() + step) % tiny.CLASSES, ["grad_x_l2"]) for step in (0, 1)
    )
    np.testing.assert_array_equal(right["logits"], wrong["logits"])
    assert (right["grad_x_l2"] != wrong["grad_x_l2"]).all()


def test_a_run_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model defended in .*`dvc repro` trains them"):
        Released.of_run(folder=tmp_path)


def test_other_data_than_it_was_trained_on_are_refused(target: Target, tmp_path: Path) -> None:
    other = tiny.save(tmp_path, (1, 8, 8), seed=1)
    task = tiny.task(other, HAMP)
    with pytest.raises(ValueError, match=r"0\.json: trained on data \w{8}, but .*`dvc repro`"):
        Released(task, target.store.weights_path("0"), other.folder, "cpu")


def test_raw_inputs_are_those_of_the_data_set(target: Target) -> None:
    model = target.released()
    inputs, _ = target.data.take(np.arange(3))
    np.testing.assert_array_equal(model.answer(inputs.numpy()), model.answer(inputs))
    with pytest.raises(TypeError, match="must be float32, as the data are, found float64"):
        model.answer(inputs.double())
    with pytest.raises(ValueError, match=r"must be \(k, 1, 8, 8\)"):
        model.answer(inputs[:, :, :4])
