"""What samples look like, in few numbers, for attacks that must know how hard a sample is.

Neither a model nor anyone's membership has a part in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy.sparse import csr_array
from sklearn.decomposition import PCA
from sklearn.metrics import euclidean_distances
from threadpoolctl import threadpool_limits
from torch import Tensor

from nonmember.data.prepared import Prepared
from nonmember.data.splits import evenly
from nonmember.signal_files import TYPICAL

COMPONENTS = 32
_FITTED = 10_000  # samples that the components are fitted on, at most
_FEATURES = 4096  # of a sample, at most
_FOLDS = 5
_ROWS = 1024  # samples in hand at a time
_NUMBERS = 2**24  # of whole inputs in hand at a time

Inputs = Callable[[np.ndarray], np.ndarray]  # positions -> (n, features) float32, normalised


def outlines(known: Prepared, ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(samples, TYPICAL + d) float32: how typical each is of its class, and what it looks like.

    First the squared distance to the mean of the sample's class, then by how much it is larger than
    that to the nearest other class's, both by the samples of other folds than its own; then the
    first 32 principal components, or the input itself if it is no longer than that or there are
    fewer samples. Of an input of more than 4096 numbers that many count, drawn at random once;
    components are fitted on 10,000 samples at most. A text is how often each token is in it,
    padding aside; of a vocabulary of more than 4096, tokens whose ids leave the same remainder
    count as one.
    """
    bags = min(known.vocabulary or 0, _FEATURES)
    rows, width = np.arange(len(ids)), bags or math.prod(known.shape)
    few = np.random.default_rng(0).permutation(width)[:_FEATURES] if width > _FEATURES else None
    at_a_time = max(_NUMBERS // width, 1)

    def inputs(positions: np.ndarray) -> np.ndarray:
        parts = []
        for piece in _pieces(positions, at_a_time):
            raw, _ = known.take(ids[piece])
            flat = count_tokens(raw, bags) if bags else known.normalise(raw).flatten(1).numpy()
            parts.append(flat if few is None else flat[:, few])
        return np.concatenate(parts)

    with threadpool_limits(1):  # several threads add up in another order
        typical = _typical(inputs, labels, known.classes)
        if width <= COMPONENTS or len(rows) < COMPONENTS:
            return np.column_stack([typical, inputs(rows)])
        basis = evenly(len(rows), min(len(rows), _FITTED))
        pca = PCA(COMPONENTS, svd_solver="randomized", random_state=0).fit(inputs(basis))
        parts = [pca.transform(inputs(piece)) for piece in _pieces(rows, _ROWS)]
    return np.column_stack([typical, np.concatenate(parts).astype(np.float32)])


def count_tokens(ids: Tensor, width: int) -> np.ndarray:
    """(n, length) token ids -> (n, width) float32: how many are id, modulo `width`; 0 is none."""
    tokens = ids.long()
    place = torch.arange(len(tokens))[:, None] * width + tokens % width
    counts = torch.bincount(place[tokens != 0], minlength=len(tokens) * width)
    return counts.reshape(len(tokens), width).numpy().astype(np.float32)


def _typical(inputs: Inputs, labels: np.ndarray, classes: int) -> np.ndarray:
    """(samples, TYPICAL) float32. Class means count the overall mean as one more sample."""
    fold = np.random.default_rng(0).permutation(len(labels)) % _FOLDS
    sums, counts = _sums(inputs, fold * classes + labels, _FOLDS * classes)
    sums, counts = sums.reshape(_FOLDS, classes, -1), counts.reshape(_FOLDS, classes, 1)
    out = np.empty((len(labels), TYPICAL), np.float32)
    for left_out in range(_FOLDS):
        rest = np.arange(_FOLDS) != left_out
        total, count = sums[rest].sum(axis=0), counts[rest].sum(axis=0)
        means = (total + total.sum(axis=0) / max(count.sum(), 1)) / (count + 1)
        for piece in _pieces(np.flatnonzero(fold == left_out), _ROWS):
            far = euclidean_distances(inputs(piece).astype(np.float64), means, squared=True)
            own = labels[piece, None]
            out[piece, 0] = np.take_along_axis(far, own, axis=1)[:, 0]
            np.put_along_axis(far, own, np.inf, axis=1)
            out[piece, 1] = out[piece, 0] - far.min(axis=1)
    return out


def _sums(inputs: Inputs, groups: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the inputs in each group, (count, features), and how many they are, (count,)."""
    total: np.ndarray | None = None
    for piece in _pieces(np.arange(len(groups)), _ROWS):
        present, place = np.unique(groups[piece], return_inverse=True)
        belongs = (np.ones(len(piece)), (place, np.arange(len(piece))))
        some = csr_array(belongs, shape=(len(present), len(piece))) @ inputs(piece)
        total = np.zeros((count, some.shape[1])) if total is None else total
        total[present] += some
    assert total is not None
    return total, np.bincount(groups, minlength=count)


def _pieces(positions: np.ndarray, rows: int) -> Iterator[np.ndarray]:
    """At most about `rows` positions at a time, at least one piece."""
    return iter(np.array_split(positions, len(positions) // rows + 1))
