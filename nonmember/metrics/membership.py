"""Members and non-members apart: the check that scores and membership fit, and random halves."""

from __future__ import annotations

import numpy as np


def by_membership(
    scores: np.ndarray, member: np.ndarray, name: str = "scores"
) -> tuple[np.ndarray, np.ndarray]:
    """The scores of the members and of the non-members, float64.

    Raises ValueError naming the scores: lengths that differ, NaN or infinity, a membership that is
    not bool or 0/1, no member or no non-member.
    """
    scores, member = np.asarray(scores, np.float64), np.asarray(member)
    if scores.ndim != 1 or scores.shape != member.shape:
        raise ValueError(
            f"{name} {scores.shape} and member {member.shape} must be (n,), one length"
        )
    if member.dtype != bool and not np.isin(member, (0, 1)).all():
        raise ValueError(f"member of {name} must be bool or 0/1, got {np.unique(member)[:5]}")
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise ValueError(
            f"{name} must be finite: {len(bad)} of {len(scores)} are NaN or infinite, the first "
            f"at position {bad[0]}"
        )
    inside = member.astype(bool)
    if inside.all() or not inside.any():
        raise ValueError(
            f"{name} need members and non-members, got {inside.sum()} and {(~inside).sum()}"
        )
    return scores[inside], scores[~inside]


def random_half(member: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) bool: a random half of the members and half of the non-members, rounded down."""
    chosen = np.zeros(len(member), bool)
    for rows in (np.flatnonzero(member), np.flatnonzero(~member)):
        if len(rows) < 2:
            raise ValueError(
                "members and non-members are split in halves, which needs two of each, "
                f"got {member.sum()} and {(~member).sum()}"
            )
        chosen[rng.permutation(rows)[: len(rows) // 2]] = True
    return chosen
