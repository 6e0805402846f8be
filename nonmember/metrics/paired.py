"""Is one attack, or one model, really weaker than another: paired differences, always a − b.

On one set of samples: `metrics.delong_paired` for the AUC, `paired_difference` here for the TPR at
a low FPR. Both are about the two trained models at hand; `across_seeds` is about the way they were
trained. For "the defended one is lower than the undefended one" pass the defended one as a and
read `p_lower`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from nonmember.metrics.intervals import Z
from nonmember.metrics.membership import by_membership
from nonmember.metrics.rates import Difference, hits_at, tpr_at_fpr

_BLOCK = 2**20  # numbers resampled at a time


def paired_difference(
    scores_a: np.ndarray,
    scores_b: np.ndarray,
    member: np.ndarray,
    fpr: float,
    seed: int = 0,
    resamples: int = 1000,
    min_false_positives: int = 10,
) -> Difference | None:
    """TPR at `fpr` of a minus that of b on the same samples with the same membership, (n,) each.

    Paired bootstrap, members and non-members apart, both thresholds chosen anew each time: a
    normal interval and p from the standard error over the resamples; where no resample differs
    from the others p is at least 1 / (resamples + 1). None if `fpr` of the non-members is fewer
    than `min_false_positives`, as in `rates.tpr_at_fpr`.
    """
    a, b = (tpr_at_fpr(s, member, fpr, min_false_positives).value for s in (scores_a, scores_b))
    if a is None or b is None:
        return None
    inside, outside = (
        np.stack(parts)
        for parts in zip(
            by_membership(scores_a, member, "scores_a"),
            by_membership(scores_b, member, "scores_b"),
            strict=True,
        )
    )  # (2, members), (2, non-members)
    resampled = _resampled(inside, outside, fpr, np.random.default_rng(seed), resamples)
    value, spread = a - b, float(np.std(resampled[0] - resampled[1], ddof=1))
    error = float(np.hypot(spread, 1 / inside.shape[1]))  # one member may always fall otherwise
    if spread > 0:
        p_value = float(2 * stats.norm.sf(abs(value) / error))
    else:  # resamples that all agree say no more than that
        p_value = 1.0 if value == 0 else 1 / (resamples + 1)
    return Difference(value, max(value - Z * error, -1.0), min(value + Z * error, 1.0), p_value)


def _resampled(
    inside: np.ndarray, outside: np.ndarray, fpr: float, rng: np.random.Generator, count: int
) -> np.ndarray:
    """(2, count): the TPR of both on samples drawn with replacement, the same for both."""
    members, others = inside.shape[1], outside.shape[1]
    parts = []
    for rows in np.array_split(np.arange(count), -(-count * (members + others) // _BLOCK)):
        kept = rng.integers(members, size=(len(rows), members))
        drawn = rng.integers(others, size=(len(rows), others))
        parts.append(hits_at(inside[:, kept], outside[:, drawn], fpr) / members)
    return np.concatenate(parts, axis=1)


def across_seeds(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Mean of a − b over seeds, one number a seed each, with the paired t interval and p value.

    Raises ValueError for fewer than two seeds, lengths that differ, NaN or infinity. Differences
    that are all the same have no spread to judge by: p = 0, or 1 if they are 0.
    """
    one, two = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if one.ndim != 1 or one.shape != two.shape or len(one) < 2:
        raise ValueError(
            f"a and b must hold one number a seed, two or more, got {one.shape} and {two.shape}"
        )
    if not (np.isfinite(one).all() and np.isfinite(two).all()):
        raise ValueError(f"a and b must be finite, got {one} and {two}")
    gap = one - two
    value, error = float(gap.mean()), float(gap.std(ddof=1) / len(gap) ** 0.5)
    spread = error * float(stats.t.ppf(0.975, len(gap) - 1))
    if error > 1e-9:  # less is the rounding of floats
        p_value = float(2 * stats.t.sf(abs(value) / error, len(gap) - 1))
    elif abs(value) > 1e-9:  # rates of few seeds agree by chance: a sign test is all there is
        return Difference(value, -1.0, 1.0, 2.0 ** (1 - len(gap)))
    else:
        p_value = 1.0
    return Difference(value, value - spread, value + spread, p_value)
