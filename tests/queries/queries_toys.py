"""Samples to ask about and models that are one matrix, for the tests of queries."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nonmember.kinds import BINARY, IMAGE, TABLE, Outline
from nonmember.queries import Answer, Samples

CLASSES = 3
FORMS = {"bytes": IMAGE, "images": IMAGE, "table": TABLE, "binary": BINARY}


def make(form: str, n: int = 7, features: int = 30) -> Samples:
    """Random samples: byte images, float images, a real-valued table or one of zeros and ones."""
    rng = np.random.default_rng(5)
    shape = (3, 8, 6) if form in ("bytes", "images") else (features,)
    if form == "bytes":
        inputs = rng.integers(256, size=(n, *shape)).astype(np.uint8)
    elif form == "binary":
        inputs = rng.integers(2, size=(n, *shape)).astype(np.uint8)
    else:
        inputs = rng.normal(size=(n, *shape)).astype(np.float32)
    std = {"images": (0.5, 2.0, 4.0), "table": tuple(np.linspace(1, 3, features))}
    labels, ids = rng.integers(CLASSES, size=n), rng.permutation(1000)[:n]
    raw = torch.from_numpy(inputs)
    return Samples(raw, labels, ids, FORMS[form], std.get(form, (1.0,)))


def outline(form: str) -> Outline:
    """Of a data set with such samples."""
    return Outline(7, CLASSES, tuple(make(form).inputs.shape[1:]), FORMS[form])


def pick(samples: Samples, rows: np.ndarray) -> Samples:
    """Some of the samples, in this order."""
    parts = samples.inputs[torch.from_numpy(rows)], samples.labels[rows], samples.ids[rows]
    return Samples(*parts, samples.kind, samples.std)


def linear(samples: Samples) -> Answer:
    """Logits = inputs · a fixed random matrix, one input at a time, in float64."""
    features = samples.inputs[0].numel()
    weights = np.random.default_rng(8).normal(size=(features, CLASSES)) / features

    def answer(raw: Tensor) -> np.ndarray:
        rows = raw.flatten(1).numpy().astype(np.float64)
        return np.stack([(row[:, None] * weights).sum(axis=0) for row in rows])

    return answer
