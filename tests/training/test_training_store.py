"""The store of finished models: what goes in comes out, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch

from nonmember import files
from nonmember.task import Task
from nonmember.training.store import Store, load
from nonmember.training.train import Trained

TRAINED = Trained(
    weights={"layer.weight": torch.tensor([[1.5, -2.0]]), "steps": torch.tensor(7)},
    extras={"layer.weight": torch.tensor([3.0])},  # a name that the weights have too
    curve=[{"epoch": 1, "loss": 0.25}],
    facts={"epsilon": 8.0},
)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return tiny.task(tiny.save(tmp_path_factory.mktemp("data")))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "work" / "models")


@pytest.fixture
def key(store: Store, task: Task) -> str:
    """Of a model that is in the store."""
    store.put("0123", task, TRAINED)
    return "0123"


def test_what_goes_in_comes_out(store: Store, key: str) -> None:
    again = store.get(key)
    for before, after in ((TRAINED.weights, again.weights), (TRAINED.extras, again.extras)):
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert (again.curve, again.facts) == (TRAINED.curve, TRAINED.facts)


def test_the_json_beside_it_says_what_made_it(store: Store, key: str, task: Task) -> None:
    recipe = files.read_json(store.recipe_path(key))
    assert recipe["fingerprint"] == key
    assert recipe["members"] == len(task.train_rows)
    assert {name: recipe[name] for name in task.recipe()} == task.recipe()


def test_it_has_what_is_there_with_both_files(store: Store, key: str) -> None:
    assert store.has(key)
    assert not store.has("4567")
    store.recipe_path(key).unlink()
    assert not store.has(key)


def test_it_lies_in_the_repository_that_dvc_was_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "parent"))
    assert Store.default().folder == tmp_path / "parent" / "work" / "models"
    monkeypatch.delenv("DVC_ROOT")
    monkeypatch.chdir(tmp_path)
    assert Store.default().folder == tmp_path / "work" / "models"


def test_loading_half_a_file_names_it(store: Store, key: str) -> None:
    path = store.weights_path(key)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"{key}\.safetensors: damaged"):
        load(store.weights_path(key))


def test_a_flipped_bit_is_noticed_where_it_is_loaded(store: Store, key: str) -> None:
    """A safetensors file with another weight is as whole as before; its checksum is not."""
    path = store.weights_path(key)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{key}\.safetensors: damaged"):
        load(path)


@pytest.mark.parametrize("text", ["null", "[]", "{}", "no json"])
def test_a_recipe_that_is_none_counts_as_absent(store: Store, key: str, text: str) -> None:
    store.recipe_path(key).write_text(text)
    assert not store.has(key)
