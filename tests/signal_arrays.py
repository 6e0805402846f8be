"""A small signals folder: three models, eight samples, four classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

MODELS, SAMPLES, CLASSES = 3, 8, 4


def make_arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    membership = np.full((MODELS, SAMPLES), -1, np.int8)
    membership[0, :4] = [1, 1, 0, 0]
    membership[1, 4:] = [1, 0, 1, 0]
    membership[2, 4:] = [0, 1, 1, 0]
    norm = rng.random((MODELS, SAMPLES)).astype(np.float32)
    norm[membership < 0] = np.nan
    return {
        "sample_ids": np.arange(100, 100 + SAMPLES),
        "labels": np.arange(SAMPLES) % CLASSES,
        "membership": membership,
        "logits": rng.normal(size=(MODELS, SAMPLES, CLASSES)).astype(np.float32),
        "grad_x_l2": norm,
        "noise": np.stack([norm, 2 * norm], axis=2),
    }


def write(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    return path
