"""Every signal against the obvious loop over single samples, in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nonmember.architectures import architectures
from nonmember.extraction import signals
from nonmember.features import FeatureReader
from nonmember.kinds import TOKENS, Outline

SHAPES: dict[str, tuple[int, ...]] = {
    "mlp": (30,),
    "resnet18": (3, 8, 8),
    "resnet20": (3, 12, 12),
    "vgg11_bn": (3, 32, 32),
}
NAMES = list(signals.SIGNALS)
CLASSES = 4


def same(raw: Tensor) -> Tensor:
    return raw


def loop(
    model: nn.Module,
    x: Tensor,
    labels: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> dict[str, np.ndarray]:
    """The obvious way: one sample at a time, a copy of the model in eval mode, float64."""
    model = copy.deepcopy(model).double().eval().requires_grad_()
    rows = []
    for sample, label in zip(x.double().split(1), labels.split(1), strict=True):
        leaf = sample.clone().requires_grad_()
        logits, feature = FeatureReader(model)(leaf)
        model.zero_grad()
        loss(logits, label).backward()
        of_w = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        assert leaf.grad is not None
        norms = [t.abs().sum() if p == 1 else t.square().sum().sqrt()
                 for t in (leaf.grad, of_w) for p in (1, 2)]  # fmt: skip
        rows.append([logits[0].detach().numpy(), feature.norm().item(), *map(float, norms)])
    columns = zip(NAMES, zip(*rows, strict=True), strict=True)
    return {name: np.stack(column) for name, column in columns}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, values in found.items():
        assert values.dtype == np.float32
        near = 1e-5 if name == "logits" else 0  # a logit may be 0, a norm is not
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=near, err_msg=name)


def data(shape: tuple[int, ...], samples: int = 7) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(samples, *shape), torch.randint(CLASSES, (samples,))


def architecture(name: str) -> nn.Module:
    """Freshly built, then one training forward so that running statistics are not 0 and 1."""
    torch.manual_seed(0)
    model = architectures.get(name)().build(tiny.outline(SHAPES[name], CLASSES))
    model(3 * torch.randn(16, *SHAPES[name]) + 1)
    return model


class Model(nn.Module):
    """A function of named parts and an input."""

    def __init__(self, call: Callable[[Any, Tensor], Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.call = call
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self, x)


class Scaled(nn.Linear):
    """A linear layer of another kind: the rule for nn.Linear would be wrong."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


class Doubled(nn.Conv1d):
    """A convolution whose forward is torch's, but not what it does with the weight."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(input, weight * 2, bias)


class Gain(nn.Module):
    """A parameter of its own, and one that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.5))
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain


def head(width: int) -> nn.Linear:
    return nn.Linear(width, CLASSES)


def tied() -> Any:
    model: Any = Model(lambda m, x: m.z(m.b(m.a(x).tanh()).tanh()),
                  a=nn.Linear(6, 6), b=nn.Linear(6, 6), z=head(6))  # fmt: skip
    model.b.weight = model.a.weight
    return model


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(6, 8, (3, 2), dilation=2, padding="same", bias=False),
        nn.GroupNorm(2, 8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect", groups=8),
        nn.Conv2d(8, 20, 1),
        nn.Flatten(),
        head(20 * 25),
    )


def attention() -> nn.Module:
    layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True)
    return Model(lambda m, x: m.z(m.layer(x).mean(1)), layer=layer, z=head(6))


# What the rules must either get right or leave to vmap; the number is how many parameters do.
ODD: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "convolutions": (convolutions, (4, 9, 9), 0),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(3, 5, 3, stride=2), nn.BatchNorm1d(5), nn.Tanh(),
                                     nn.Flatten(), head(20)), (3, 9), 0),
    "conv3d": (lambda: nn.Sequential(nn.Conv3d(2, 3, 2, padding=1), nn.BatchNorm3d(3),
                                     nn.Flatten(), head(192)), (2, 3, 3, 3), 0),
    "in place after the first layer": (
        lambda: nn.Sequential(nn.Linear(6, 9), nn.ReLU(inplace=True), head(9)), (6,), 0),
    "layer norm": (lambda: nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 9), nn.LayerNorm([5, 9]),
                                         nn.Flatten(), head(45)), (5, 6), 0),
    "many positions, wide": (
        lambda: Model(lambda m, x: m.z(m.a(x).tanh().mean(1)), a=nn.Linear(40, 50), z=head(50)),
        (3, 40), 0),
    "linear twice": (
        lambda: Model(lambda m, x: m.z(m.a(m.a(x).tanh()).tanh()), a=nn.Linear(6, 6), z=head(6)),
        (6,), 0),
    "block twice": (
        lambda: Model(lambda m, x: m.z(m.a(m.a(x).relu_()).flatten(1)), z=head(75), a=nn.Sequential(
            nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))), (3, 5, 5), 0),
    "weight in two layers": (tied, (6,), 3),
    "weight used outside": (
        lambda: Model(lambda m, x: m.z(F.linear(m.a(x).tanh(), m.a.weight)),
                      a=nn.Linear(6, 6), z=head(6)), (6,), 2),
    "another forward": (
        lambda: Model(lambda m, x: m.z(m.a(x)), a=Scaled(6, 5), z=head(5)), (6,), 2),
    "another convolution": (
        lambda: nn.Sequential(Doubled(3, 5, 3), nn.Flatten(), head(20)), (3, 6), 2),
    "own parameter": (lambda: nn.Sequential(nn.Linear(6, 5), Gain(), nn.Tanh(), head(5)), (6,), 1),
    "transposed convolution": (
        lambda: nn.Sequential(nn.ConvTranspose2d(2, 3, 2), nn.Flatten(), head(48)), (2, 3, 3), 2),
    "rows folded into the batch": (
        lambda: Model(lambda m, x: m.z(m.a(x.flatten(0, 1)).tanh().unflatten(0, (-1, 5)).mean(1)),
                      a=nn.Linear(6, 9), z=head(9)), (5, 6), 2),
    "batch is not first": (
        lambda: Model(lambda m, x: m.z(m.a(x.transpose(0, 1)).tanh().mean(0)),
                      a=nn.Linear(6, 9), z=head(9)), (7, 6), 2),
    "attention": (attention, (5, 6), 4),
    "frozen": (
        lambda: nn.Sequential(nn.Linear(6, 9), nn.Tanh(), head(9)).requires_grad_(False), (6,), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_architectures_equal_the_loop(name: str) -> None:
    model = architecture(name)
    x, labels = data(SHAPES[name])
    found = signals.compute(model, x, labels, NAMES, normalise=same)
    assert list(found) == NAMES
    assert_same(found, loop(model, x, labels))


@pytest.mark.parametrize("name", SHAPES)
def test_architectures_need_no_vmap_and_l2_alone_is_the_same(name: str) -> None:
    model = architecture(name)
    x, labels = data(SHAPES[name])
    with signals._evaluating(model):
        assert not signals._plan(model, x[:1]).rest
    alone = signals.compute(model, x, labels, ["grad_w_l2"], normalise=same)
    assert_same(alone, loop(model, x, labels))


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # attention under vmap
@pytest.mark.parametrize("case", ODD)
def test_odd_models_equal_the_loop(case: str) -> None:
    make, shape, by_vmap = ODD[case]
    torch.manual_seed(0)
    model = make()
    model.train()(torch.randn(16, *shape) * 2 + 1)
    x, labels = data(shape)
    with signals._evaluating(model):
        assert len(signals._plan(model, x[:1]).rest) == by_vmap
    expected = loop(model, x, labels)
    assert_same(signals.compute(model, x, labels, NAMES, normalise=same), expected)
    assert_same(signals.compute(model, x, labels, ["grad_w_l2"], normalise=same), expected)


@pytest.mark.parametrize("name", ["mlp", "resnet20"])
def test_the_batch_size_does_not_matter(name: str) -> None:
    model = architecture(name)
    x, labels = data(SHAPES[name])
    whole, one, some = (
        signals.compute(model, x, labels, NAMES, normalise=same, batch_size=size)
        for size in (None, 1, 3)
    )
    for key in NAMES:
        np.testing.assert_allclose(one[key], whole[key], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(some[key], whole[key], rtol=1e-5, atol=1e-6)


def test_small_chunks_and_small_vmap_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in ("convolutions", "own parameter"):
        model, (x, labels) = ODD[case][0](), data(ODD[case][1])
        expected = signals.compute(model, x, labels, NAMES, normalise=same)
        with monkeypatch.context() as patch:
            patch.setattr(signals, "_CHUNK_FLOATS", 1000)
            patch.setattr(signals, "_PASS_BYTES", 2000)
            found = signals.compute(model, x, labels, NAMES, normalise=same)
        for key in NAMES:
            np.testing.assert_allclose(found[key], expected[key], rtol=1e-5, atol=1e-6)


def test_eval_mode_is_used_and_everything_is_put_back() -> None:
    model: Any = architecture("vgg11_bn").train()
    model.get_submodule("features")[1].eval()
    next(model.parameters()).requires_grad_(False)
    modes = [module.training for module in model.modules()]
    flags = [parameter.requires_grad for parameter in model.parameters()]
    state = copy.deepcopy(model.state_dict())
    x, labels = data(SHAPES["vgg11_bn"])
    with torch.no_grad():
        found = signals.compute(model, x, labels, NAMES, normalise=same)
    assert_same(found, loop(model, x, labels))
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())


def test_modes_come_back_after_a_failure() -> None:
    model = architecture("mlp").train()
    x, labels = data((29,))
    with pytest.raises(RuntimeError, match="shape"):
        signals.compute(model, x, labels, NAMES, normalise=same)
    assert all(module.training for module in model.modules())


def test_gradients_are_of_the_normalised_input() -> None:
    torch.manual_seed(0)
    model = architecture("mlp")
    raw = torch.randint(256, (7, 30), dtype=torch.uint8)
    labels = torch.arange(7) % CLASSES

    def normalise(batch: Tensor) -> Tensor:
        return (batch.float() / 255 - 0.5) / 0.25

    found = signals.compute(model, raw, labels, NAMES, normalise=normalise)
    assert_same(found, loop(model, normalise(raw), labels))


def test_confident_samples_are_not_tied_at_zero() -> None:
    """At logit gaps of 20 to 80, p − 1 is 0 in float32 (and float64), and squares underflow."""

    def exact(logits: Tensor, label: Tensor) -> Tensor:
        others = logits[0, torch.arange(CLASSES) != label]
        return (others - logits[0, label]).exp().sum().log1p()

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), head(8)).requires_grad_(False)
    x, _ = data((6,), samples=40)
    gaps = model(x).topk(2).values.diff().abs()[:, 0]
    model[2].weight *= 80 / gaps.max()
    model[2].bias *= 80 / gaps.max()
    gaps = model(x).topk(2).values.diff().abs()[:, 0]
    x = x[gaps > 18]
    labels = model(x).argmax(1)
    assert len(x) > 5
    found = signals.compute(model, x, labels, NAMES[2:], normalise=same)
    assert_same(found, loop(model, x, labels, exact))


def test_a_signal_needs_only_what_it_reads() -> None:
    model = nn.Sequential(nn.Conv2d(2, CLASSES, 3), nn.Flatten())  # no linear layer, no feature
    x, labels = data((2, 3, 3))
    found = signals.compute(model, x, labels, ["grad_w_l2", "logits"], normalise=same)
    np.testing.assert_allclose(found["logits"], model(x).detach().numpy(), atol=1e-6)
    with pytest.raises(ValueError, match=r"Sequential has no nn\.Linear"):
        signals.compute(model, x, labels, ["feature_norm"], normalise=same)


def text_model(**embedding: Any) -> tuple[nn.Module, Tensor, Tensor]:
    """An embedding whose rows several places of a text name, two texts of the same words."""
    torch.manual_seed(0)
    model = architectures.get("embedding_bag")(embedding=5, widths=[6]).build(
        Outline(9, CLASSES, (8,), TOKENS, vocabulary=7)
    )
    inner = model.get_submodule("0")
    inner.embedding = nn.Embedding(7, 5, **embedding)
    ids = torch.randint(7, (12, 8), dtype=torch.int32)
    ids[1] = ids[0].flip(0)
    ids[2, 1:] = 0
    return model, ids, torch.randint(CLASSES, (12,))


@pytest.mark.parametrize("embedding", [{"padding_idx": 0}, {}, {"scale_grad_by_freq": True}])
def test_gradients_of_an_embedding_equal_the_loop(embedding: dict[str, Any]) -> None:
    """By rule, and where a row's gradient depends on its batch one sample at a time."""
    model, ids, labels = text_model(**embedding)
    names = ["logits", "feature_norm", "grad_w_l1", "grad_w_l2"]
    found = signals.compute(model, ids, labels, names, normalise=same, batch_size=5)
    rows = []
    for sample, label in zip(ids.split(1), labels.split(1), strict=True):
        model.zero_grad()
        F.cross_entropy(model(sample), label).backward()
        of_w = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        rows.append([of_w.abs().sum().item(), of_w.norm().item()])
    np.testing.assert_allclose(np.stack([found[n] for n in names[2:]], 1), rows, rtol=1e-4)
    with signals._evaluating(model):
        assert bool(signals._plan(model, ids[:1]).rest) == ("scale_grad_by_freq" in embedding)


def test_ids_have_no_gradient() -> None:
    model, ids, labels = text_model()
    with pytest.raises(ValueError, match=r"grad_x_l1 is the gradient at the input, .*grad_w_l1"):
        signals.compute(model, ids, labels, NAMES, normalise=same)


def test_bad_requests_are_refused() -> None:
    model, (x, labels) = architecture("mlp"), data((30,))
    with pytest.raises(ValueError, match=r"unknown signal 'loss', known: logits, feature_norm"):
        signals.compute(model, x, labels, ["logits", "loss"], normalise=same)
    with pytest.raises(ValueError, match="7 inputs and 6 labels"):
        signals.compute(model, x, labels[:6], NAMES, normalise=same)
    with pytest.raises(ValueError, match="0 inputs and 0 labels"):
        signals.compute(model, x[:0], labels[:0], NAMES, normalise=same)
    mixing = nn.Sequential(nn.BatchNorm1d(30, track_running_stats=False), head(30))
    with pytest.raises(ValueError, match=r"0: batch-norm with track_running_stats=False"):
        signals.compute(mixing, x, labels, NAMES, normalise=same)


def test_beyond_float32_norms_are_zero_and_never_rise() -> None:
    """At a gap of 90 the probability of the other classes is no longer a float32 number."""
    model = nn.Linear(1, CLASSES)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0], [0.0], [0.0], [0.0]]))
        model.bias.zero_()
    gaps = torch.tensor([[60.0], [80.0], [85.0], [90.0], [95.0], [120.0], [800.0]])
    labels = torch.zeros(len(gaps), dtype=torch.int64)
    found = signals.compute(model, gaps, labels, NAMES[2:], normalise=same)
    length = 3 * np.exp(-gaps[:, 0].double().numpy())
    exact = length * np.sqrt((1 + 3 / 9) * (gaps[:, 0].numpy().astype(float) ** 2 + 1))
    np.testing.assert_allclose(found["grad_w_l2"], exact, rtol=1e-4, atol=1e-44)
    for name in NAMES[2:]:
        assert (np.diff(found[name]) <= 0).all()
        assert found[name][-1] == 0


def test_sums_of_ten_million_weights_are_as_exact_as_those_of_few() -> None:
    """One float32 norm over all of them is off by 3e-4."""
    gradient = torch.randn(1, 4000, 2500, generator=torch.Generator().manual_seed(0))
    exact = torch.stack([gradient.double().abs().sum(), gradient.double().square().sum()])
    torch.testing.assert_close(signals._sums(gradient)[:, 0], exact, rtol=1e-5, atol=0)
