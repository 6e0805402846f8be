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
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from nonmember.metrics.intervals import Interval, Z, exact_high, exact_low, newcombe, wilson
from nonmember.metrics.membership import by_membership


class Difference(NamedTuple):
    """a − b: an estimate, its 95 % interval and the two-sided p value of "no difference"."""

    value: float
    low: float
    high: float
    p_value: float

    @property
    def p_lower(self) -> float:
        """One-sided p value of "a is not below b": small where a, say the defended, is lower."""
        return self.p_value / 2 if self.value < 0 else 1 - self.p_value / 2


class Deployed(NamedTuple):
    """An attack that says "member" from a threshold on.

    advantage = tpr − fpr, may be negative; balanced accuracy = (1 + advantage) / 2.
    """

    balanced_accuracy: Interval
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

    Interval: DeLong 1988 variance by ranks (Sun and Xu 2014), symmetric on the logit scale. With
    k = min(members, non-members) it has value·(1 − value)/k² more, as if the outcome of one of k
    disjoint pairs were unknown: DeLong's is too small for a high AUC of few members (89 % instead
    of 95 % for 20 of them and AUC 0.96). It is 0 when every pair says the same, as at AUC 0 and 1.
    Then k disjoint pairs agreed k times out of k, and the exact binomial bound q = 0.025^(1/k) on
    such agreement gives [value·q, 1 − q·(1 − value)], so [q, 1] at AUC 1 and [0, 1 − q] at AUC 0.
    A single member or non-member has no variance either and gets the same.
    """
    inside, outside = by_membership(scores, member)
    return _auc_interval(*_components(inside, outside))


def delong_paired(scores_a: np.ndarray, scores_b: np.ndarray, member: np.ndarray) -> Difference:
    """AUC of a minus AUC of b on the same samples with the same membership (DeLong 1988).

    For two attacks on one model, or one attack on two models trained on the same members. The
    interval joins their own with their correlation (MOVER, Zou 2007): value ± error is too narrow
    for high AUCs of few members. Where both have variance 0, p bounds the chance that min(members,
    non-members) disjoint pairs all show this difference if there is none.
    """
    parts_a = _components(*by_membership(scores_a, member, "scores_a"))
    parts_b = _components(*by_membership(scores_b, member, "scores_b"))
    value = math.fsum(parts_a[0] - parts_b[0]) / len(parts_a[0])
    apart, a, b = (
        _variance(x, y)
        for x, y in ((parts_a[0] - parts_b[0], parts_a[1] - parts_b[1]), parts_a, parts_b)
    )
    common = min((a + b - apart) / (2 * (a * b) ** 0.5), 1.0) if min(a, b) > 0 else 0.0
    low, high = newcombe(_auc_interval(*parts_a), _auc_interval(*parts_b), common)
    if apart > 0:
        error = apart**0.5
        p_value = float(2 * stats.norm.sf(abs(value) / error))
        return Difference(
            value,
            max(min(low, value - Z * error), -1.0),
            min(max(high, value + Z * error), 1.0),
            p_value,
        )
    pairs = min(len(parts_a[0]), len(parts_a[1]))
    low, high = newcombe(_auc_interval(*parts_a), _auc_interval(*parts_b))
    return Difference(value, low, high, min(1.0, 2 / (1 + abs(value)) ** pairs))


def tpr_at_fpr(
    scores: np.ndarray, member: np.ndarray, fpr: float, min_false_positives: int = 10
) -> Interval:
    """The largest achievable TPR whose FPR is at most `fpr`.

    Interval: of the TPR at that FPR among all non-members, of whom these are a sample. With 97.5 %
    the right threshold accuses `few` to `many` of these (binomial); its TPR is at least the lower
    end of Clopper and Pearson's interval for the members above the `few`-th, and at most the upper
    end for those above the next after `many`, each with 98.75 %: together 95 % or more.
    None in all places if `fpr` of the non-members is fewer than `min_false_positives`: the
    threshold would rest on a few samples.
    """
    inside, outside = by_membership(scores, member)
    if not 0 < fpr < 1:
        raise ValueError(f"fpr must be in (0, 1), got {fpr}")
    if _allowed(fpr, len(outside)) < min_false_positives:
        return Interval(None, None, None)
    members = len(inside)
    low, high = limits_at(inside, outside, fpr)
    return Interval(int(hits_at(inside, outside, fpr)) / members, low, high)


def limits_at(inside: np.ndarray, outside: np.ndarray, fpr: float) -> tuple[float, float]:
    """The interval of `tpr_at_fpr`, however few the non-members, (n,)."""
    members, others, error = len(inside), len(outside), 0.0125
    few, many = (int(k) for k in stats.binom.ppf((error, 1 - error), others, fpr))
    limits = np.concatenate([[np.inf], np.sort(outside)[::-1], [-np.inf]])[[few, many + 1]]
    least, most = ((inside > limit).sum() for limit in limits)
    return float(exact_low(least, members, error)), float(exact_high(most, members, error))


def hits_at(inside: np.ndarray, outside: np.ndarray, fpr: float) -> np.ndarray:
    """How many members the lowest threshold finds that accuses at most `fpr` of the non-members.

    inside: (…, members), outside: (…, non-members) scores; one count for each of the leading axes.
    """
    others = outside.shape[-1]
    # "Member" means above this non-member: at most `fpr` of them are.
    last = others - 1 - min(int(_allowed(fpr, others)), others - 1)
    limit = np.partition(outside, last, axis=-1)[..., last]
    return (inside > limit[..., None]).sum(axis=-1)


def _allowed(fpr: float, others: int) -> float:
    return fpr * others + 1e-9  # 0.07 · 100 is a little above 7, 0.29 · 100 below 29


def deployed(scores: np.ndarray, member: np.ndarray, thresholds: float | np.ndarray) -> Deployed:
    """Rates of "member if score >= threshold" for one threshold or one a sample, (n,).

    Interval of the advantage: Newcombe 1998, method 10, from the two Wilson intervals.
    """
    inside, outside = by_membership(scores, member)
    if np.isnan(thresholds).any():
        raise ValueError("a threshold must be a number, got NaN")
    accused = np.asarray(scores, np.float64) >= thresholds
    member = np.asarray(member, bool)
    tpr = wilson(int(accused[member].sum()), len(inside))
    fpr = wilson(int(accused[~member].sum()), len(outside))
    limits = (tpr[0] - fpr[0], *newcombe(tpr, fpr))
    accuracy = Interval(*((1 + limit) / 2 for limit in limits))
    return Deployed(accuracy, Interval(*limits), tpr[0], fpr[0])


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
    variance, pairs = _variance(inside, outside), min(len(inside), len(outside))
    if variance == 0:
        q = 0.025 ** (1 / pairs)
        return Interval(value, value * q, 1 - q * (1 - value))
    unsure = value * (1 - value)
    center, spread = np.log(value / (1 - value)), Z * (variance + unsure / pairs**2) ** 0.5 / unsure
    low, high = 1 / (1 + np.exp(spread - center)), 1 / (1 + np.exp(-spread - center))
    return Interval(value, float(low), float(high))
