"""Equal inputs, and who belongs together because of them.

A record whose copy is on the other side of a split is a member and none at once.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def first_equal(inputs: np.ndarray) -> np.ndarray:
    """(n,) int64: the first row with the same input as each. Zeros of either sign are equal."""
    seen: dict[bytes, int] = {}
    return np.array(
        [
            seen.setdefault(blake2b((row + 0).tobytes(), digest_size=16).digest(), i)
            for i, row in enumerate(inputs)
        ],
        np.int64,
    )


def together(inputs: np.ndarray, groups: np.ndarray | None) -> np.ndarray | None:
    """(n,) int64 groups in which copies are too: whoever shares a group or an input.

    `groups` itself, None included, if no two inputs are equal.
    """
    first, n = first_equal(inputs), len(inputs)
    rows = np.arange(n)
    if (first == rows).all():
        return groups
    if groups is None:
        return first
    _, start, group = np.unique(groups, return_index=True, return_inverse=True)
    one, other = np.concatenate([rows, rows]), np.concatenate([first, start[group]])
    links = coo_matrix((np.ones(2 * n, np.int8), (one, other)), (n, n))
    return connected_components(links, directed=False)[1].astype(np.int64)
