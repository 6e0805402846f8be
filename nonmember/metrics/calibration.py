"""Can the released probabilities be believed: Brier score and expected calibration error."""

from __future__ import annotations

import numpy as np

BINS = 15


def brier(log_probs: np.ndarray, labels: np.ndarray) -> float:
    """Mean over samples of Σ_c (p_c − 1[c = y])², 0 to 2 (Brier 1950).

    log_probs: (n, classes); labels: (n,).
    """
    probs = np.exp(log_probs)
    own = np.take_along_axis(probs, labels[:, None], axis=1)[:, 0]
    return float(np.mean((probs**2).sum(axis=1) - own**2 + (1 - own) ** 2))


def expected_calibration_error(
    log_probs: np.ndarray, labels: np.ndarray, bins: int = BINS
) -> float:
    """Σ over bins of their share of samples times |accuracy − mean confidence|, 0 to 1.

    Confidence is the probability of the predicted class, in `bins` equal bins of (0, 1]
    (Guo et al. 2017, https://arxiv.org/abs/1706.04599, Eq. 3).
    """
    confidence = np.exp(log_probs.max(axis=1))
    right = log_probs.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(place, right - confidence, bins)
    return float(np.abs(gap).sum() / len(labels))


def balanced_accuracy(log_probs: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes present of the share answered right, 0 to 1."""
    right = log_probs.argmax(axis=1) == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))
