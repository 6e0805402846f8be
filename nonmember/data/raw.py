"""Raw inputs from outside: only such as the data set holds, of its dtype and shape.

A model fed with another scale answers all the same, and wrongly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def raw_tensor(raw: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Tensor:
    """(k, *shape) as a tensor of the data set's dtype; raw: a tensor or a numpy array.

    Raises TypeError for anything else or another dtype, ValueError for another shape.
    """
    if not isinstance(raw, Tensor | np.ndarray):
        raise TypeError(f"raw inputs must be a tensor or a numpy array, found {type(raw).__name__}")
    found = str(raw.dtype).removeprefix("torch.")
    if found != str(dtype):
        bytes_of = " (bytes, 0 to 255: nothing is divided yet)" if dtype == np.uint8 else ""
        raise TypeError(f"raw inputs must be {dtype}{bytes_of}, as the data are, found {found}")
    if tuple(raw.shape[1:]) != tuple(shape) or raw.ndim != len(shape) + 1:
        raise ValueError(
            f"raw inputs must be (k, {', '.join(map(str, shape))}), as the data are, found "
            f"{tuple(raw.shape)}"
        )
    return raw if isinstance(raw, Tensor) else torch.from_numpy(np.ascontiguousarray(raw))
