"""One call trains any network on arrays with any defense, as the stages do."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from torch import nn

import nonmember
from nonmember.data.prepared import Prepared
from nonmember.defenses import CRL, DPSGD, defenses
from nonmember.training.call import Result, train
from nonmember.training.train import train_with_required

OPTIONS: dict[str, Any] = {**tiny.TRAIN, "epochs": 2}


def settings(name: str) -> dict[str, Any]:
    """The defense with what its test module says of tiny data."""
    path = Path(__file__).parents[1] / "defenses" / f"test_defenses_{name}.py"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.search(r"^TINY[^=\n]*= (\{.*?\})(?:  #.*)?$", text, re.M | re.S)
    return {"name": name, **(ast.literal_eval(found[1]) if found else {})}


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, tiny.CLASSES))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("table"), (5,))


def pairs(data: Prepared) -> tuple[Any, Any]:
    """Members and reference set."""
    rows = tiny.rows(data)
    return data.take(rows.train), data.take(rows.inference)


def called(data: Prepared, model: Any, defense: Any, **changes: Any) -> Result:
    members, others = pairs(data)
    return train(model, members, defense, **{"inference": others, **OPTIONS, **changes})


@pytest.mark.parametrize("name", defenses.names())
def test_every_defense_trains_anybodys_network(name: str, data: Prepared) -> None:
    made = called(data, net, settings(name))
    x = np.array(data.inputs[:7])
    answer = made.released(x)
    assert answer.shape == (7, tiny.CLASSES)
    assert np.isfinite(answer).all()
    np.testing.assert_array_equal(answer, made.released(torch.from_numpy(x)))
    assert not made.module.training
    assert made.curve
    if "released predictor" not in defenses.get(name).changes:
        with torch.no_grad():
            own = made.module(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(answer, own, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["none", "crl", "past", "selena", "dp_sgd", "memguard"])
def test_it_is_the_training_of_the_stages(name: str, data: Prepared) -> None:
    """The same weights, bit for bit."""
    task = tiny.task(data, settings(name))
    wanted = train_with_required(task, data)
    normal = data.normalise
    made = called(data, tiny.MLP, settings(name), seed=task.seed, mean=normal.mean, std=normal.std)
    for key, value in made.module.state_dict().items():
        assert torch.equal(value, wanted.weights[key]), key
    assert (made.curve, made.facts) == (wanted.curve, wanted.facts)


def test_a_module_is_left_as_it_is_and_trains_from_its_weights(data: Prepared) -> None:
    start = net()
    before = {name: value.clone() for name, value in start.state_dict().items()}
    made = called(data, start, "none", lr=1e-6)
    for name, value in start.state_dict().items():
        assert torch.equal(value, before[name])
        torch.testing.assert_close(made.module.state_dict()[name], value, atol=1e-3, rtol=1e-3)


def test_sub_models_of_a_module_start_afresh_or_are_refused(data: Prepared) -> None:
    class Free(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.net = nn.Parameter(torch.ones(1)), net()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scale * self.net(x)

    selena = settings("selena")
    assert called(data, net(), selena).curve
    assert called(data, Free, selena).curve
    assert called(data, Free(), "none").curve
    with pytest.raises(ValueError, match=r"\(Free\) holds weights and has no reset_parameters"):
        called(data, Free(), selena)


def test_an_instance_brings_its_settings_and_facts_come_back(data: Prepared) -> None:
    made = called(data, net, DPSGD(dp_noise=1.5, dp_delta=1e-3))
    assert made.facts["noise_multiplier"] == 1.5
    assert made.facts["epsilon"] > 0
    assert called(data, net, CRL(alpha_rce=0.5)).defense.options == CRL(alpha_rce=0.5).options


@pytest.mark.parametrize("name", [name for name, cls in defenses if cls.needs_inference])
def test_a_reference_set_is_asked_for(name: str, data: Prepared) -> None:
    with pytest.raises(ValueError, match=rf"{name} needs a reference set .*inference=\(x, y\)"):
        called(data, net, settings(name), inference=None)


def test_what_is_impossible_is_refused_before_training(data: Prepared) -> None:
    members, _ = pairs(data)
    with pytest.raises(ValueError, match="unknown defense 'pasta', known"):
        train(net, members, "pasta")
    with pytest.raises(ValueError, match="epoch"):
        train(net, members, epoch=3)
    with pytest.raises(ValueError, match="returns probabilities"):
        train(lambda: nn.Sequential(net(), nn.Softmax(dim=1)), members)
    with pytest.raises(TypeError, match=r"must make a torch\.nn\.Module, found int"):
        train(lambda: 3, members)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="labels must be 0 to"):
        train(net, (members[0], members[1] - 1))
    with pytest.raises(ValueError, match="whole labels"):
        train(net, (members[0], members[1].float()))
    with pytest.raises(ValueError, match=r"has no nn\.Linear"):
        train(lambda: nn.Sequential(nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 3, 5), nn.Flatten()),
              members, "crl")  # fmt: skip


def test_raw_inputs_are_those_of_the_data(data: Prepared) -> None:
    made = called(data, net, "none", epochs=1)
    with pytest.raises(TypeError, match="must be float32"):
        made.released(np.zeros((1, 5)))


def test_images_are_divided_once() -> None:
    raw = np.random.default_rng(0).integers(0, 256, (24, 1, 4, 4), np.uint8)
    flat: Any = lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 2))  # noqa: E731
    made = train(flat, (raw, np.arange(24) % 2), epochs=1, batch_size=8)
    with torch.no_grad():
        own = made.module(torch.from_numpy(raw).float() / 255)
    np.testing.assert_allclose(made.released(raw), own, rtol=1e-5, atol=1e-6)


def test_the_package_offers_it() -> None:
    assert nonmember.train is train
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        nonmember.trian  # noqa: B018
    assert {field.name for field in dataclasses.fields(Result)} >= {"module", "facts", "curve"}
