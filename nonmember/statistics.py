"""What a prediction tells about membership: statistics of float64 log-probabilities.

Everything starts from `log_softmax`, whose value for the top class is −log1p(Σ exp(−gap)) and so
stays exact where a float32 softmax has long rounded to 1 (a gap of about 17) and a plain float64
one too (about 37). Nothing here returns inf or NaN for gaps up to 1e4.

Beyond a gap of about 745 a loss or an entropy is smaller than the smallest float64, and beyond 372
a modified entropy, which falls twice as fast. Where the order matters use the versions that cannot
saturate: `log_odds`, a strictly increasing function of `confidence` and a strictly decreasing one
of `cross_entropy`; `log_entropy`; and `log_modified_entropy`.

Shapes: `log_p` (n, classes) float64, labels (n,) int, results (n,) float64, all in nats.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import numpy as np

P = ParamSpec("P")
_BLOCK = 2**16  # numbers worked on at a time: they and their temporaries stay in a core's cache

# Below this log(1 − p) adds nothing to 1 in float64, so that −log p = 1 − p.
_NEGLIGIBLE = -37.0


def _in_blocks(function: Callable[P, np.ndarray]) -> Callable[P, np.ndarray]:
    """Call a function of (n, classes) and (n,) arrays, and numbers, on some rows at a time."""

    @wraps(function)
    def call(*args: P.args, **named: P.kwargs) -> np.ndarray:
        arrays = {key: np.asarray(value) for key, value in (*enumerate(args), *named.items())}
        n, width = next(array.shape for array in arrays.values() if array.ndim == 2)
        rows = max(_BLOCK // width, 1)
        parts = []
        for start in range(0, max(n, 1), rows):
            cut = {
                key: array[start : start + rows] if array.ndim else array
                for key, array in arrays.items()
            }
            ordered = [cut.pop(i) for i in range(len(args))]
            parts.append(function(*ordered, **cut))  # type: ignore[arg-type]
        return np.concatenate(parts)

    return call


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logits (n, classes), any float dtype -> log-probabilities (n, classes) float64.

    Applied to log-probabilities it changes nothing. Raises ValueError for any other number of
    dimensions, fewer than two classes, and NaN or infinite logits.
    """
    _check(np.asarray(logits))
    return _log_softmax(logits)


@_in_blocks
def _log_softmax(logits: np.ndarray) -> np.ndarray:
    gaps = np.array(logits, dtype=np.float64)
    top = gaps.argmax(axis=1)[:, None]
    gaps -= np.take_along_axis(gaps, top, axis=1)
    tail = _log_sum_others(gaps, top[:, 0])
    log_total = np.logaddexp(0.0, tail)  # log Σ exp(gaps); the top's own gap is 0
    gaps -= log_total[:, None]
    np.put_along_axis(gaps, top, -log_total[:, None], axis=1)
    return gaps


def confidence(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probability of the true class, p_y in [0, 1]; rounds to 1 from log-odds of about 37."""
    return np.exp(_pick(log_p, labels))


def cross_entropy(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Loss −log p_y, never negative."""
    return -_pick(log_p, labels)


@_in_blocks
def log_odds(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """log(p_y / (1 − p_y)): orders like the confidence and never saturates (Carlini 2022, V)."""
    return _pick(log_p, labels) - _log_sum_others(log_p, labels)


def correct(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n,) bool: is the true class predicted; of equal top classes the first is the prediction."""
    return log_p.argmax(axis=1) == labels


@_in_blocks
def largest_others(log_p: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """(n, at most `count`) the largest log-probabilities besides the true class's, falling."""
    others = log_p.copy()
    _place(others, labels, np.full(len(labels), -np.inf))
    first = max(others.shape[1] - count, 1)
    return np.sort(np.partition(others, first, axis=1)[:, first:], axis=1)[:, ::-1]


def entropy(log_p: np.ndarray) -> np.ndarray:
    """Shannon entropy −Σ p log p, in [0, log classes]."""
    return np.exp(log_entropy(log_p))


@_in_blocks
def log_entropy(log_p: np.ndarray) -> np.ndarray:
    """log of `entropy`, summed in the log domain."""
    top = log_p.argmax(axis=1)
    terms = np.log(-log_p, out=np.empty_like(log_p), where=log_p < 0)
    tail = _log_sum_others(log_p, top)
    _place(terms, top, _log_minus(_pick(log_p, top), tail))
    terms += log_p
    return _log_sum(terms)


def modified_entropy(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Song and Mittal 2021, Eq. 8: −(1 − p_y) log p_y − Σ_{j≠y} p_j log(1 − p_j), at least 0."""
    return np.exp(log_modified_entropy(log_p, labels))


@_in_blocks
def log_modified_entropy(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """log of `modified_entropy`, summed in the log domain."""
    log_q = log_complement(log_p)
    p_y, q_y = _pick(log_p, labels), _pick(log_q, labels)
    terms = _log_minus(log_q, log_p)
    terms += log_p
    _place(terms, labels, q_y + _log_minus(p_y, q_y))
    return _log_sum(terms)


@_in_blocks
def log_complement(log_p: np.ndarray) -> np.ndarray:
    """log(1 − p), (n, classes): for the top class, whose p may be 1, the sum of the others."""
    top = log_p.argmax(axis=1)
    others = log_p.copy()
    _place(others, top, np.full(len(top), -np.inf))
    out = np.log1p(-np.exp(others))
    _place(out, top, _log_sum(others))
    return out


def _check(logits: np.ndarray) -> None:
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(f"logits must be (n, classes) with 2 classes or more, got {logits.shape}")
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(bad):
        raise ValueError(
            f"logits must be finite: {len(bad)} of {len(logits)} rows hold NaN or infinity, the "
            f"first is row {bad[0]}; did the training diverge?"
        )


def _pick(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    return np.take_along_axis(values, np.asarray(index)[:, None], axis=1)[:, 0]


def _place(values: np.ndarray, index: np.ndarray, new: np.ndarray) -> None:
    np.put_along_axis(values, np.asarray(index)[:, None], new[:, None], axis=1)


def _log_sum(values: np.ndarray) -> np.ndarray:
    """log Σ exp over the classes; −inf entries count as nothing."""
    largest = values.max(axis=1, keepdims=True)
    return largest[:, 0] + np.log(np.exp(values - largest).sum(axis=1))


def _log_sum_others(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """log Σ exp over all classes but `index`: log(1 − p) without ever forming 1 − p."""
    others = values.copy()
    _place(others, index, np.full(len(values), -np.inf))
    return _log_sum(others)


def _log_minus(log_a: np.ndarray, log_rest: np.ndarray) -> np.ndarray:
    """log(−log a) given log a and log(1 − a)."""
    return np.log(-log_a, out=np.array(log_rest), where=log_rest >= _NEGLIGIBLE)
