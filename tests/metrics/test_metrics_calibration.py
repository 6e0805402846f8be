"""Calibration: slow loops, closed forms, scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, brier_score_loss

from nonmember.metrics import calibration
from nonmember.statistics import log_softmax


def answers(seed: int, n: int = 300, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities, (n, classes), and labels that they know something of."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), labels] += 1
    return log_softmax(logits), labels


def slow_brier(log_probs: np.ndarray, labels: np.ndarray) -> float:
    total = 0.0
    for row, label in zip(np.exp(log_probs), labels, strict=True):
        total += sum((p - (c == label)) ** 2 for c, p in enumerate(row))
    return total / len(labels)


def slow_ece(log_probs: np.ndarray, labels: np.ndarray, bins: int) -> float:
    total = 0.0
    for i in range(bins):
        inside = [
            (max(row), int(np.argmax(row)) == label)
            for row, label in zip(np.exp(log_probs), labels, strict=True)
            if i / bins < max(row) <= (i + 1) / bins
        ]
        if inside:
            confidence = sum(p for p, _ in inside) / len(inside)
            accuracy = sum(right for _, right in inside) / len(inside)
            total += len(inside) / len(labels) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("bins", [1, 5, 15])
def test_they_equal_the_slow_ones(seed: int, bins: int) -> None:
    given = answers(seed)
    assert calibration.brier(*given) == pytest.approx(slow_brier(*given), rel=1e-12)
    found = calibration.expected_calibration_error(*given, bins)
    assert found == pytest.approx(slow_ece(*given, bins), rel=1e-12)


def test_brier_of_two_classes_is_twice_scikit_learns() -> None:
    log_probs, labels = answers(0, classes=2)
    expected = 2 * brier_score_loss(labels, np.exp(log_probs[:, 1]))
    assert calibration.brier(log_probs, labels) == pytest.approx(expected)


def test_a_perfect_predictor_has_nothing_to_answer_for() -> None:
    labels = np.arange(12) % 3
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.eye(3)[labels])
    assert calibration.brier(log_probs, labels) == 0
    assert calibration.expected_calibration_error(log_probs, labels) == 0
    wrong = (labels + 1) % 3
    assert calibration.brier(log_probs, wrong) == 2
    assert calibration.expected_calibration_error(log_probs, wrong) == 1


@pytest.mark.parametrize("classes", [2, 3, 7, 10, 15])
def test_who_always_says_one_in_c_is_calibrated(classes: int) -> None:
    """Brier 1 − 1/C; equal classes make its accuracy 1/C too."""
    labels = np.arange(4 * classes) % classes
    log_probs = np.full((len(labels), classes), -np.log(classes))
    assert calibration.brier(log_probs, labels) == pytest.approx(1 - 1 / classes)
    assert calibration.expected_calibration_error(log_probs, labels) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("sure", "right"), [(0.99, 0.6), (0.7, 0.7), (0.55, 0.9)])
def test_the_error_of_one_confidence_is_how_far_it_is_from_the_accuracy(
    sure: float, right: float
) -> None:
    """Sure of class 0 throughout: over- or underconfident by |confidence − accuracy|."""
    labels = (np.arange(100) >= round(100 * right)).astype(int)
    log_probs = np.log(np.tile([sure, 1 - sure], (100, 1)))
    found = calibration.expected_calibration_error(log_probs, labels)
    assert found == pytest.approx(abs(sure - right), abs=1e-12)
    brier = 2 * (right * (1 - sure) ** 2 + (1 - right) * sure**2)
    assert calibration.brier(log_probs, labels) == pytest.approx(brier)


def test_balanced_accuracy_is_scikit_learns() -> None:
    log_probs, labels = answers(3, classes=5)
    rare = (labels > 0) | (np.arange(len(labels)) % 7 == 0)  # a rare class, and one that is absent
    log_probs, labels = log_probs[rare & (labels < 4)][:, :4], labels[rare & (labels < 4)]
    expected = balanced_accuracy_score(labels, log_probs.argmax(axis=1))
    assert calibration.balanced_accuracy(log_probs, labels) == pytest.approx(expected)
    assert expected != pytest.approx((log_probs.argmax(axis=1) == labels).mean())


def test_a_class_without_samples_does_not_count() -> None:
    log_probs = np.log(np.array([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]))
    assert calibration.balanced_accuracy(log_probs, np.array([0, 1, 1])) == 0.75
