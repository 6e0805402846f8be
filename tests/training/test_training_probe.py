"""What a network must be, asked before anything trains."""

from __future__ import annotations

from typing import Any

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nonmember.data.prepared import Prepared
from nonmember.task import Task
from nonmember.training import probe


class Net(nn.Module):
    """A linear layer whose answer goes through `after`."""

    def __init__(self, after: Any = None, classes: int = tiny.CLASSES) -> None:
        super().__init__()
        self.linear, self.after = nn.Linear(5, classes), after or (lambda x: x)

    def forward(self, x: Tensor) -> Any:
        return self.after(self.linear(x))


class Rounding(Net):
    """Reads its inputs as whole numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.long().float())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("table"), (5,))


def ask(data: Prepared, net: nn.Module, signals: tuple[str, ...] = ()) -> None:
    def build(task: Task, outline: Any) -> nn.Module:
        return net

    probe.before_training(tiny.task(data), data, build, signals)


GOOD = {
    "logits": lambda x: x,
    "log-probabilities": lambda x: F.log_softmax(x, dim=1),
    "batch norm": nn.BatchNorm1d(tiny.CLASSES),
    "dropout": nn.Dropout(),
}
BAD = {
    "a tuple": (lambda x: (x, x), "must return its logits alone, found a tuple"),
    "one logit": (lambda x: x[:, 0], r"two classes need two logits, not one"),
    "whole numbers": (lambda x: x.long(), "as floats, found torch.int64"),
    "infinite": (lambda x: x / 0, "must be finite"),
    "a softmax": (lambda x: F.softmax(x, dim=1), "returns probabilities"),
    "the batch's mean": (lambda x: x - x.mean(dim=0), "differently alone than in a batch"),
    "random": (lambda x: F.dropout(x), r"asked again, in eval mode"),
    "detached": (lambda x: x.detach(), "no gradient reaches its weights"),
    "raises": (lambda x: x @ x, r"cannot read \(6, 5\) torch.float32 inputs \(RuntimeError: mat1"),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_network_that_answers_each_sample_alone_passes(name: str, data: Prepared) -> None:
    ask(data, Net(GOOD[name]), ("grad_x_l2", "grad_w_l2"))


@pytest.mark.parametrize("name", BAD)
def test_what_an_audit_cannot_use_is_refused_in_a_sentence(name: str, data: Prepared) -> None:
    after, message = BAD[name]
    with pytest.raises(ValueError, match=f"model mlp: .*{message}"):
        ask(data, Net(after))


def test_the_classes_are_counted(data: Prepared) -> None:
    with pytest.raises(ValueError, match=r"must return \(6, 3\) logits .* found \(6, 1000\)"):
        ask(data, Net(classes=1000))


def test_gradients_of_inputs_are_asked_for_where_an_attack_needs_them(data: Prepared) -> None:
    ask(data, Rounding(), ("grad_w_l2",))
    with pytest.raises(ValueError, match="no gradient reaches its inputs"):
        ask(data, Rounding(), ("grad_x_l2",))


def test_weights_and_random_numbers_stay_as_they_were(data: Prepared) -> None:
    net = Net(nn.BatchNorm1d(tiny.CLASSES)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    probe.require_steady(net, data, "net")
    assert torch.equal(torch.rand(2), expected)
    assert net.training
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
