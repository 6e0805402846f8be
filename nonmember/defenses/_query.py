"""Randomness of a released predictor: a function of the query, so that asking again does not help.

MemGuard (section 4.3) hashes the quantised prediction of a query; so do we. A query whose logits
lie at the edge of a step may get another answer in another batch, where sums round differently: one
in a hundred with a hundred classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

_STEP = 1e-3  # logits closer than this count as the same query


def uniform(logits: Tensor, salt: int) -> Tensor:
    """(n, classes) logits -> (n,) float64 in [0, 1), the same for the same rounded logits."""
    words = (logits.double() / _STEP).round().long()
    places = torch.arange(1, words.shape[1] + 1, device=words.device)
    hashed = (_mix(words + places * 0x632BE59BD9B4E019)).sum(dim=1)
    return _mix(hashed + salt).bitwise_and((1 << 53) - 1).double() / 2**53


def _mix(x: Tensor) -> Tensor:
    """A finaliser of 64-bit integers (SplitMix64, Steele et al. 2014); wraps on overflow."""
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        x = (x ^ _shift(x, shift)) * factor
    return x ^ _shift(x, 31)


def _shift(x: Tensor, by: int) -> Tensor:
    """Logical shift to the right; torch's own keeps the sign."""
    return (x >> by) & ((1 << (64 - by)) - 1)
