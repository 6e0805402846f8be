from __future__ import annotations

import numpy as np
import pytest

from nonmember.datasets import _moments
from nonmember.datasets._moments import moments


@pytest.mark.parametrize("shape", [(37, 5), (37, 3, 4, 6)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_blocks_equal_one_pass(
    shape: tuple[int, ...], dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_moments, "BLOCK", 50)
    inputs: np.ndarray = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    mean, std = moments(inputs, 1 / 255)
    axes = tuple(i for i in range(len(shape)) if i != 1)
    whole = inputs.astype(np.float64) / 255
    assert np.allclose(mean, whole.mean(axes), rtol=1e-12)
    assert np.allclose(std, whole.std(axes), rtol=1e-12)


def test_a_large_offset_loses_no_digits() -> None:
    inputs = (2.0**20 + np.random.default_rng(0).normal(size=(5000, 1))).astype(np.float32)
    assert moments(inputs)[1] == pytest.approx([inputs.astype(np.float64).std()], rel=1e-9)


def test_a_constant_feature_gets_deviation_1() -> None:
    inputs = np.column_stack([np.full(100, 0.1), np.zeros(100), np.arange(100)])
    mean, std = moments(inputs.astype(np.float32))
    assert std[:2] == [1.0, 1.0]
    assert std[2] > 28
    assert mean[0] == pytest.approx(0.1, rel=1e-6)
    assert moments(np.full((3, 1, 2, 2), 7, np.uint8), 1 / 255)[1] == [1.0]
