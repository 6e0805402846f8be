"""Raw inputs from outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nonmember.data.raw import raw_tensor

UINT8 = np.dtype(np.uint8)


@pytest.mark.parametrize("make", [torch.from_numpy, np.asarray])
def test_tensors_and_arrays_come_back_as_tensors(make: Any) -> None:
    raw = np.arange(12, dtype=np.uint8).reshape(1, 3, 2, 2)
    assert torch.equal(raw_tensor(make(raw), UINT8, (3, 2, 2)), torch.from_numpy(raw))


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_another_scale_is_refused(dtype: Any) -> None:
    """Whole numbers or floats from 0 to 255 would be taken for divided ones."""
    with pytest.raises(TypeError, match=rf"must be uint8 .*0 to 255.*found {np.dtype(dtype)}"):
        raw_tensor(np.zeros((1, 3, 2, 2), dtype), UINT8, (3, 2, 2))


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (3, 2, 2), (1, 2, 2, 3)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    """One channel would be broadcast over three."""
    with pytest.raises(ValueError, match=r"must be \(k, 3, 2, 2\), as the data are, found"):
        raw_tensor(np.zeros(shape, np.uint8), UINT8, (3, 2, 2))


def test_a_list_is_refused() -> None:
    with pytest.raises(TypeError, match="a tensor or a numpy array, found list"):
        raw_tensor([[1]], UINT8, (1,))
