"""What samples look like, in few numbers, for attacks that must know how hard a sample is.

Neither a model nor anyone's membership has a part in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy.sparse import csr_array
from sklearn.decomposition import PCA
from sklearn.metrics import euclidean_distances
from threadpoolctl import threadpool_limits

from nonmember.evidence import TYPICAL
from nonmember.prepared import Prepared
from nonmember.splits import spread

COMPONENTS = 32
_FITTED = 10_000  # samples that the components are fitted on, at most
_FEATURES = 4096  # of a sample, compared with the means of classes
_FOLDS = 5
_ROWS = 1024  # samples in hand at a time

Inputs = Callable[[np.ndarray], np.ndarray]  # positions -> (n, features) float32, normalised


def outlines(known: Prepared, ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(samples, TYPICAL + d) float32: how typical each is of its class, and what it looks like.

    First the squared distance to the mean of the sample's class, then by how much it is larger than
    that to the nearest other class's, both by the samples of other folds than its own; then the
    first 32 principal components, or the input itself if it is no longer than that. Of an input of
    more than 4096 numbers that many, evenly spread, are compared; components are fitted on 10,000
    samples at most.
    """
    rows = np.arange(len(ids))

    def inputs(positions: np.ndarray) -> np.ndarray:
        raw, _ = known.take(ids[positions])
        return known.normalise(raw).flatten(1).numpy()

    with threadpool_limits(1):  # several threads add up in another order
        typical = _typical(inputs, labels, known.classes)
        if math.prod(known.shape) <= COMPONENTS or len(rows) < COMPONENTS:
            return np.column_stack([typical, inputs(rows)])
        basis = spread(len(rows), min(len(rows), _FITTED))
        pca = PCA(COMPONENTS, svd_solver="randomized", random_state=0).fit(inputs(basis))
        parts = [pca.transform(inputs(piece)) for piece in _pieces(rows)]
    return np.column_stack([typical, np.concatenate(parts).astype(np.float32)])


def _typical(inputs: Inputs, labels: np.ndarray, classes: int) -> np.ndarray:
    """(samples, TYPICAL) float32. Means are pulled to the overall mean as by one more sample."""
    fold = np.random.default_rng(0).permutation(len(labels)) % _FOLDS
    sums, counts = _sums(inputs, fold * classes + labels, _FOLDS * classes)
    sums, counts = sums.reshape(_FOLDS, classes, -1), counts.reshape(_FOLDS, classes, 1)
    found = np.empty((len(labels), TYPICAL), np.float32)
    for left_out in range(_FOLDS):
        rest = np.arange(_FOLDS) != left_out
        total, count = sums[rest].sum(axis=0), counts[rest].sum(axis=0)
        means = (total + total.sum(axis=0) / max(count.sum(), 1)) / (count + 1)
        for piece in _pieces(np.flatnonzero(fold == left_out)):
            far = euclidean_distances(_few(inputs(piece)), means, squared=True)
            own = labels[piece, None]
            found[piece, 0] = np.take_along_axis(far, own, axis=1)[:, 0]
            np.put_along_axis(far, own, np.inf, axis=1)
            found[piece, 1] = found[piece, 0] - far.min(axis=1)
    return found


def _sums(inputs: Inputs, groups: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the inputs in each group, (count, features), and how many they are, (count,)."""
    total: np.ndarray | float = 0.0
    for piece in _pieces(np.arange(len(groups))):
        belongs = (np.ones(len(piece)), (groups[piece], np.arange(len(piece))))
        total = total + csr_array(belongs, shape=(count, len(piece))) @ _few(inputs(piece))
    return np.asarray(total), np.bincount(groups, minlength=count)


def _few(inputs: np.ndarray) -> np.ndarray:
    """(n, features) float64 of (n, features): at most _FEATURES of them."""
    width = inputs.shape[1]
    return inputs[:, spread(width, min(width, _FEATURES))].astype(np.float64)


def _pieces(positions: np.ndarray) -> Iterator[np.ndarray]:
    return iter(np.array_split(positions, len(positions) // _ROWS + 1))
