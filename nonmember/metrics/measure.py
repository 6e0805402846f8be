"""From scores to the numbers of a report: thresholds from the shadows, rates on the target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from nonmember.metrics import epsilon, one_run, rates, risk
from nonmember.metrics.intervals import Interval
from nonmember.metrics.membership import by_membership
from nonmember.metrics.rates import Deployed, Scored
from nonmember.metrics.report import (
    AttackNumbers,
    ClassNumbers,
    EpsilonBound,
    Number,
    OneRunBound,
    Ranking,
    RiskBin,
)
from nonmember.metrics.thresholds import fit_class_thresholds, fit_threshold

LOW_FPR = {"tpr_at_1_fpr": 0.01, "tpr_at_01_fpr": 0.001, "tpr_at_001_fpr": 0.0001}


def ranking(scores: np.ndarray, member: np.ndarray, min_false_positives: int = 10) -> Ranking:
    """AUC and the TPRs at low FPRs, which need no threshold."""
    others = int(len(member) - np.sum(member))
    numbers = {"auc": Number.of(rates.auc(scores, member))}
    for key, fpr in LOW_FPR.items():
        rate = rates.tpr_at_fpr(scores, member, fpr, min_false_positives)
        needed = math.ceil(min_false_positives / fpr - 1e-9)
        why = f"an FPR of {100 * fpr:g} % needs {needed} non-members, there are {others}"
        numbers[key] = Number.of(rate, why)
    return Ranking(**numbers)


def attack_numbers(
    target: Scored,
    shadows: Scored | None,
    classes: int,
    min_false_positives: int = 10,
    min_class_samples: int = 10,
) -> AttackNumbers:
    """One attack's numbers on the target; thresholds are fitted on the shadows together."""
    inside, outside = by_membership(target.scores, target.member, "target scores")
    ranked = ranking(target.scores, target.member, min_false_positives)
    one, many = _deployed_both(target, shadows, classes, min_class_samples)
    why = "no model of the attacker's to fit a threshold on"
    return AttackNumbers(
        **{key: getattr(ranked, key) for key in Ranking.model_fields},
        balanced_accuracy=Number.of(one and one.balanced_accuracy, why),
        advantage=Number.of(one and one.advantage, why),
        class_advantage=Number.of(many and many.advantage, why),
        members=len(inside),
        non_members=len(outside),
    )


def _deployed_both(
    target: Scored, shadows: Scored | None, classes: int, min_class_samples: int
) -> tuple[Deployed, Deployed] | tuple[None, None]:
    """The target at the shadows' global threshold and at their class thresholds."""
    if shadows is None:
        return None, None
    by_membership(shadows.scores, shadows.member, "shadow scores")
    by_class = fit_class_thresholds(
        shadows.scores, shadows.member, shadows.labels, classes, min_class_samples
    )
    return (
        rates.deployed(target.scores, target.member, fit_threshold(shadows.scores, shadows.member)),
        rates.deployed(target.scores, target.member, by_class[target.labels]),
    )


def mean_numbers(parts: Sequence[AttackNumbers]) -> AttackNumbers:
    """The mean over several splits; a number that one of them does not support is none.

    Its limits are the mean of theirs, so they are wider than need be.
    """
    names = [name for name in AttackNumbers.model_fields if name not in ("members", "non_members")]
    means = {name: _mean([getattr(part, name) for part in parts]) for name in names}
    first = parts[0]
    return AttackNumbers(**means, members=first.members, non_members=first.non_members)


def _mean(numbers: Sequence[Number]) -> Number:
    for number in numbers:
        if number.value is None:
            return number
    value, low, high = (
        round(float(np.mean([getattr(number, end) for number in numbers])), 6)
        for end in ("value", "low", "high")
    )
    sd = float(np.std([number.value for number in numbers if number.value is not None], ddof=1))
    return Number(value=value, low=low, high=high, sd=round(sd, 6))


def epsilon_bound(
    scores: Mapping[str, np.ndarray], member: np.ndarray, delta: float, seed: int
) -> EpsilonBound:
    """`epsilon_lower_bound` for a report; a threshold that accuses all or none is None."""
    bound = epsilon.epsilon_lower_bound(scores, member, delta, seed)
    threshold = round(bound.threshold, 6) if math.isfinite(bound.threshold) else None
    return EpsilonBound(
        epsilon=round(bound.epsilon, 6),
        attack=bound.attack,
        direction=bound.direction,
        threshold=threshold,
        confidence=bound.confidence,
        delta=bound.delta,
    )


def one_run_bound(
    scores: Mapping[str, np.ndarray], member: np.ndarray, delta: float, seed: int
) -> OneRunBound:
    """`one_run.one_run_bound` for a report."""
    bound = one_run.one_run_bound(scores, member, delta, seed)
    return OneRunBound(**{**bound._asdict(), "epsilon": round(bound.epsilon, 6)})


def class_numbers(
    scores: np.ndarray, member: np.ndarray, labels: np.ndarray, classes: int, least: int = 10
) -> list[ClassNumbers]:
    """AUC of each class's samples alone; none for fewer than `least` members or non-members."""
    return [
        ClassNumbers(
            label=row.label,
            auc=Number.of(row.auc, f"fewer than {least} members or non-members of the class"),
            members=row.members,
            non_members=row.non_members,
        )
        for row in risk.per_class(scores, member, labels, classes, least)
    ]


def worst_classes(rows: Sequence[ClassNumbers], count: int = 10) -> list[ClassNumbers]:
    """The `count` classes with the highest AUC, of ties the lower label first.

    Each interval is that of one class: the highest of many looks worse than it is.
    """
    supported = [row for row in rows if row.auc.value is not None]
    return sorted(supported, key=lambda row: (-(row.auc.value or 0.0), row.label))[:count]


def reliability(values: np.ndarray, member: np.ndarray) -> list[RiskBin]:
    """Does a risk of 0.9 mean 90 %? One row for each tenth of [0, 1] with samples in it."""
    return [
        RiskBin(
            low=row.low,
            high=row.high,
            risk=round(row.risk, 6),
            share=Number.of(Interval(*row.share)),
            members=row.members,
            non_members=row.non_members,
        )
        for row in risk.reliability(values, member)
    ]
