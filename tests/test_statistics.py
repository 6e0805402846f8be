"""Statistics of log-probabilities: formulas, extremes, no ties."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nonmember import statistics as s

LOGITS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(2, 5)),
    elements=st.floats(-5e3, 5e3, width=32),
)


def ordinary(n: int = 200, classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(0, 3, (n, classes)).astype(np.float32), rng.integers(classes, size=n)


def ramp(gaps: np.ndarray, classes: int = 3) -> np.ndarray:
    """Class 0 leads all others by each gap."""
    logits = np.zeros((len(gaps), classes))
    logits[:, 0] = gaps
    return logits


def test_statistics_equal_their_formulas() -> None:
    logits, y = ordinary()
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    rows, log_p = np.arange(len(y)), s.log_softmax(logits)
    p_y = p[rows, y]
    expected = {
        "confidence": p_y,
        "cross_entropy": -np.log(p_y),
        "log_odds": np.log(p_y / (1 - p_y)),
        "correct": p_y == p.max(axis=1),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(s, name)(log_p, y), value, rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(s.entropy(log_p), -(p * np.log(p)).sum(axis=1), rtol=1e-10)
    np.testing.assert_allclose(s.log_complement(log_p), np.log(1 - p), rtol=1e-9)


def test_modified_entropy_is_equation_8() -> None:
    logits, y = ordinary()
    p = np.exp(s.log_softmax(logits))
    one_hot = np.eye(p.shape[1])[y] == 1
    swapped = np.where(one_hot, 1 - p, p)
    expected = -(swapped * np.log(np.where(one_hot, p, 1 - p))).sum(axis=1)
    np.testing.assert_allclose(s.modified_entropy(s.log_softmax(logits), y), expected, rtol=1e-9)


@pytest.mark.parametrize("gap", [0.0, 1.0, 17.0, 40.0, 300.0])
@pytest.mark.parametrize("y", [0, 1])
def test_extremes_equal_arbitrary_precision(gap: float, y: int) -> None:
    with localcontext(prec=400):
        e = [Decimal(gap).exp(), Decimal(1), Decimal(1)]
        p = [v / sum(e) for v in e]
        entropy = -sum(v * v.ln() for v in p)
        others = sum(p[j] * (1 - p[j]).ln() for j in range(3) if j != y)
        modified = -(1 - p[y]) * p[y].ln() - others
        expected = [-p[y].ln(), (p[y] / (1 - p[y])).ln(), entropy, modified]
    log_p, label = s.log_softmax(ramp(np.array([gap]))), np.array([y])
    got = [
        s.cross_entropy(log_p, label),
        s.log_odds(log_p, label),
        s.entropy(log_p),
        s.modified_entropy(log_p, label),
    ]
    np.testing.assert_allclose(np.concatenate(got), np.array(expected, float), rtol=1e-12)


def test_float32_softmax_would_tie_where_these_do_not() -> None:
    gaps = np.arange(17.0, 701.0)
    naive = np.exp(ramp(gaps).astype(np.float32) - gaps[:, None].astype(np.float32))
    naive /= naive.sum(axis=1, keepdims=True)
    assert len(np.unique(naive[:, 0])) == 1  # the trap
    log_p, y = s.log_softmax(ramp(gaps)), np.zeros(len(gaps), int)
    for falling in (
        s.cross_entropy(log_p, y),
        s.entropy(log_p),
        s.modified_entropy(log_p, y)[gaps < 370],
        s.log_modified_entropy(log_p, y),
        -s.log_odds(log_p, y),
    ):
        assert (np.diff(falling) < 0).all()


@pytest.mark.parametrize("y", [0, 1])
def test_orderings_never_saturate(y: int) -> None:
    gaps = np.linspace(0, 1e4, 5001)
    log_p, labels = s.log_softmax(ramp(gaps)), np.full(len(gaps), y)
    direction = -1 if y == 0 else 1  # a wrong label looks worse as the gap grows
    for values, sign in (
        (-s.log_odds(log_p, labels), direction),
        (s.log_entropy(log_p), -1),
        (s.log_modified_entropy(log_p, labels), direction),
    ):
        assert np.isfinite(values).all()
        assert (np.diff(values) * sign > 0).all()


@given(LOGITS, st.integers(0, 1))
def test_nothing_is_infinite_or_out_of_range(logits: np.ndarray, y: int) -> None:
    labels, log_p = np.full(len(logits), y), s.log_softmax(logits)
    with np.errstate(all="raise", under="ignore"):
        ranges = [
            (s.confidence(log_p, labels), 0, 1),
            (s.cross_entropy(log_p, labels), 0, 1e5),
            (s.log_odds(log_p, labels), -1e5, 1e5),
            (s.entropy(log_p), 0, np.log(logits.shape[1]) + 1e-12),
            (s.modified_entropy(log_p, labels), 0, 1e5),
            (s.log_entropy(log_p), -1e5, 10),
            (s.log_modified_entropy(log_p, labels), -1e5, 12),
        ]
    for values, low, high in ranges:
        assert values.shape == labels.shape
        assert values.dtype == np.float64
        assert ((values >= low) & (values <= high)).all()


@given(LOGITS)
def test_log_softmax_sums_to_one_and_is_idempotent(logits: np.ndarray) -> None:
    log_p = s.log_softmax(logits)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(s.log_softmax(log_p), log_p, rtol=1e-12, atol=1e-300)


def test_log_softmax_ignores_a_shift_and_leaves_its_input_alone() -> None:
    logits, _ = ordinary()
    logits = logits.astype(np.float64)
    before = logits.copy()
    np.testing.assert_allclose(s.log_softmax(logits + 64), s.log_softmax(logits), rtol=1e-10)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("count", [1, 3, 9])
def test_largest_others_are_those_of_a_sort(count: int) -> None:
    rng = np.random.default_rng(0)
    log_p, labels = s.log_softmax(rng.normal(size=(50, 6))), rng.integers(6, size=50)
    found = s.largest_others(log_p, labels, count)
    for row, label, few in zip(log_p, labels, found, strict=True):
        np.testing.assert_array_equal(few, sorted(np.delete(row, label), reverse=True)[:count])


def test_of_equal_top_classes_the_first_is_predicted() -> None:
    logits = np.array([[1.0, 5.0, 5.0], [5.0, 5.0, 1.0]])
    assert s.correct(logits, np.array([1, 1])).tolist() == [True, False]


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.zeros(3), r"logits must be \(n, classes\).*got \(3,\)"),
        (np.zeros((3, 1)), r"2 classes or more, got \(3, 1\)"),
        (np.array([[0.0, 1.0], [np.nan, 0.0]]), "1 of 2 rows hold NaN or infinity.*row 1"),
        (np.array([[np.inf, 1.0]]), "must be finite"),
    ],
)
def test_bad_logits(logits: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        s.log_softmax(logits)


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, y = ordinary()
    log_p = s.log_softmax(logits)
    expected = s.log_modified_entropy(log_p, y), s.log_entropy(log_p)
    monkeypatch.setattr(s, "_BLOCK", 3 * logits.shape[1])
    np.testing.assert_array_equal(s.log_softmax(logits), log_p)
    np.testing.assert_array_equal(s.log_modified_entropy(log_p, labels=y), expected[0])
    np.testing.assert_array_equal(s.log_entropy(log_p), expected[1])
    assert s.log_odds(s.log_softmax(logits[:0]), y[:0]).shape == (0,)
