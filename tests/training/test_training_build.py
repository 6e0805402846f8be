"""What a task names is built: the architecture as the defense adapts it, and the defense."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch
from torch import nn

from nonmember.data.prepared import Prepared
from nonmember.defenses.dropout import Dropout
from nonmember.training.build import build_defense, build_model


@pytest.fixture
def data(tmp_path: Path) -> Prepared:
    return tiny.save(tmp_path)


def test_the_net_has_the_widths_of_the_task_and_an_output_a_class(data: Prepared) -> None:
    model = build_model(tiny.task(data), data.outline)
    widths = [m.weight.shape for m in model.modules() if isinstance(m, nn.Linear)]
    assert widths == [(12, 5), (8, 12), (3, 8)]


def test_the_defense_has_the_options_of_the_task(data: Prepared) -> None:
    defense = build_defense(tiny.task(data, {"name": "dropout", "dropout_p": 0.25}))
    assert isinstance(defense, Dropout)
    assert defense.options.dropout_p == 0.25
    with pytest.raises(ValueError, match="dropout_p"):
        build_defense(tiny.task(data, {"name": "dropout", "dropout_p": 2.0}))
    with pytest.raises(ValueError, match="unknown defense 'drop'"):
        build_defense(tiny.task(data, {"name": "drop"}))


def test_the_defense_adapts_the_net_and_nothing_else_of_it(data: Prepared) -> None:
    """Dropout is a defense that changes the model, in training only."""
    models = []
    for defense in (None, {"name": "dropout", "dropout_p": 0.25}):
        torch.manual_seed(0)
        models.append(build_model(tiny.task(data, defense), data.outline))
    plain, dropping = models
    assert not any(isinstance(m, nn.Dropout) for m in plain.modules())
    assert [m.p for m in dropping.modules() if isinstance(m, nn.Dropout)] == [0.25]
    inputs = torch.randn(4, 5)
    assert not torch.equal(plain(inputs), dropping(inputs))
    assert torch.equal(plain.eval()(inputs), dropping.eval()(inputs))


def test_settings_are_left_as_they_were(data: Prepared) -> None:
    task = tiny.task(data)
    build_model(task, data.outline)
    assert (task.model, task.defense) == (tiny.MLP, {"name": "none"})
