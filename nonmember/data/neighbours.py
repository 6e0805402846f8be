"""Near-copies: records much nearer to another one than records of these data are.

A sample of records is asked for its nearest neighbour among all, and among a twentieth, which
holds few copies of anybody. Between the two lies a factor that the number of records explains,
20^(1/D) in D dimensions; far beyond it, records are copies of each other with small changes.
"""

from __future__ import annotations

import numpy as np

ASKED = 2000  # records at most
BUDGET = 3e10  # multiplications at most
WIDTH = 128  # numbers a record is projected to if it has more
CHANCE = 1e-3  # share of records that are as near by chance
NEAREST = 0.25  # near-copies of measurements are nearer than this, whatever the dimension
BITS = 0.4  # and of zeros and ones: √0.16, 4 of 25 that differ elsewhere


def near_copies(inputs: np.ndarray, groups: np.ndarray, pixels: bool) -> tuple[int, int]:
    """How many of the records asked have a near-copy of another group, and how many were asked.

    inputs: (n, …), no two equal. groups: (n,). pixels: all have one scale, else each feature has
    its own.
    """
    rng = np.random.default_rng(0)
    order = rng.permutation(len(inputs))
    flat = inputs.reshape(len(inputs), -1)
    values = [len(np.unique(column)) for column in flat[order[:ASKED]].T[:1000]]
    measured = flat.shape[1] if pixels else sum(count > 10 for count in values)
    x, own = _scaled(flat, pixels or not measured, rng)[order], groups[order]
    part = max(len(x) // 20, min(50, len(x) // 4))
    asked = int(min(ASKED, len(x) - part, max(BUDGET / x.size, 100)))
    if asked < 20:
        return 0, max(asked, 0)
    rows = np.arange(len(x) - asked, len(x))
    far, farther = (_nearest(x, rows, own, end) for end in (part, part // 4))
    limit = _limit(far, farther, len(x) / part, measured)
    scale = np.minimum(far, np.median(far))
    return int((_nearest(x, rows, own, len(x)) < limit * scale).sum()), asked


def _scaled(x: np.ndarray, same: bool, rng: np.random.Generator) -> np.ndarray:
    """float32 (n, ≤ WIDTH), each feature standardised unless all have the same scale."""
    x = x.astype(np.float32)
    x -= x.mean(0)
    if not same:
        spread = x.std(0)
        x /= np.where(spread > 0, spread, 1)
    if x.shape[1] > 4 * WIDTH:
        x = x @ rng.normal(size=(x.shape[1], WIDTH)).astype(np.float32)
    return x


def _nearest(x: np.ndarray, rows: np.ndarray, groups: np.ndarray, end: int) -> np.ndarray:
    """(rows,) distance of each to the nearest of another group among the first `end`."""
    pool, found = x[:end], []
    squares = np.square(pool).sum(1)
    for block in np.array_split(rows, max(1, len(rows) * end // 2**24)):
        near = squares - 2 * x[block] @ pool.T
        near[groups[block][:, None] == groups[None, :end]] = np.inf
        best = pool[near.argmin(1)]
        found.append(np.sqrt(np.square(x[block] - best).sum(1)))
    return np.concatenate(found)


def _limit(far: np.ndarray, farther: np.ndarray, more: float, measured: int) -> float:
    """Below which share of the usual distance a record is a near-copy.

    more: how many times as many records are asked in the end. measured: features with more than a
    few values; where there are none, distances are counts of differences.
    """
    if not measured:
        return BITS
    ratio = float(np.log(max(np.median(farther) / np.median(far), 1.001))) if far.any() else 1.0
    dimension = min(np.log(4) / ratio, measured)
    return float(min(NEAREST, (CHANCE / more) ** (1 / dimension)))
