"""Attacks and thresholds against their papers' lines, written out with loops from the logits on.

Where ours differs by design the transcription follows what the attack's docstring says: LiRA's
fixed variance is pooled within samples, RMIA's population is the scored samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nonmember.attacks import attacks
from nonmember.metrics.thresholds import fit_class_thresholds, fit_threshold
from nonmember.views import Models, View

N, CLASSES, MODELS = 60, 4, 12
CLOSE: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-9}


def model(seed: int, **more: Any) -> View:
    """Members gain 1.5 logits; every sample has models with and models without it."""
    labels = np.random.default_rng(0).integers(CLASSES, size=N)
    rng = np.random.default_rng([1, seed])
    member = (np.arange(N) + seed) % 3 > 0
    logits = rng.normal(0, 2, (N, CLASSES)).astype(np.float32)
    logits[np.arange(N), labels] += 1.5 * member
    return View(np.arange(N), labels, logits, {}, member, **more)


@pytest.fixture
def view() -> View:
    return model(0, reference=Models([model(1 + k) for k in range(MODELS)]))


def softmax(view: View, i: int) -> list[float]:
    weights = [math.exp(float(z)) for z in view.logits[i]]
    return [weight / sum(weights) for weight in weights]


def p_true(view: View, i: int) -> float:
    return softmax(view, i)[view.labels[i]]


def phi(view: View, i: int) -> float:
    """Carlini et al. 2022, Eq. 4: log(p / (1 − p))."""
    return math.log(p_true(view, i) / (1 - p_true(view, i)))


def groups(
    view: View, i: int, value: Callable[[View, int], float]
) -> tuple[list[float], list[float]]:
    """A sample's values under the models with it and under those without it."""
    parts: tuple[list[float], list[float]] = ([], [])
    for other in view.reference or ():
        assert other.member is not None
        parts[0 if other.member[i] else 1].append(value(other, i))
    return parts


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def squares(values: list[float]) -> float:
    return sum((value - mean(values)) ** 2 for value in values)


def log_density(x: float, mu: float, variance: float) -> float:
    return -((x - mu) ** 2) / (2 * variance) - math.log(2 * math.pi * variance) / 2


@pytest.mark.parametrize("variance", ["fixed", "sample"])
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_lira_is_algorithm_1(view: View, mode: str, variance: str) -> None:
    pairs = [groups(view, i, phi) for i in range(N)]
    pooled = [
        sum(squares(pair[k]) for pair in pairs) / sum(len(pair[k]) - 1 for pair in pairs)
        for k in (0, 1)
    ]
    expected = []
    for i, pair in enumerate(pairs):
        own = [squares(part) / (len(part) - 1) for part in pair]
        inside, outside = own if variance == "sample" else pooled
        if mode == "online":
            ratio = log_density(phi(view, i), mean(pair[0]), inside)
            expected.append(ratio - log_density(phi(view, i), mean(pair[1]), outside))
        else:
            expected.append((phi(view, i) - mean(pair[1])) / outside**0.5)
    scores = attacks.get("lira")(lira_mode=mode, lira_variance=variance).score(view)
    np.testing.assert_allclose(scores, expected, **CLOSE)


@pytest.mark.parametrize("gamma", [1.0, 2.0])
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_rmia_is_equations_2_to_4(view: View, mode: str, gamma: float) -> None:
    ratio = []
    for i in range(N):
        inside, outside = (mean(part) for part in groups(view, i, p_true))
        p_x = (inside + outside) / 2 if mode == "online" else (1.3 * outside + 0.7) / 2
        ratio.append(p_true(view, i) / p_x)
    expected = [sum(x / z >= gamma for z in ratio) / N for x in ratio]
    attack = attacks.get("rmia")(rmia_mode=mode, rmia_gamma=gamma, rmia_score="share")
    np.testing.assert_allclose(attack.score(view), expected, **CLOSE)
    logs = attacks.get("rmia")(rmia_mode=mode).score(view)
    np.testing.assert_allclose(logs, np.log(ratio), **CLOSE)


def test_modified_entropy_is_equation_8(view: View) -> None:
    expected = []
    for i in range(N):
        p, y = softmax(view, i), view.labels[i]
        others = sum(p[j] * math.log(1 - p[j]) for j in range(CLASSES) if j != y)
        expected.append(-math.log(-(1 - p[y]) * math.log(p[y]) - others))
    np.testing.assert_allclose(attacks.get("modified_entropy")().score(view), expected, **CLOSE)


def test_calibration_is_equation_4(view: View) -> None:
    expected = []
    for i in range(N):
        _, outside = groups(view, i, lambda other, row: -math.log(p_true(other, row)))
        expected.append(mean(outside) + math.log(p_true(view, i)))
    np.testing.assert_allclose(attacks.get("calibration")().score(view), expected, **CLOSE)


def best_threshold(scores: np.ndarray, member: np.ndarray) -> float:
    """Every threshold between two scores and both ends tried, from the highest on."""
    levels = sorted(set(scores.tolist()), reverse=True)
    tries = [math.inf, *((a + b) / 2 for a, b in itertools.pairwise(levels)), -math.inf]
    best, found = -1.0, math.nan
    for t in tries:
        tpr = sum(s >= t for s in scores[member]) / member.sum()
        fpr = sum(s >= t for s in scores[~member]) / (~member).sum()
        if tpr - fpr > best + 1e-12:
            best, found = tpr - fpr, t
    return found


@pytest.mark.parametrize("digits", [9, 1])
def test_thresholds_are_the_best_of_all_globally_and_in_each_class(digits: int) -> None:
    """Song and Mittal 2021, section 3: one threshold, or one a class."""
    rng = np.random.default_rng(2)
    member, labels = rng.random(240) < 0.4, rng.integers(3, size=240)
    scores = (rng.normal(size=240) + member + 2 * labels).round(digits)
    assert fit_threshold(scores, member) == pytest.approx(best_threshold(scores, member))
    expected = [best_threshold(scores[labels == k], member[labels == k]) for k in range(3)]
    got = fit_class_thresholds(scores, member, labels, 3)
    np.testing.assert_allclose(got, expected, **CLOSE)
