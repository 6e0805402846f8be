"""The feature is the last linear layer's input, whatever the model does around it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nonmember.features import FeatureReader, last_linear


class InPlace(nn.Module):
    """Changes the feature in place after the logits are made."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 5)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        feature = self.body(x)
        with torch.no_grad():
            logits = self.head(feature)
            F.relu_(feature)
        return logits


class SkipsItsHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.unused = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def model(activation: nn.Module) -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), activation, nn.Linear(5, 3))


def test_reads_the_input_of_the_last_linear_layer() -> None:
    net, x = model(nn.ReLU(inplace=True)), torch.randn(6, 4)
    logits, feature = FeatureReader(net)(x)
    torch.testing.assert_close(feature, F.relu(net[0](x)))
    torch.testing.assert_close(logits, net(x))
    torch.testing.assert_close(logits, net[2](feature))


def test_a_later_change_in_place_does_not_reach_the_feature() -> None:
    torch.manual_seed(0)
    net, x = InPlace(), torch.randn(6, 4)
    _, feature = FeatureReader(net)(x)
    torch.testing.assert_close(feature, net.body(x))
    assert (feature < 0).any()


def test_gradients_flow_through_feature_and_logits() -> None:
    net, x = model(nn.Tanh()), torch.randn(6, 4)
    logits, feature = FeatureReader(net)(x)
    (direct,) = torch.autograd.grad(torch.tanh(net[0](x)).square().sum(), net[0].weight)
    (read,) = torch.autograd.grad(feature.square().sum(), net[0].weight, retain_graph=True)
    torch.testing.assert_close(read, direct)
    (through,) = torch.autograd.grad(logits.sum(), feature)
    torch.testing.assert_close(through, net[2].weight.sum(0).expand(6, 5))


def test_leaves_no_hook_even_when_the_model_fails() -> None:
    net = model(nn.ReLU())
    reader = FeatureReader(net)
    reader(torch.randn(2, 4))
    with pytest.raises(RuntimeError):
        reader(torch.randn(2, 9))
    assert all(not m._forward_pre_hooks and not m._forward_hooks for m in net.modules())


def test_last_linear_names_the_class_without_one() -> None:
    with pytest.raises(ValueError, match=r"Sequential has no nn\.Linear"):
        last_linear(nn.Sequential(nn.ReLU()))


def test_a_head_that_is_not_called_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="SkipsItsHead did not call its last"):
        FeatureReader(SkipsItsHead())(torch.randn(2, 4))
