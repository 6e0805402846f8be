"""Attacks that compare with other models: what they gain, their edges, missing reference models."""

from __future__ import annotations

import numpy as np
import pytest

from nonmember import metrics, statistics
from nonmember.attacks import attacks
from nonmember.evidence import View

N, CLASSES = 120, 5


def model(seed: int, share: float = 0.5, **more: object) -> View:
    """Samples differ much in difficulty and every model a little; members gain 1.5 logits."""
    labels = np.random.default_rng(1).integers(CLASSES, size=N)
    hard = np.random.default_rng(2).normal(0, 3, size=N)
    rng = np.random.default_rng(seed)
    member = rng.random(N) < share
    logits = rng.normal(0, 0.3, (N, CLASSES)).astype(np.float32)
    logits[np.arange(N), labels] += hard + 1.5 * member
    return View(np.arange(N), labels, logits, {}, member, **more)


def target(count: int, share: float = 0.5) -> View:
    return model(0, reference=[model(10 + k, share) for k in range(count)])


def table(view: View, statistic: object) -> tuple[np.ndarray, np.ndarray]:
    values = np.stack([statistic(v.log_probs, v.labels) for v in view.reference])
    return values, np.stack([v.member for v in view.reference])


@pytest.mark.parametrize("name", ["lira", "rmia", "calibration"])
def test_it_beats_the_loss_where_samples_differ_in_difficulty(name):
    view = target(8)
    scores = [attacks.get(attack)().score(view) for attack in (name, "loss")]
    assert metrics.delong_paired(*scores, view.member).low > 0.02


@pytest.mark.parametrize("name", ["lira", "rmia"])
def test_online_uses_the_models_with_the_sample(name):
    view, key = target(16), f"{name}_mode"
    online = attacks.get(name)(**{key: "online"}).score(view)
    assert metrics.auc(online, view.member).value > 0.95
    with pytest.raises(ValueError, match="no reference model was trained on any"):
        attacks.get(name)(**{key: "online"}).score(target(4, share=0.0))


def test_a_sample_every_model_was_trained_on_borrows_the_mean_of_the_others():
    view = target(12)
    for other in view.reference:
        other.member[3] = True
    values, inside = table(view, statistics.cross_entropy)
    means = [values[~inside[:, i], i].mean() for i in range(N) if i != 3]
    loss = statistics.cross_entropy(view.log_probs, view.labels)
    score = attacks.get("calibration")().score(view)[3]
    assert score == pytest.approx(np.mean(means) - loss[3])
    assert np.isfinite(attacks.get("lira")().score(view)).all()


@pytest.mark.parametrize("name", ["lira", "rmia", "calibration"])
@pytest.mark.parametrize("reference", [None, []])
def test_no_reference_model_is_an_error(name, reference):
    with pytest.raises(ValueError, match=f"attack {name} .*no reference model; set shadows.count"):
        attacks.get(name)().score(model(0, reference=reference))


def test_lira_needs_two_models_for_a_variance():
    with pytest.raises(ValueError, match=r"lira needs two differing .*shadows\.count to 3 or more"):
        attacks.get("lira")().score(target(1, share=0.0))


def test_reference_models_must_say_what_they_trained_on():
    unknown = View(np.arange(N), model(1).labels, model(1).logits)
    with pytest.raises(ValueError, match="rmia must know what its reference models trained on"):
        attacks.get("rmia")().score(model(0, reference=[unknown]))
