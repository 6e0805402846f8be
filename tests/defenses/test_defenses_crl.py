"""CRL against a transcription of Algorithm 1 in plain Python floats."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from nonmember.defenses import CRL, Batch
from nonmember.defenses.crl import START, cross_entropy_floor, first_level, shrink
from nonmember.training.train import train

TINY = {"alpha_rce": 1.09, "alpha_rcl": 0.05}
CLASSES, WIDTH = 3, 4
ODD, EVEN = 1, 2
# Thresholds that put the mean loss of `batch` below (odd epochs relax) or above.
RELAXED, STRICT = {"alpha_rce": 1.5, "alpha_rcl": 5.0}, {"alpha_rce": 0.3, "alpha_rcl": 0.01}


def batch(epoch: int = ODD, scale: float = 1.5) -> Batch:
    """Five samples, mostly right ones, in float64, with leaves that record gradients."""
    rng = torch.Generator().manual_seed(3)
    labels = torch.tensor([0, 1, 2, 1, 0])
    logits = scale * torch.randn(5, CLASSES, generator=rng, dtype=torch.float64)
    logits[torch.arange(5), labels] += 1
    features = torch.randn(5, WIDTH, generator=rng, dtype=torch.float64)
    centers = nn.Embedding(CLASSES, WIDTH).double()
    with torch.no_grad():
        centers.weight.copy_(torch.randn(CLASSES, WIDTH, generator=rng, dtype=torch.float64))
    return Batch(logits.requires_grad_(), labels, features.requires_grad_(), epoch, centers)


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(v) for v in row)
    return [math.exp(v) / total for v in row]


def divide(row: list[float], tau: float) -> list[float]:
    norm = math.sqrt(sum(v * v for v in row))
    return [v / (1 + tau * norm) for v in row]


def by_hand(
    o: CRL.Options,
    epoch: int,
    logits: np.ndarray,
    features: np.ndarray,
    centers: np.ndarray,
    labels: list[int],
    p_y: list[float],
) -> tuple[float, float]:
    """Algorithm 1 sample by sample: (L_rce, L_rcl)."""
    ce = soft = distance = spread = 0.0
    for g, q, y, p in zip(logits.tolist(), features.tolist(), labels, p_y, strict=True):
        log_p = [math.log(v) for v in softmax(divide(g, o.tau_rce))]
        ce -= log_p[y]
        soft -= sum(
            (p if c == y else (1 - p) / (len(g) - 1)) * value for c, value in enumerate(log_p)
        )
        q_n, c_n = divide(q, o.tau_rcl), divide(centers[y].tolist(), o.tau_rcl)
        near = sum((a - b) ** 2 for a, b in zip(q_n, c_n, strict=True))
        distance += near
        spread += p * near + (1 - p) * sum(a * a for a in q_n)
    ce, soft, distance, spread = (v / len(labels) for v in (ce, soft, distance, spread))
    if epoch % 2 == 0:
        return abs(ce - o.alpha_rce), abs(distance / 2 - o.alpha_rcl)
    rce = ce if ce > o.alpha_rce else soft
    return rce, distance / 2 if distance / 2 > o.alpha_rcl else spread / 2


def hand_batch(crl: CRL, b: Batch, **changed: np.ndarray) -> tuple[float, float]:
    """`by_hand` on a batch; p_y follows changed logits only where no gradient is stopped."""
    arrays = {
        "logits": b.logits.detach().numpy(),
        "features": b.features.detach().numpy(),
        "centers": b.parts.weight.detach().numpy(),
    }
    frozen = arrays["logits"]
    arrays |= changed
    source = frozen if crl.options.crl_stop_gradient else arrays["logits"]
    labels = b.labels.tolist()
    p_y = [
        min(softmax(row)[y], crl.options.crl_py_max)
        for row, y in zip(source.tolist(), labels, strict=True)
    ]
    return by_hand(crl.options, b.epoch, labels=labels, p_y=p_y, **arrays)


def slope(crl: CRL, b: Batch, name: str, weights: tuple[float, float]) -> np.ndarray:
    """Central differences of weights · (L_rce, L_rcl) in one of the batch's tensors."""
    value = {"logits": b.logits, "features": b.features, "centers": b.parts.weight}[name]
    start = value.detach().numpy()
    out = np.zeros_like(start)
    for place in np.ndindex(start.shape):
        for sign in (1, -1):
            moved = start.copy()
            moved[place] += sign * 1e-6
            out[place] += sign * np.dot(weights, hand_batch(crl, b, **{name: moved})) / 2e-6
    return out


BRANCHES = [(EVEN, RELAXED), (EVEN, STRICT), (ODD, RELAXED), (ODD, STRICT)]
VARIANTS = [
    {},
    {"crl_stop_gradient": False},
    {"crl_py_max": 0.6},
    {"crl_stop_gradient": False, "crl_py_max": 0.6},
    {"center_scaled": True},
    {"tau_rce": 0.0, "tau_rcl": 0.0},
]


@pytest.mark.parametrize(("epoch", "thresholds"), BRANCHES)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_value_and_gradients_are_those_of_algorithm_1(epoch, thresholds, variant):
    crl = CRL(**{"lambda_rcl": 0.25, **thresholds, **variant})
    b = batch(epoch)
    lam = crl.options.lambda_rcl
    loss = crl.loss(b)
    loss.backward()
    assert loss.item() == pytest.approx(np.dot((1, lam), hand_batch(crl, b)), rel=1e-12)
    for name, found in (("logits", b.logits.grad), ("features", b.features.grad)):
        np.testing.assert_allclose(found, slope(crl, b, name, (1, lam)), rtol=1e-6, atol=1e-8)
    # Line 24: the centres follow L_rcl alone; published code scales it by lambda.
    weight = lam if crl.options.center_scaled else 1.0
    np.testing.assert_allclose(
        b.parts.weight.grad, slope(crl, b, "centers", (0, weight)), rtol=1e-6, atol=1e-8
    )


def test_the_cases_lie_on_both_sides_of_the_thresholds():
    b = batch()
    ce = F.cross_entropy(shrink(b.logits, CRL().options.tau_rce), b.labels).item()
    assert STRICT["alpha_rce"] < ce < RELAXED["alpha_rce"]
    relaxed, strict = (CRL(**t).loss(b).item() for t in (RELAXED, STRICT))
    assert relaxed != pytest.approx(strict, rel=1e-3)


def test_the_thresholds_act_on_the_batch_mean_and_not_on_single_samples():
    crl = CRL(alpha_rce=0.7, lambda_rcl=0.0, tau_rce=0.0)
    logits = torch.tensor([[4.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    b = Batch(logits, torch.tensor([0, 0]), epoch=ODD)
    losses = F.cross_entropy(logits, b.labels, reduction="none")
    assert losses[0] < 0.7 < losses.mean()
    assert crl.loss(b).item() == pytest.approx(losses.mean().item())


def test_without_a_stop_gradient_the_relaxed_step_raises_the_true_class_logit():
    labels = torch.tensor([0])
    grads = []
    for stop in (True, False):
        logits = torch.tensor([[3.0, 0.0, 0.0]], requires_grad=True)
        keys = {"tau_rce": 0.0, "lambda_rcl": 0.0, "crl_py_max": 1.0, "crl_stop_gradient": stop}
        crl = CRL(alpha_rce=1.0, **keys)
        crl.loss(Batch(logits, labels, epoch=ODD)).backward()
        grads.append(logits.grad[0, 0].item())
    assert grads[0] == pytest.approx(0.0, abs=1e-6)  # the soft label is the prediction itself
    assert grads[1] < -0.01


def test_lambda_zero_has_no_centres_and_needs_no_features():
    crl = CRL(alpha_rce=1.0, lambda_rcl=0.0)
    assert crl.make_parts(CLASSES, WIDTH) is None
    b = batch(EVEN)
    expected, _ = hand_batch(crl, b)
    assert crl.loss(Batch(b.logits, b.labels, epoch=EVEN)).item() == pytest.approx(expected)


def test_shrink_bounds_the_norm_and_leaves_everything_at_tau_zero():
    vectors = 1e4 * torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(shrink(vectors, 0.0), vectors)
    assert (shrink(vectors, 0.5).norm(dim=1) < 2.0 + 1e-5).all()


def test_centres_are_an_embedding_with_an_sgd_of_their_own():
    crl = CRL(center_lr=0.02, center_momentum=0.9, center_weight_decay=0.0005)
    assert tuple(crl.make_parts(7, 5).weight.shape) == (7, 5)
    own = crl.part_options()
    assert (own.lr, own.momentum, own.weight_decay) == (0.02, 0.9, 0.0005)


def test_missing_features_or_centres_are_named():
    b = batch()
    with pytest.raises(ValueError, match=r"Batch\.features and Batch\.parts"):
        CRL().loss(Batch(b.logits, b.labels))
    with pytest.raises(ValueError, match=r"Batch\.features and Batch\.parts"):
        CRL().loss(Batch(b.logits, b.labels, features=b.features))


@pytest.mark.parametrize(
    ("classes", "tau", "floor"),
    [
        (10, 0.1, 2e-4), (10, 0.2, 0.045), (10, 0.5, 0.74), (10, 1.0, 1.42),
        (100, 0.1, 0.004), (100, 0.2, 0.50), (100, 0.5, 2.66), (100, 1.0, 3.62),
    ],
)  # fmt: skip
def test_the_floor_of_the_normalised_loss(classes, tau, floor):
    """The closed form, the published figures, and the best logits that the bound allows."""
    found = cross_entropy_floor(classes, tau)
    assert found == pytest.approx(floor, rel=0.25 if floor < 0.01 else 0.01)
    best = torch.full((1, classes), -1 / (classes - 1), dtype=torch.float64)
    best[0, 0] = 1.0
    label = torch.tensor([0])
    assert F.cross_entropy(shrink(1e9 * best, tau), label).item() == pytest.approx(found, rel=1e-5)
    other = best + 0.3 * torch.randn(50, classes, generator=torch.Generator().manual_seed(1))
    reached = F.cross_entropy(shrink(1e9 * other, tau), label.expand(50), reduction="none")
    assert (reached >= found).all()


@pytest.mark.parametrize(
    ("options", "inside", "outside", "key"),
    [
        ({"tau_rce": 0.5}, 0.75, 0.73, "alpha_rce"),
        ({"tau_rce": 0.5}, 2.30, 2.31, "alpha_rce"),
        ({"tau_rce": 0.0}, 0.0, 2.31, "alpha_rce"),
        ({"tau_rcl": 0.5}, 7.9, 8.1, "alpha_rcl"),
        ({"tau_rcl": 1.0}, 1.9, 2.1, "alpha_rcl"),
    ],
)
def test_thresholds_no_batch_can_cross_are_refused_with_the_interval(options, inside, outside, key):
    alphas = {"alpha_rce": 1.0, "alpha_rcl": 0.1}
    assert CRL(**{**alphas, **options, key: inside}).check(10) == []
    (problem,) = CRL(**{**alphas, **options, key: outside}).check(10)
    assert problem.startswith(f"defense.{key}: must be between")
    assert f"found {outside}" in problem


def test_without_normalisation_the_centre_loss_has_no_upper_bound():
    assert CRL(tau_rcl=0.0, alpha_rcl=500.0).check(10) == []


@pytest.mark.parametrize(
    "bad",
    [
        {"alpha_rce": -0.1}, {"tau_rce": -1.0}, {"lambda_rcl": float("nan")}, {"center_lr": 0.0},
        {"crl_py_max": 0.0}, {"crl_py_max": 1.1}, {"center_momentum": 1.0}, {"alpha_rcl": "0.2"},
    ],
    ids=str,
)  # fmt: skip
def test_bad_options_are_refused_by_name(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        CRL(**bad)


def test_a_step_in_a_loop_of_ones_own_moves_model_and_centres():
    """The five lines of the class docstring, with float32 tensors."""
    torch.manual_seed(0)
    body, head = nn.Linear(6, WIDTH), nn.Linear(WIDTH, CLASSES)
    crl = CRL(alpha_rcl=0.01)
    centers = crl.make_parts(CLASSES, WIDTH)
    x, y = torch.randn(8, 6), torch.randint(0, CLASSES, (8,))

    def total() -> Tensor:
        features = body(x)
        return crl.loss(Batch(head(features), y, features, ODD, centers))

    total().backward()
    for module in (body, head, centers):
        assert all(p.grad.abs().sum() > 0 for p in module.parameters())


def test_training_is_a_loop_of_ones_own_with_an_optimiser_for_the_centres(tmp_path, monkeypatch):
    """Three epochs; each optimiser forgets the gradients of the step before."""
    data = tiny.save(tmp_path)
    keys = {**TINY, "center_lr": 0.05, "center_momentum": 0.8, "center_weight_decay": 0.02}
    task = tiny.task(data, {"name": "crl", **keys}, epochs=3, weight_decay=0.001)
    monkeypatch.setattr(CRL, "extras", lambda self, run: run.parts.state_dict())
    result = train(task, data)
    crl, o = CRL(**keys), task.train
    order = torch.Generator().manual_seed(task.seed)
    model, x, y = tiny.start(task, data)
    centers = crl.make_parts(data.classes, model[-1].in_features)
    ours = torch.optim.SGD(model.parameters(), o.lr, o.momentum, weight_decay=o.weight_decay)
    theirs = torch.optim.SGD(centers.parameters(), 0.05, 0.8, weight_decay=0.02)
    for epoch in range(1, o.epochs + 1):
        for rows in torch.randperm(len(y), generator=order).split(o.batch_size):
            features = model[:-1](x[rows])
            made = Batch(model[-1](features), y[rows], features, epoch, centers)
            for optimizer in (ours, theirs):
                optimizer.zero_grad()
            crl.traced_loss(made).backward()
            for optimizer in (ours, theirs):
                optimizer.step()
    for found, wanted in ((result.weights, model), (result.extras, centers)):
        torch.testing.assert_close(found, dict(wanted.state_dict()), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("epoch", "thresholds"), BRANCHES)
@pytest.mark.parametrize("variant", [v for v in VARIANTS if "crl_stop_gradient" not in v], ids=str)
def test_the_closed_form_is_what_autograd_finds(epoch, thresholds, variant, dtype):
    """Also for a feature of zeros, as a dead ReLU layer gives, and for a scaled loss."""
    crl = CRL(**{"lambda_rcl": 0.25, **thresholds, **variant})
    found = []
    for way in (crl.loss, crl.traced_loss):
        b = batch(epoch)
        parts = b.parts.to(dtype)
        start = b.features.detach().to(dtype)
        start[1] = 0
        logits = b.logits.detach().to(dtype).requires_grad_()
        features = start.requires_grad_()
        loss = 3 * way(Batch(logits, b.labels, features, epoch, parts))
        loss.backward()
        found.append((loss, logits.grad, features.grad, parts.weight.grad))
    rtol = 1e-5 if dtype == torch.float32 else 1e-12
    for fast, slow in zip(*found, strict=True):
        torch.testing.assert_close(fast, slow, rtol=rtol, atol=rtol / 10)


def test_only_the_traced_loss_has_second_derivatives():
    crl, b = CRL(), batch()
    (once,) = torch.autograd.grad(crl.loss(b), b.logits, create_graph=True)
    (twice,) = torch.autograd.grad(crl.traced_loss(b), b.logits, create_graph=True)
    assert not once.requires_grad
    assert twice.requires_grad


@pytest.mark.parametrize("tau", [1e-200, 1e-9, 1e6])
def test_a_strange_tau_rcl_gets_a_message_or_passes(tau: float) -> None:
    """Its square may be 0 or large; neither may end in a traceback."""
    problems = CRL(alpha_rce=1.0, alpha_rcl=0.1, tau_rcl=tau).check(10)
    assert [p.split(":")[0] for p in problems] == (["defense.alpha_rcl"] if tau > 1 else [])
    with pytest.raises(ValidationError):
        CRL(tau_rcl=1e200)


def test_without_centres_their_threshold_does_not_matter() -> None:
    """ImpRelaxLoss, lambda_rcl = 0, has no centre loss to be above or below it."""
    assert CRL(alpha_rce=1.0, alpha_rcl=9.0, lambda_rcl=0.0).check(10) == []
    assert len(CRL(alpha_rce=1.0, alpha_rcl=9.0).check(10)) == 1


@pytest.mark.parametrize("classes", [2, 3, 10, 30, 100])
def test_without_a_level_the_rule_gives_one_that_training_can_reach(classes: int) -> None:
    level = first_level(classes)
    assert level == pytest.approx(START * math.log(classes), abs=0.005)
    assert CRL().check(classes) == []
    assert CRL().settle(classes).alpha_rce == level
    assert CRL(alpha_rce=0.4).settle(classes).alpha_rce == 0.4


@pytest.mark.parametrize("epoch", [ODD, EVEN])
@pytest.mark.parametrize("way", ["loss", "traced_loss"])
def test_a_loop_of_ones_own_gets_the_level_from_the_logits(epoch: int, way: str) -> None:
    """Answers so sure that their loss, 0.01 nats, lies below the level."""
    drawn = batch(epoch)
    logits = 20 * F.one_hot(drawn.labels, CLASSES).double()
    b = Batch(logits, drawn.labels, drawn.features, epoch, drawn.parts)
    rule, number, lower = (
        getattr(CRL(alpha_rce=alpha), way)(b).item()
        for alpha in (None, first_level(CLASSES), 0.001)
    )
    assert rule == number != lower


def test_a_level_out_of_bounds_is_told_where_to_start() -> None:
    (problem,) = CRL(alpha_rce=9.0).check(10)
    assert problem.endswith("found 9.0; start at 0.23 (0.1 · log C) and go up")
    (problem,) = CRL(tau_rce=0.5).check(10)
    assert problem.endswith("log(10) = 2.3, found null, which is 0.23")
