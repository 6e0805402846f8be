"""Dealing whole groups: records that belong together (one person's) are never on two sides.

A member's other records would give it away, or make a non-member look like one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def deal_groups(
    rows: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    capacities: Sequence[int],
    stratified: bool,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Disjoint random sets of whole groups of `rows`, none above its capacity.

    As many groups as there is room for are drawn, stratified: evenly over their commonest classes.
    The largest first, each goes to the set that is the least full for its capacity, by lot among
    equals; the groups that were not drawn fill what is left, and one without room is left out. So
    sets of equal capacity differ by at most the largest group, and each lacks less than that or no
    group was left out; none is more likely than another to hold a given group. ValueError if a set
    stays empty.
    """
    parts = _parts(rows, groups)
    order = rng.permutation(len(parts))
    if stratified:
        commonest = np.array([np.bincount(labels[part]).argmax() for part in parts])
        order = order[np.argsort(commonest[order], kind="stable")]
        order = np.roll(order, rng.integers(len(order)))
    order = _largest_first(order, np.array([len(part) for part in parts]), sum(capacities))
    piles = _filled([parts[i] for i in order], capacities, rng.permutation(len(capacities)))
    for pile, room in zip(piles, capacities, strict=True):
        if room > 0 and not len(pile):
            raise ValueError(f"split.group: no group is left, or small enough, for a set of {room}")
    return piles


def _largest_first(order: np.ndarray, sizes: np.ndarray, room: int) -> np.ndarray:
    """Those drawn, the largest first, else as in `order`; then those that were not.

    Drawn before they are sorted, or small sets would be made of large groups alone.
    """
    count = min(len(order) * room // int(sizes.sum()), len(order))
    drawn = np.arange(count) * len(order) // max(count, 1)
    chosen = order[drawn]
    chosen = chosen[np.argsort(-sizes[chosen], kind="stable")]
    return np.concatenate([chosen, np.delete(order, drawn)])


def _parts(rows: np.ndarray, groups: np.ndarray) -> list[np.ndarray]:
    """The rows of each group."""
    rows = rows[np.argsort(groups[rows], kind="stable")]
    return np.split(rows, np.flatnonzero(np.diff(groups[rows])) + 1)


def _filled(
    parts: Sequence[np.ndarray], capacities: Sequence[int], lots: np.ndarray
) -> list[np.ndarray]:
    """Each part in the set that is the least full, the smallest lot among equals."""
    chosen: list[list[np.ndarray]] = [[np.empty(0, np.int64)] for _ in capacities]
    filled = [0] * len(capacities)
    for part in parts:
        places = [k for k, room in enumerate(capacities) if filled[k] + len(part) <= room]
        if places:
            place = min(places, key=lambda k: (filled[k] / capacities[k], lots[k]))
            chosen[place].append(part)
            filled[place] += len(part)
    return [np.concatenate(pile) for pile in chosen]
