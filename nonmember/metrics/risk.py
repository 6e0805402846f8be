"""Privacy risk of single samples and of classes, from scores (n,) with higher = member.

A risk is the probability that a sample is a member given its score, if half of all samples are:
Song and Mittal 2021, section 5, https://arxiv.org/abs/2003.10595. The score's distributions inside
and outside of the training set come from shadow models, class by class where they suffice.
With few shadows the risks of attacks that compare models are too near one half: a shadow has fewer
others to be compared with than the target has.
Differs: bins hold equally many shadow scores, so the risk does not change with a monotone change
of the score, and every bin counts half a sample more of each kind, so no risk is 0 or 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nonmember.metrics.intervals import Interval, clopper_pearson
from nonmember.metrics.membership import by_membership
from nonmember.metrics.rates import Scored, auc
from nonmember.metrics.thresholds import rows_by_class

_FOLDS = 5


def risk_scores(
    scores: np.ndarray,
    labels: np.ndarray,
    shadows: Scored,
    classes: int,
    bins: int = 50,
    min_bin_samples: int = 100,
    min_class_samples: int = 200,
) -> np.ndarray:
    """P(member | score, class) of the target's samples, (n,) in (0, 1).

    A class with `min_class_samples` shadow members and as many non-members has its own
    distributions, the others share those of all classes. A bin holds `min_bin_samples` shadow
    scores or more where scores are not equal; there are at most `bins`. Raises ValueError for
    scores that are not finite and for shadows without members or non-members.
    """
    by_membership(shadows.scores, shadows.member, "shadow scores")
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if not np.isfinite(scores).all():
        raise ValueError(f"scores must be finite, got {(~np.isfinite(scores)).sum()} that are not")
    if scores.shape != labels.shape or ((labels < 0) | (labels >= classes)).any():
        raise ValueError(f"labels must be {scores.shape} in 0 … {classes - 1}")
    values, member = np.asarray(shadows.scores, np.float64), np.asarray(shadows.member, bool)
    risk = _share(scores, values, member, bins, min_bin_samples)
    pairs = zip(rows_by_class(labels, classes), rows_by_class(shadows.labels, classes), strict=True)
    for rows, learnt in pairs:
        inside = int(member[learnt].sum())
        if min(inside, len(learnt) - inside) >= max(min_class_samples, 1):
            risk[rows] = _share(scores[rows], values[learnt], member[learnt], bins, min_bin_samples)
    return risk


def _share(
    scores: np.ndarray, known: np.ndarray, member: np.ndarray, bins: int, min_bin_samples: int
) -> np.ndarray:
    """Density of the members over that of both, in the bin of each score."""
    count = int(np.clip(len(known) // min_bin_samples, 1, bins))
    starts = np.arange(1, count) * len(known) // count
    ordered = np.sort(known)
    edges = np.unique(ordered[starts])  # a bin begins with its edge: equal scores share one
    edges = edges[edges > ordered[0]]
    place = np.searchsorted(edges, known, side="right")
    inside, outside = (
        (np.bincount(place[kind], minlength=len(edges) + 1) + 0.5)
        / (kind.sum() + (len(edges) + 1) / 2)
        for kind in (member, ~member)
    )
    return (inside / (inside + outside))[np.searchsorted(edges, scores, side="right")]


class Joint(NamedTuple):
    """The risk of each sample by all attacks together; all (n,).

    risk: P(member | the highest of the attacks' risks). highest: that highest risk, itself too
    high for a probability. attack: whose it is, the first of ties.
    """

    risk: np.ndarray
    highest: np.ndarray
    attack: np.ndarray


def joint_risk(target: Mapping[str, Scored], shadows: Mapping[str, Scored], classes: int) -> Joint:
    """The risk of the target's samples by all attacks together.

    target, shadows: attack -> scores of the same samples. The highest of several risks that are
    each right is too high; so it is taken for one more score, whose distributions are those of the
    shadows' highest risks. Raises ValueError without an attack, and as `risk_scores` does.
    """
    if not target:
        raise ValueError("joint_risk needs the scores of one attack or more, got none")
    each = {
        name: risk_scores(asked.scores, asked.labels, shadows[name], classes)
        for name, asked in target.items()
    }
    table = np.stack(list(each.values()))  # (attacks, n)
    highest, attack = table.max(axis=0), np.array(list(each))[table.argmax(axis=0)]
    labels = next(iter(target.values())).labels
    of_shadows = np.max([_without_own_fold(shadow, classes) for shadow in shadows.values()], axis=0)
    learnt = replace(next(iter(shadows.values())), scores=of_shadows)
    return Joint(risk_scores(highest, labels, learnt, classes), highest, attack)


def _without_own_fold(shadow: Scored, classes: int) -> np.ndarray:
    """(n,) the risks of the shadows' samples by the other folds: no sample counts for itself."""
    risks, folds = np.empty(len(shadow.scores)), np.empty(len(shadow.scores), int)
    for kind in (shadow.member, ~shadow.member):
        folds[kind] = np.arange(kind.sum()) % _FOLDS
    for fold in range(_FOLDS):
        own = folds == fold
        asked, rest = (
            Scored(shadow.scores[rows], shadow.member[rows], shadow.labels[rows])
            for rows in (own, ~own)
        )
        risks[own] = risk_scores(asked.scores, asked.labels, rest, classes)
    return risks


class Exposed(NamedTuple):
    """A sample of high risk: its row of the data, label, whether a member, whose attack."""

    id: int
    label: int
    member: bool
    risk: float
    attack: str


class Bin(NamedTuple):
    """Samples with a risk in [low, high): their mean risk, and the share of members among them.

    share: if members were half of all, with its 95 % interval.
    """

    low: float
    high: float
    risk: float
    share: tuple[float, float, float]
    members: int
    non_members: int


class OneClass(NamedTuple):
    """The AUC of one class's samples alone; None where they are too few."""

    label: int
    auc: Interval | None
    members: int
    non_members: int


def most_exposed(
    ids: np.ndarray,
    labels: np.ndarray,
    member: np.ndarray,
    joint: Joint,
    count: int = 20,
) -> list[Exposed]:
    """The `count` samples of highest risk; all arrays (n,).

    Of equal risks the higher of the attacks' own goes first, then the lower id.
    """
    return [
        Exposed(
            int(ids[i]), int(labels[i]), bool(member[i]), float(joint.risk[i]), str(joint.attack[i])
        )
        for i in np.lexsort((ids, -joint.highest, -joint.risk))[:count]
    ]


def reliability(risk: np.ndarray, member: np.ndarray, bins: int = 10) -> list[Bin]:
    """Does a risk of 0.9 mean 90 %? One row for each tenth of [0, 1] with samples in it.

    Raises ValueError for risks outside [0, 1].
    """
    inside, outside = by_membership(risk, member, "risk")
    low, high = min(inside.min(), outside.min()), max(inside.max(), outside.max())
    if low < 0 or high > 1:
        raise ValueError(f"risk must be in [0, 1], got {low} to {high}")
    edges = np.arange(1, bins) / bins
    places = [np.searchsorted(edges, part, side="right") for part in (inside, outside)]
    counts = [np.bincount(place, minlength=bins) for place in places]
    total = np.bincount(np.concatenate(places), np.concatenate([inside, outside]), minlength=bins)
    odds = len(outside) / len(inside)  # what one member counts, in non-members
    rows = []
    for i in np.flatnonzero(counts[0] + counts[1]):
        members, others = int(counts[0][i]), int(counts[1][i])
        shares = np.array(clopper_pearson(members, members + others))
        value, least, most = (float(s) for s in shares * odds / (shares * odds + 1 - shares))
        mean = float(total[i]) / (members + others)
        limits = float(i / bins), float((i + 1) / bins)
        rows.append(Bin(*limits, mean, (value, least, most), members, others))
    return rows


def per_class(
    scores: np.ndarray,
    member: np.ndarray,
    labels: np.ndarray,
    classes: int,
    min_class_samples: int = 10,
) -> list[OneClass]:
    """AUC of each class's samples alone.

    None where a class has fewer than `min_class_samples` members or non-members.
    """
    by_membership(scores, member)
    scores, member = np.asarray(scores), np.asarray(member, bool)
    rows_of = rows_by_class(np.asarray(labels), classes)
    numbers = []
    for label, rows in enumerate(rows_of):
        inside = int(member[rows].sum())
        outside = len(rows) - inside
        enough = min(inside, outside) >= max(min_class_samples, 1)
        rate = auc(scores[rows], member[rows]) if enough else None
        numbers.append(OneClass(label, rate, inside, outside))
    return numbers
