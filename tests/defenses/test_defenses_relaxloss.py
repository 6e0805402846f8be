"""RelaxLoss against a transcription of Algorithm 1 in plain Python floats."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from nonmember.defenses import Batch, RelaxLoss

TINY = {"relax_alpha": 1.09}
LABELS = [0, 1, 2, 1, 0]
LOGITS = [
    [2.0, 0.1, -1.0], [0.3, 2.5, 0.0], [0.5, -0.2, 1.9], [1.0, 0.9, 0.2], [2.2, 0.0, 0.7],
]  # fmt: skip
DESCEND, ASCEND, FLATTEN = (0.1, 1), (1.0, 2), (1.0, 1)  # level, epoch


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(v) for v in row)
    return [math.exp(v) / total for v in row]


def by_hand(o: RelaxLoss.Options, epoch: int, logits: np.ndarray, frozen: np.ndarray) -> float:
    """Algorithm 1 sample by sample; the soft label reads `frozen`."""
    table = o.relax_variant == "table"
    ce, flat = [], []
    for row, kept, y in zip(logits.tolist(), frozen.tolist(), LABELS, strict=True):
        p = softmax(row)
        ce.append(-math.log(p[y]))
        p_y = softmax(kept)[y]
        if table:
            p_y = min(p_y, o.relax_py_max)
        soft = -sum(
            (p_y if c == y else (1 - p_y) / (len(row) - 1)) * math.log(v) for c, v in enumerate(p)
        )
        wrong = max(range(len(row)), key=row.__getitem__) != y
        flat.append(soft if table else wrong * soft - ce[-1])
    loss = sum(ce) / len(ce)
    if loss >= o.relax_alpha:
        return loss
    number = epoch if o.relax_first_epoch == 1 else epoch - 1
    return abs(loss - o.relax_alpha) if number % 2 == 0 else sum(flat) / len(flat)


def loss_and_gradient(defense: RelaxLoss, epoch: int) -> tuple[float, np.ndarray]:
    logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    loss = defense.loss(Batch(logits, torch.tensor(LABELS), epoch=epoch))
    loss.backward()
    return loss.item(), logits.grad.numpy()


def slope(o: RelaxLoss.Options, epoch: int) -> np.ndarray:
    start = np.array(LOGITS)
    out = np.zeros_like(start)
    for place in np.ndindex(start.shape):
        for sign in (1, -1):
            moved = start.copy()
            moved[place] += sign * 1e-6
            frozen = start if o.relax_stop_gradient else moved
            out[place] += sign * by_hand(o, epoch, moved, frozen) / 2e-6
    return out


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("stop", [True, False])
@pytest.mark.parametrize("variant", ["image", "table"])
@pytest.mark.parametrize(("alpha", "epoch"), [DESCEND, ASCEND, FLATTEN])
def test_value_and_gradient_are_those_of_algorithm_1(alpha, epoch, variant, stop, first):
    defense = RelaxLoss(
        relax_alpha=alpha, relax_variant=variant, relax_stop_gradient=stop, relax_first_epoch=first
    )
    loss, gradient = loss_and_gradient(defense, epoch)
    logits = np.array(LOGITS)
    assert loss == pytest.approx(by_hand(defense.options, epoch, logits, logits), rel=1e-12)
    np.testing.assert_allclose(gradient, slope(defense.options, epoch), rtol=1e-6, atol=1e-9)


def test_the_samples_are_on_the_sides_the_cases_claim():
    ce = F.cross_entropy(torch.tensor(LOGITS), torch.tensor(LABELS)).item()
    assert DESCEND[0] < ce < FLATTEN[0]
    right = [max(range(3), key=row.__getitem__) == y for row, y in zip(LOGITS, LABELS, strict=True)]
    assert 0 < sum(right) < len(right)  # both the flattened and the spared kind of `image`
    own = [softmax(row)[y] for row, y in zip(LOGITS, LABELS, strict=True)]
    assert max(own) > RelaxLoss().options.relax_py_max  # the clamp acts


def test_even_epochs_ascend_and_the_published_count_swaps_them():
    plain = loss_and_gradient(RelaxLoss(relax_alpha=0.0), 1)[1]
    ours = loss_and_gradient(RelaxLoss(relax_alpha=1.0), 2)[1]
    theirs = loss_and_gradient(RelaxLoss(relax_alpha=1.0, relax_first_epoch=0), 1)[1]
    np.testing.assert_allclose(ours, -plain)
    np.testing.assert_allclose(theirs, -plain)


@pytest.mark.parametrize("epoch", [1, 2])
def test_alpha_zero_is_cross_entropy_and_no_other_setting_is(epoch):
    plain = F.cross_entropy(torch.tensor(LOGITS, dtype=torch.float64), torch.tensor(LABELS)).item()
    assert loss_and_gradient(RelaxLoss(relax_alpha=0.0), epoch)[0] == pytest.approx(plain)
    for variant in ("image", "table"):
        defense = RelaxLoss(relax_alpha=1.0, relax_variant=variant)
        assert loss_and_gradient(defense, epoch)[0] != pytest.approx(plain, rel=1e-3)


def test_the_bound_on_p_y_belongs_to_the_table_variant():
    def flat(**more: object) -> float:
        return loss_and_gradient(RelaxLoss(relax_alpha=1.0, **more), 1)[0]

    assert flat(relax_variant="image") == flat(relax_variant="image", relax_py_max=1.0)
    assert flat(relax_py_max=0.1) > flat(relax_py_max=0.3) > flat(relax_py_max=1.0)


def test_the_level_must_be_below_that_of_guessing():
    assert RelaxLoss(relax_alpha=2.3).check(10) == []
    (problem,) = RelaxLoss(relax_alpha=2.31).check(10)
    assert problem == "defense.relax_alpha: must be at most log(10) = 2.3, found 2.31"


@pytest.mark.parametrize(
    "bad",
    [
        {"relax_alpha": -0.1}, {"relax_variant": "Image"}, {"relax_py_max": 0.0},
        {"relax_py_max": 1.5}, {"relax_first_epoch": 2}, {"relax_stop_gradient": 1},
    ],
    ids=str,
)  # fmt: skip
def test_bad_options_are_refused_by_name(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        RelaxLoss(**bad)
