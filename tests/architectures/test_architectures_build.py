"""Every architecture: shapes, features, initialisation, refusals."""

from __future__ import annotations

import subprocess
import sys

import pytest
import tiny
import torch
import yaml
from pydantic import ValidationError
from torch import nn

from nonmember.architectures import architectures
from nonmember.features import FeatureReader
from nonmember.kinds import TOKENS, Outline

FEATURES = {"mlp": 128, "resnet18": 512, "resnet20": 64, "vgg11_bn": 512}
IMAGES = sorted(set(FEATURES) - {"mlp"})


def build(name: str, shape: tuple[int, ...] = (3, 32, 32), classes: int = 7) -> nn.Module:
    torch.manual_seed(0)
    return architectures.get(name)().build(tiny.outline(shape, classes))


def test_every_architecture_is_covered_here() -> None:
    assert architectures.names() == sorted([*FEATURES, "embedding_bag"])


TEXT = Outline(9, 7, (6,), TOKENS, vocabulary=30)


@pytest.mark.parametrize("name", FEATURES)
def test_token_ids_are_refused_by_what_would_take_them_for_numbers(name: str) -> None:
    message = rf"model\.name: {name} needs .*, the data are token ids; use embedding_bag"
    for call in (architectures.get(name)().check, architectures.get(name)().build):
        with pytest.raises(ValueError, match=message):
            call(TEXT)


@pytest.mark.parametrize(("shape", "use"), [((600,), "mlp"), ((3, 32, 32), "resnet20")])
def test_an_embedding_bag_refuses_what_is_no_text(shape: tuple[int, ...], use: str) -> None:
    with pytest.raises(ValueError, match=rf"embedding_bag needs token ids, .*; use {use}"):
        architectures.get("embedding_bag")().check(tiny.outline(shape))


def test_an_embedding_bag_is_a_loop_over_words() -> None:
    """No matter in which order, nor how many paddings, even if a defense moved their embedding."""
    model = architectures.get("embedding_bag")(embedding=5, widths=[4]).build(TEXT).eval()
    table = next(m for m in model.modules() if isinstance(m, nn.Embedding)).weight
    with torch.no_grad():
        table[0] = 3.0
    assert isinstance(model, nn.Sequential)
    ids = torch.tensor([[4, 29, 4, 0, 0, 0], [0, 0, 0, 0, 0, 0]], dtype=torch.int32)
    mean = torch.stack([(2 * table[4] + table[29]) / 3, torch.zeros(5)])
    logits, feature = FeatureReader(model)(ids)
    torch.testing.assert_close(logits, model[1:](mean))
    assert feature.shape == (2, 4)
    torch.testing.assert_close(model(ids[:, [3, 1, 0, 2]]), logits)


@pytest.mark.parametrize("name", FEATURES)
def test_logits_and_features_have_their_shapes(name: str) -> None:
    logits, feature = FeatureReader(build(name))(torch.randn(2, 3, 32, 32))
    assert logits.shape == (2, 7)
    assert feature.shape == (2, FEATURES[name])


@pytest.mark.parametrize("name", FEATURES)
def test_one_channel_and_larger_images_fit(name: str) -> None:
    assert build(name, (1, 40, 36)).eval()(torch.randn(1, 1, 40, 36)).shape == (1, 7)


@pytest.mark.parametrize("name", FEATURES)
def test_the_seed_decides_the_weights(name: str) -> None:
    first, again = build(name).state_dict(), build(name).state_dict()
    other = architectures.get(name)().build(tiny.outline((3, 32, 32), 7)).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize(("name", "shape", "count"), [
    ("resnet20", (3, 32, 32), 272474),
    ("resnet18", (3, 32, 32), 11173962),
    ("mlp", (600,), 600 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10),
])  # fmt: skip
def test_number_of_weights(name: str, shape: tuple[int, ...], count: int) -> None:
    model = build(name, shape, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_resnet18_has_a_stem_for_small_images() -> None:
    """3×3 at stride 1 and no pooling: a 32×32 image is 32×32 behind it."""
    model = build("resnet18")
    sizes = []
    model.layer1.register_forward_pre_hook(lambda _, x: sizes.append(tuple(x[0].shape[1:])))  # type: ignore[union-attr]
    model.eval()(torch.randn(1, 3, 32, 32))
    assert sizes == [(64, 32, 32)]


def test_vgg_drops_half() -> None:
    """The head of the papers' VGG11."""
    assert {m.p for m in build("vgg11_bn").modules() if isinstance(m, nn.Dropout)} == {0.5}


@pytest.mark.parametrize("name", IMAGES)
def test_tables_are_refused(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"model\.name: {name} needs images, the data are tables; use mlp"
    ):
        architectures.get(name)().check(tiny.outline((600,)))


def test_vgg_refuses_small_images() -> None:
    model = architectures.get("vgg11_bn")()
    with pytest.raises(ValueError, match=r"model\.name: vgg11_bn .*32×32.*28.*dataset\.resize"):
        model.check(tiny.outline((1, 28, 28)))
    with pytest.raises(ValueError, match=r"dataset\.resize"):
        model.build(tiny.outline((1, 28, 28)))
    model.check(tiny.outline((3, 32, 32)))


def test_vgg_drops_before_the_feature_not_after() -> None:
    classifier = build("vgg11_bn").get_submodule("classifier")
    kinds = [type(layer).__name__ for layer in classifier.children()]
    assert kinds == [*["Dropout", "Linear", "ReLU"] * 2, "Linear"]


def test_mlp_takes_options_as_yaml_gives_them() -> None:
    options = yaml.safe_load("{widths: [8, 4], activation: tanh}")
    model = architectures.get("mlp")(**options).build(tiny.outline((2, 5), 3))
    shapes = [tuple(m.weight.shape) for m in model.modules() if isinstance(m, nn.Linear)]
    assert shapes == [(8, 10), (4, 8), (3, 4)]
    assert sum(isinstance(module, nn.Tanh) for module in model.modules()) == 2


@pytest.mark.parametrize("options", [{"widths": [0]}, {"widths": ["8"]}, {"activation": "gelu"}])
def test_mlp_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        architectures.get("mlp").Options(**options)


def test_a_table_does_not_pay_for_torchvision() -> None:
    code = (
        "import sys; from nonmember.architectures import architectures as a; "
        "[cls for _, cls in a]; from nonmember.kinds import TABLE, Outline; "
        "a.get('mlp')().build(Outline(9, 2, (6,), TABLE)); print('torchvision' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
