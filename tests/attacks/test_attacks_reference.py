"""Attacks that compare with other models: slow twins, closed forms, missing reference models."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

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


@pytest.mark.parametrize("variance", ["sample", "fixed"])
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_lira_is_the_ratio_of_normal_densities_sample_by_sample(mode, variance):
    view = target(24)
    phi = statistics.log_odds(view.log_probs, view.labels)
    values, inside = table(view, statistics.log_odds)
    groups = [[values[use[:, i], i] for i in range(N)] for use in (~inside, inside)]
    spread = []
    for group in groups:
        pooled = sum(((g - g.mean()) ** 2).sum() for g in group) / sum(len(g) - 1 for g in group)
        spread.append([g.std(ddof=1) if variance == "sample" else pooled**0.5 for g in group])
    expected = []
    for i in range(N):
        means = [group[i].mean() for group in groups]
        if mode == "offline":
            probability = norm.cdf(phi[i], means[0], spread[0][i])
            expected.append(norm.ppf(probability) if probability < 1 - 1e-9 else np.nan)
        else:
            logs = [norm.logpdf(phi[i], m, s[i]) for m, s in zip(means, spread, strict=True)]
            expected.append(logs[1] - logs[0])
    expected = np.array(expected)
    known = np.isfinite(expected)
    assert known.mean() > 0.5
    scores = attacks.get("lira")(lira_mode=mode, lira_variance=variance).score(view)
    np.testing.assert_allclose(scores[known], expected[known], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gamma", [1.0, 2.0])
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_rmia_is_the_share_of_pairs(mode, gamma):
    view = target(24)
    values, inside = table(view, statistics.confidence)
    ratio = np.empty(N)
    for i in range(N):
        out, within = values[~inside[:, i], i].mean(), values[inside[:, i], i].mean()
        mean = (out + within) / 2 if mode == "online" else 0.5 * (1.3 * out + 0.7)
        ratio[i] = statistics.confidence(view.log_probs, view.labels)[i] / mean
    expected = [(r / ratio >= gamma * (1 - 1e-12)).mean() for r in ratio]
    scores = attacks.get("rmia")(rmia_mode=mode, rmia_gamma=gamma).score(view)
    np.testing.assert_allclose(scores, expected, atol=1e-12)


def test_calibration_is_the_mean_loss_without_the_sample_less_the_loss():
    view = target(12)
    values, inside = table(view, statistics.cross_entropy)
    loss = statistics.cross_entropy(view.log_probs, view.labels)
    expected = [values[~inside[:, i], i].mean() - loss[i] for i in range(N)]
    np.testing.assert_allclose(attacks.get("calibration")().score(view), expected, rtol=1e-9)


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
