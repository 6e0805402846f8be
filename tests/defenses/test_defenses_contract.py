"""What every defense promises, over the registry.

The test module of a defense may hold `TINY`, settings under which its defense acts within two
epochs on tiny data (the defaults otherwise).
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from nonmember import optimizers
from nonmember.compute import ComputeOptions
from nonmember.data.prepared import Prepared
from nonmember.defenses import Batch, defenses
from nonmember.task import Task
from nonmember.training import fleet, train
from nonmember.training.build import build_defense, build_model
from nonmember.training.store import Store
from nonmember.training.train import Trained, restore, train_with_required

NAMES = defenses.names()
CHANGES = {"loss", "step", "data", "model", "phases", "released predictor"}
VGG = {"name": "vgg11_bn"}
# How the tiny data of the fixture of that name are trained on: images through batch norm.
Maker = Callable[..., tuple[Task, Trained]]  # a defense's name, seed, place
PLACES: dict[str, dict[str, Any]] = {
    "table": {},
    "images": {"net": {"name": "resnet20"}, "batch_size": 8, "augment": "crop_flip"},
}


@cache
def module_of(name: str) -> ModuleType | None:
    """The test module of a defense; None while it has none."""
    path = Path(__file__).with_name(f"test_defenses_{name}.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.exists() or spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings(name: str) -> dict[str, Any]:
    """The defense as a recipe holds it, with the settings its test module gives."""
    return {"name": name, **getattr(module_of(name), "TINY", {})}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("table"), (5,))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("images"), (1, 8, 8), n=96)


@pytest.fixture(scope="module")
def large_images(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("large"), (3, 32, 32), n=96)


@pytest.fixture(scope="module")
def places(table: Prepared, images: Prepared) -> dict[str, Prepared]:
    """The data of each of PLACES."""
    return {"table": table, "images": images}


@pytest.fixture(scope="module")
def trained(places: dict[str, Prepared]) -> Maker:
    """(name, seed, place) -> (task, training), each made once."""

    @cache
    def make(name: str, seed: int = 0, place: str = "table") -> tuple[Task, Trained]:
        task = tiny.task(places[place], settings(name), seed=seed, **PLACES[place])
        return task, train_with_required(task, places[place])

    return make


def released(task: Task, result: Trained, data: Prepared) -> torch.Tensor:
    """What a user of the model gets to see for all rows of the data."""
    inputs, _ = data.take(np.arange(len(data.labels)))
    with torch.no_grad():
        logits = restore(task, result, data)(data.normalise(inputs))
    return build_defense(task).release(logits.float(), result.extras)


def assert_same(one: Trained, two: Trained) -> None:
    for a, b in ((one.weights, two.weights), (one.extras, two.extras)):
        assert a.keys() == b.keys()
        for key in a:
            assert torch.equal(a[key], b[key]), key
    assert one.curve == two.curve
    assert one.facts == two.facts


def assert_finite(result: Trained) -> None:
    for key, value in {**result.weights, **result.extras}.items():
        assert torch.isfinite(value.double()).all(), key
    assert result.curve
    assert all(np.isfinite(value) for row in result.curve for value in row.values())
    assert all(np.isfinite(value) for value in result.facts.values())


@pytest.mark.parametrize("name", NAMES)
def test_trains_on_a_table_and_its_curve_is_finite(
    name: str, trained: Maker, table: Prepared
) -> None:
    task, result = trained(name)
    assert_finite(result)
    seen = released(task, result, table)
    assert seen.shape == (len(table.labels), table.classes)
    assert torch.isfinite(seen).all()
    assert [row["epoch"] for row in result.curve] == list(range(1, len(result.curve) + 1))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_the_fleet_stores_exactly_what_train_makes(
    name: str, place: str, trained: Maker, places: dict[str, Prepared], tmp_path: Path
) -> None:
    """Same seed, same weights; saved, loaded and released predictions are equal."""
    data = places[place]
    task, direct = trained(name, place=place)
    store = Store(tmp_path / "models")
    options = ComputeOptions(devices="cpu", workers=1, backend="sequential")
    (key,) = fleet.train_all([task], data.folder, store, options)
    loaded = store.get(key)
    assert_same(direct, loaded)
    assert torch.equal(released(task, direct, data), released(task, loaded, data))


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_other_weights(name: str, trained: Maker) -> None:
    one, two = trained(name, 0)[1].weights, trained(name, 1)[1].weights
    assert any(not torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_of_the_model_and_of_its_parts_is_trained(
    name: str, trained: Maker, table: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing decays here: a weight that moved has received a gradient."""
    task, _ = trained(name)
    before: list[tuple[Any, dict[str, torch.Tensor]]] = []
    make = optimizers.make_part_optimizer

    def spy(parts: Any, options: Any) -> Any:
        before.append((parts, {k: v.detach().clone() for k, v in parts.named_parameters()}))
        return make(parts, options)

    monkeypatch.setattr(optimizers, "make_part_optimizer", spy)
    result = train_with_required(task, table)
    train.seed_all(task.seed)
    start = build_model(task, table.outline)
    for key, value in start.named_parameters():
        assert not torch.equal(value, result.weights[key]), key
    for parts, values in before:
        for key, value in parts.named_parameters():
            assert not torch.equal(value, values[key]), f"part {key}"


@pytest.mark.parametrize("model", [0, 2], ids=["target", "shadow"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_no_sample_outside_its_own_sets_is_ever_touched(
    name: str, place: str, model: int, places: dict[str, Prepared]
) -> None:
    """Test rows that are NaN under a wrong label change nothing, for target and shadow."""
    data = places[place]
    task = tiny.task(data, settings(name), model=model, **PLACES[place])
    rows = tiny.rows(data, model)
    hidden = np.setdiff1d(np.arange(len(data.labels)), [*rows.train, *rows.inference])
    assert set(rows.test) <= set(hidden)
    inputs, labels = np.array(data.inputs), data.labels.copy()
    inputs[hidden], labels[hidden] = np.nan, (labels[hidden] + 1) % data.classes
    blind = dataclasses.replace(data, inputs=inputs, labels=labels)
    assert_same(train_with_required(task, data), train_with_required(task, blind))


@pytest.mark.parametrize("name", NAMES)
def test_trains_without_an_inference_set_unless_it_says_it_needs_one(
    name: str, table: Prepared
) -> None:
    task = tiny.task(table, settings(name), split={"scheme": "crl"})
    assert len(task.inference_rows) == 0
    if defenses.get(name).needs_inference:
        pytest.skip("needs a reference set, and says so")
    assert_finite(train_with_required(task, table))


@pytest.mark.parametrize("name", NAMES)
def test_trains_images_through_batch_norm(name: str, trained: Maker, images: Prepared) -> None:
    task, result = trained(name, place="images")
    assert_finite(result)
    assert torch.isfinite(released(task, result, images)).all()
    train.seed_all(task.seed)
    start = build_model(task, images.outline)
    for key, value in start.named_parameters():
        assert not torch.equal(value, result.weights[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_trains_vgg(name: str, large_images: Prepared) -> None:
    """Nine million weights, dropout and biases before batch norm; one or two steps."""
    task = tiny.task(large_images, settings(name), net=VGG, batch_size=16, epochs=1, lr=0.01)
    result = train_with_required(task, large_images)
    assert_finite(result)


@pytest.mark.parametrize("name", [n for n in NAMES if defenses.get(n).neutral is not None])
def test_neutral_settings_are_plain_training(name: str, trained: Maker, table: Prepared) -> None:
    """The same weights, and the same answers."""
    task = tiny.task(table, {"name": name, **(defenses.get(name).neutral or {})})
    neutral, (none, plain) = train_with_required(task, table), trained("none")
    for key, value in neutral.weights.items():
        torch.testing.assert_close(value, plain.weights[key], rtol=1e-4, atol=1e-6)
    found, wanted = released(task, neutral, table), released(none, plain, table)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_other_settings_are_not_plain_training(name: str, trained: Maker) -> None:
    if defenses.get(name).changes in ("", "released predictor"):
        pytest.skip("the training is plain, as it says")
    moved, plain = trained(name)[1].weights, trained("none")[1].weights
    assert any(not torch.allclose(moved[key], plain[key], rtol=1e-3) for key in plain)


@pytest.mark.parametrize("name", NAMES)
def test_impossible_combinations_come_as_lines_that_name_the_key(name: str) -> None:
    cls = defenses.get(name)
    assert cls().check(10) == []  # the defaults are possible for ten classes
    for classes in (2, 10, 1000):
        for problem in cls().check(classes):
            key = problem.removeprefix("defense.").partition(":")[0]
            assert key in cls.Options.model_fields, problem


def bounds(field: FieldInfo) -> dict[str, float]:
    return {
        kind: getattr(part, kind)
        for part in field.metadata
        for kind in ("ge", "gt", "le", "lt")
        if getattr(part, kind, None) is not None
    }


def beyond(field: FieldInfo) -> list[Any]:
    """Values that break each bound of a setting, and one of a wrong kind."""
    step = {"ge": -1, "gt": 0, "le": 1, "lt": 0}
    limits = bounds(field)
    whole = field.annotation is int
    values = [(limit if whole else float(limit)) + step[kind] for kind, limit in limits.items()]
    return [*values, {"wrong": "kind"}]


SETTINGS = [
    pytest.param(name, key, id=f"{name}-{key}")
    for name in NAMES
    for key in defenses.get(name).Options.model_fields
]


@pytest.mark.parametrize(("name", "key"), SETTINGS)
def test_a_value_out_of_range_is_refused_by_its_key(name: str, key: str) -> None:
    cls = defenses.get(name)
    for bad in beyond(cls.Options.model_fields[key]):
        with pytest.raises(ValidationError, match=key):
            cls(**{key: bad})


@pytest.mark.parametrize(("name", "key"), SETTINGS)
def test_every_setting_is_described_and_every_number_has_a_range(name: str, key: str) -> None:
    field = defenses.get(name).Options.model_fields[key]
    assert field.description
    if field.annotation in (int, float):
        assert bounds(field), f"{key} has no range"


def test_settings_of_two_defenses_never_share_a_key() -> None:
    count = Counter(key for _, cls in defenses for key in cls.Options.model_fields)
    assert [key for key, times in count.items() if times > 1] == []
    assert "name" not in count


WHOLE = {  # the defenses whose loss is all that a loop needs, or all but the parts it is given
    "none", "ccl", "center_loss", "confidence_penalty", "crl", "hamp", "label_smoothing",
    "relaxloss",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_outside_a_run_is_the_defense_or_says_that_it_is_not(name: str) -> None:
    defense = defenses.get(name)(**getattr(module_of(name), "TINY", {}))
    labels, features = torch.tensor([0, 1, 2, 0]), torch.randn(4, 8)
    parts = defense.make_parts(3, 8) if name in WHOLE else None
    batch = Batch(torch.randn(4, 3), labels, features, epoch=5, parts=parts)
    if name in WHOLE:
        plain = torch.nn.functional.cross_entropy(batch.logits, labels)
        assert defense.loss(batch).isfinite()
        assert torch.equal(defense.loss(batch), plain) == (name == "none")
    else:
        with pytest.raises(ValueError, match=r"loss alone does not defend: .*nonmember\.train\("):
            defense.loss(batch)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "none"])
def test_a_defense_says_what_it_changes_and_where_it_is_from(name: str) -> None:
    cls = defenses.get(name)
    parts = {part.strip() for part in cls.changes.split(",")}
    assert parts
    assert parts <= CHANGES
    assert cls.paper
    assert cls.limits
    assert cls.try_first.endswith(".")
    assert inspect.getmodule(cls).__doc__
