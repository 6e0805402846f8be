"""Mean and standard deviation for normalisation."""

from __future__ import annotations

import numpy as np

BLOCK = 2**22  # numbers converted to float64 at a time


def moments(inputs: np.ndarray, scale: float = 1.0) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation of inputs·scale along axis 1, over all rows.

    inputs: (n, features) or (n, channels, height, width). A constant feature gets 1,
    so that dividing by it is harmless. Every row counts, members or not: the numbers describe
    the data set, and a model's owner would publish them.
    """
    axes = (0, *range(2, inputs.ndim))
    blocks = np.array_split(inputs, max(1, inputs.size // BLOCK))
    count = inputs.size // inputs.shape[1]
    shape = (1, -1) + (1,) * (inputs.ndim - 2)
    mean = sum(block.sum(axes, np.float64) for block in blocks) / count  # (features,)
    square = sum(np.square(block - mean.reshape(shape)).sum(axes) for block in blocks)
    std = np.sqrt(square / count)
    std[std <= 1e-9 * np.abs(mean)] = 1 / scale
    return (mean * scale).tolist(), (std * scale).tolist()
