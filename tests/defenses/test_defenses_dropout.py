from __future__ import annotations

import copy

import pytest
import tiny
import torch
from pydantic import ValidationError
from torch import nn

from nonmember.architectures import architectures
from nonmember.defenses import Dropout
from nonmember.features import FeatureReader, last_linear
from nonmember.kinds import IMAGE


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 400), nn.ReLU(), nn.Linear(400, 3, bias=False))


def test_the_last_layer_gets_a_masked_feature_in_training() -> None:
    """Every feature reaches the logits whole or not at all, scaled by 1 / (1 − p)."""
    net = Dropout(dropout_p=0.75).adapt(model()).train()
    _, seen = FeatureReader(net)(torch.ones(1, 5))
    feature = model()[:2](torch.ones(1, 5))
    alive = feature > 0
    ratio = (seen / feature)[alive]
    assert set(ratio.round().tolist()) == {0.0, 4.0}
    assert (ratio == 0).float().mean() == pytest.approx(0.75, abs=0.1)


def test_the_released_model_is_the_architecture_itself() -> None:
    plain, adapted = model(), Dropout(dropout_p=0.5).adapt(model())
    plain.load_state_dict(adapted.state_dict())  # same names and shapes
    x = torch.randn(4, 5)
    assert torch.equal(adapted.eval()(x), plain.eval()(x))
    assert not torch.equal(adapted.train()(x), plain(x))


@pytest.mark.parametrize(
    "name", [n for n in architectures.names() if IMAGE in architectures.get(n).kinds]
)
def test_every_architecture_has_it_on_its_last_layer_only(name: str) -> None:
    torch.manual_seed(0)
    plain = architectures.get(name)().build(tiny.outline((3, 32, 32), 4))
    before = [m for m in plain.modules() if isinstance(m, nn.Dropout)]
    adapted = Dropout(dropout_p=0.5).adapt(plain)
    after = [m for m in adapted.modules() if isinstance(m, nn.Dropout)]
    assert len(after) == len(before) + 1
    assert last_linear(adapted).get_submodule("dropout") is after[-1]


def test_a_copy_of_the_model_drops_on_its_own() -> None:
    net = copy.deepcopy(Dropout(dropout_p=0.9).adapt(model()))
    dropout = last_linear(net).get_submodule("dropout")
    assert isinstance(dropout, nn.Dropout)
    dropout.p = 0.0
    assert torch.equal(net.train()(torch.ones(1, 5)), model()(torch.ones(1, 5)))


@pytest.mark.parametrize("bad", [-0.1, 1.0])
def test_bad_options_are_refused_by_name(bad: float) -> None:
    with pytest.raises(ValidationError, match="dropout_p"):
        Dropout(dropout_p=bad)
