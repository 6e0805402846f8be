"""How well scores tell members from non-members: numbers with 95 % intervals.

Scores are higher for likelier members, (n,) of any real dtype, and are read as float64; `member`
is (n,), bool or 0/1. No number depends on the order of the samples: equal scores always fall on
the same side of a threshold. Every function raises ValueError, saying which scores, for NaN or
infinity, lengths that differ, and sets without members or without non-members.

Rates are fractions. Intervals are over the evaluated samples, for the trained models at hand: they
do not contain the spread over trainings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

Z = float(stats.norm.ppf(0.975))
NOT_SUPPORTED = "not supported"


class Interval(NamedTuple):
    """An estimate and its 95 % interval; all None where the samples do not support one."""

    value: float | None
    low: float | None
    high: float | None


class Difference(NamedTuple):
    """An estimated difference, its 95 % interval and the two-sided p value of "no difference"."""

    value: float
    low: float
    high: float
    p_value: float


class Deployed(NamedTuple):
    """An attack that says "member" from a threshold on; advantage = tpr − fpr, may be negative."""

    balanced_accuracy: float
    advantage: Interval
    tpr: float
    fpr: float


@dataclass(frozen=True, eq=False)
class Scored:
    """One model's samples after one attack: scores, member, labels, all (n,)."""

    scores: np.ndarray
    member: np.ndarray
    labels: np.ndarray


def auc(scores: np.ndarray, member: np.ndarray) -> Interval:
    """Probability that a member scores higher than a non-member, ties counting one half.

    Interval: DeLong 1988 variance by ranks (Sun and Xu 2014), symmetric on the logit scale. That
    variance is 0 when every pair says the same, as at AUC 0 and 1. Then k = min(members,
    non-members) disjoint pairs agreed k times out of k, and the exact binomial bound
    q = 0.025^(1/k) on such agreement gives [value·q, 1 − q·(1 − value)], so [q, 1] at AUC 1 and
    [0, 1 − q] at AUC 0. A single member or non-member has no variance either and gets the same.
    """
    inside, outside = _split(scores, member)
    return _auc_interval(*_components(inside, outside))


def delong_paired(scores_a: np.ndarray, scores_b: np.ndarray, member: np.ndarray) -> Difference:
    """AUC of a minus AUC of b on the same samples with the same membership (DeLong 1988).

    For two attacks on one model, or one attack on two models trained on the same members. Where
    both AUCs have variance 0, the interval joins their own (MOVER), and p bounds the chance that
    min(members, non-members) disjoint pairs all show this difference if there is none.
    """
    parts_a = _components(*_split(scores_a, member, "scores_a"))
    parts_b = _components(*_split(scores_b, member, "scores_b"))
    value = math.fsum(parts_a[0] - parts_b[0]) / len(parts_a[0])
    error = _variance(parts_a[0] - parts_b[0], parts_a[1] - parts_b[1]) ** 0.5
    if error > 0:
        p_value = float(2 * stats.norm.sf(abs(value) / error))
        return Difference(value, max(value - Z * error, -1.0), min(value + Z * error, 1.0), p_value)
    pairs = min(len(parts_a[0]), len(parts_a[1]))
    low, high = _difference(_auc_interval(*parts_a), _auc_interval(*parts_b))
    return Difference(value, low, high, min(1.0, 2 / (1 + abs(value)) ** pairs))


def tpr_at_fpr(
    scores: np.ndarray, member: np.ndarray, fpr: float, min_false_positives: int = 10
) -> Interval:
    """The largest achievable TPR whose FPR is at most `fpr`.

    Interval: Clopper–Pearson at the chosen threshold. None in all places if `fpr` of the
    non-members is fewer than `min_false_positives`: the threshold would rest on a few samples.
    """
    inside, outside = _split(scores, member)
    if not 0 < fpr < 1:
        raise ValueError(f"fpr must be in (0, 1), got {fpr}")
    allowed = fpr * len(outside) + 1e-9  # 0.07 · 100 is a little above 7, 0.29 · 100 below 29
    if allowed < min_false_positives:
        return Interval(None, None, None)
    # "Member" means above this non-member: at most `allowed` of them are.
    limit = np.sort(outside)[::-1][min(int(allowed), len(outside) - 1)]
    hits = int((inside > limit).sum())
    return _clopper_pearson(hits, len(inside))


def fit_threshold(scores: np.ndarray, member: np.ndarray) -> float:
    """The threshold t with the best balanced accuracy of "member if score >= t".

    t lies half way between two neighbouring scores, or is −inf (all are members) or inf (none);
    of equally good ones the highest.
    """
    _split(scores, member)
    return _best_threshold(np.asarray(scores, np.float64), np.asarray(member, bool))


def fit_class_thresholds(
    scores: np.ndarray,
    member: np.ndarray,
    labels: np.ndarray,
    classes: int,
    min_class_samples: int = 10,
) -> np.ndarray:
    """(classes,) thresholds like `fit_threshold`'s, each from the samples of its class.

    A class with fewer than `min_class_samples` members or non-members gets the global threshold.
    """
    labels = np.asarray(labels)
    if labels.shape != np.shape(scores) or ((labels < 0) | (labels >= classes)).any():
        raise ValueError(f"labels must be {np.shape(scores)} in 0 … {classes - 1}")
    thresholds = np.full(classes, fit_threshold(scores, member))
    scores, member = np.asarray(scores, np.float64), np.asarray(member, bool)
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], np.arange(classes + 1))
    for label in range(classes):
        rows = order[ends[label] : ends[label + 1]]
        inside = int(member[rows].sum())
        if min(inside, len(rows) - inside) >= max(min_class_samples, 1):
            thresholds[label] = _best_threshold(scores[rows], member[rows])
    return thresholds


def deployed(scores: np.ndarray, member: np.ndarray, thresholds: float | np.ndarray) -> Deployed:
    """Rates of "member if score >= threshold" for one threshold or one a sample, (n,).

    Interval of the advantage: Newcombe 1998, method 10, from the two Wilson intervals.
    """
    inside, outside = _split(scores, member)
    if np.isnan(thresholds).any():
        raise ValueError("a threshold must be a number, got NaN")
    accused = np.asarray(scores, np.float64) >= thresholds
    member = np.asarray(member, bool)
    tpr = _wilson(int(accused[member].sum()), len(inside))
    fpr = _wilson(int(accused[~member].sum()), len(outside))
    gap = tpr[0] - fpr[0]
    advantage = Interval(gap, *_difference(tpr, fpr))
    return Deployed((1 + gap) / 2, advantage, tpr[0], fpr[0])


def p1(accuracy: float, advantage: float) -> float:
    """Harmonic mean of test accuracy and 1 − advantage (Hu et al. 2024, PAST), 0 if both are 0.

    `accuracy` in [0, 1]; `advantage` in [−1, 1], a fraction: the highest over the attacks.
    """
    if not (0 <= accuracy <= 1 and -1 <= advantage <= 1):
        raise ValueError(
            f"p1 needs accuracy in [0, 1] and advantage in [-1, 1], got {accuracy}, {advantage}"
        )
    total = accuracy + 1 - advantage
    return 2 * accuracy * (1 - advantage) / total if total else 0.0


def report(
    target: Scored,
    shadows: Scored | Sequence[Scored],
    classes: int,
    min_false_positives: int = 10,
    min_class_samples: int = 10,
) -> dict[str, Any]:
    """One attack's numbers on the target, rounded to 6 digits, ready for JSON.

    Thresholds are fitted on the shadows together and applied to the target. "not supported"
    stands where the samples do not carry a number, and for the thresholds without any shadow.
    """
    inside, _ = _split(target.scores, target.member, "target scores")
    scores, member = target.scores, target.member
    numbers: dict[str, Any] = _flat("auc", auc(scores, member))
    one, many = _deployed_both(target, shadows, classes, min_class_samples)
    numbers["balanced_accuracy"] = _round(one.balanced_accuracy if one else None)
    numbers |= _flat("advantage", one.advantage if one else None)
    numbers |= _flat("class_advantage", many.advantage if many else None)
    for key, fpr in (("tpr_at_1_fpr", 0.01), ("tpr_at_01_fpr", 0.001)):
        numbers |= _flat(key, tpr_at_fpr(scores, member, fpr, min_false_positives))
    return numbers | {"members": len(inside), "non_members": len(member) - len(inside)}


def _deployed_both(
    target: Scored, shadows: Scored | Sequence[Scored], classes: int, min_class_samples: int
) -> tuple[Deployed, Deployed] | tuple[None, None]:
    """The target at the shadows' global threshold and at their class thresholds."""
    parts = [shadows] if isinstance(shadows, Scored) else list(shadows)
    if not parts:
        return None, None
    scores = np.concatenate([part.scores for part in parts])
    member = np.concatenate([part.member for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    _split(scores, member, "shadow scores")
    by_class = fit_class_thresholds(scores, member, labels, classes, min_class_samples)
    return (
        deployed(target.scores, target.member, fit_threshold(scores, member)),
        deployed(target.scores, target.member, by_class[target.labels]),
    )


def _split(
    scores: np.ndarray, member: np.ndarray, name: str = "scores"
) -> tuple[np.ndarray, np.ndarray]:
    """The scores of the members and of the non-members, float64, checked."""
    scores, member = np.asarray(scores, np.float64), np.asarray(member)
    if scores.ndim != 1 or scores.shape != member.shape:
        raise ValueError(
            f"{name} {scores.shape} and member {member.shape} must be (n,), one length"
        )
    if not np.isin(member, (0, 1)).all():
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


def _components(inside: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's structural components: each member's share of beaten non-members, and reverse."""
    ranks = stats.rankdata(np.concatenate([inside, outside]))
    members, others = len(inside), len(outside)
    beaten = (ranks[:members] - stats.rankdata(inside)) / others
    beaten_by = 1 - (ranks[members:] - stats.rankdata(outside)) / members
    return beaten, beaten_by


def _variance(inside: np.ndarray, outside: np.ndarray) -> float:
    """Variance of the mean of DeLong's components; 0, for unknown, with a single sample.

    Sorted first, so that the last digit of the sums does not depend on the samples' order.
    """
    if min(len(inside), len(outside)) < 2:
        return 0.0
    inside, outside = np.sort(inside), np.sort(outside)
    return float(np.var(inside, ddof=1) / len(inside) + np.var(outside, ddof=1) / len(outside))


def _auc_interval(inside: np.ndarray, outside: np.ndarray) -> Interval:
    value = math.fsum(inside) / len(inside)
    variance = _variance(inside, outside)
    if variance == 0:
        q = 0.025 ** (1 / min(len(inside), len(outside)))
        return Interval(value, value * q, 1 - q * (1 - value))
    center, spread = np.log(value / (1 - value)), Z * variance**0.5 / (value * (1 - value))
    low, high = 1 / (1 + np.exp(spread - center)), 1 / (1 + np.exp(-spread - center))
    return Interval(value, float(low), float(high))


def _clopper_pearson(hits: int, trials: int) -> Interval:
    exact = stats.binomtest(hits, trials).proportion_ci(0.95, method="exact")
    return Interval(hits / trials, float(exact.low), float(exact.high))


def _wilson(hits: int, trials: int) -> tuple[float, float, float]:
    score = stats.binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    return hits / trials, float(score.low), float(score.high)


def _difference(a: Any, b: Any) -> tuple[float, float]:
    """Limits of a − b from (value, low, high) of each (Newcombe 1998; MOVER)."""
    value = a[0] - b[0]
    low = value - np.hypot(a[0] - a[1], b[2] - b[0])
    high = value + np.hypot(a[2] - a[0], b[0] - b[1])
    return max(float(low), -1.0), min(float(high), 1.0)


def _best_threshold(scores: np.ndarray, member: np.ndarray) -> float:
    order = np.argsort(-scores)
    ordered = scores[order]
    hits = np.concatenate([[0], np.cumsum(member[order])])
    alarms = np.arange(len(scores) + 1) - hits
    cuts = np.flatnonzero(np.append(ordered[:-1] > ordered[1:], True)) + 1  # ends of equal scores
    cuts = np.concatenate([[0], cuts])
    # Whole numbers, so that equally good cuts are exactly equal.
    gain = hits[cuts] * alarms[-1] - alarms[cuts] * hits[-1]
    cut = int(cuts[gain.argmax()])
    if cut in (0, len(scores)):
        return np.inf if cut == 0 else -np.inf
    above, below = ordered[cut - 1], ordered[cut]
    middle = above / 2 + below / 2  # halves first: the sum may overflow
    return float(middle if below < middle <= above else above)


def _flat(key: str, interval: Interval | None) -> dict[str, Any]:
    value, low, high = interval or (None, None, None)
    return {key: _round(value), f"{key}_low": _round(low), f"{key}_high": _round(high)}


def _round(value: float | None) -> float | str:
    return NOT_SUPPORTED if value is None else round(float(value), 6)
