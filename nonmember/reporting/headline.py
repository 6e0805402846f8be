"""The few numbers of an arm, for `dvc exp show` and for tables with a line an arm."""

from __future__ import annotations

from typing import Any

from nonmember.metrics.rates import p1
from nonmember.metrics.report import AuditReport
from nonmember.reporting.columns import ATTACK, MODEL


def headline(report: AuditReport) -> dict[str, Any]:
    """Flat, as DVC's metrics are: MODEL's columns, the highest of ATTACK's as `worst_…`, P1.

    worst_advantage: the highest of any attack, at one threshold or at one a class.
    """
    place, _ = report.strongest
    highest = {f"worst_{column.key}": column.highest(report).value for column in ATTACK}
    return {
        **{column.key: column.of_model(report.model).value for column in MODEL},
        **highest,
        "worst_auc_attack": place.attack,
        "worst_auc_attacker": place.attacker,
        "worst_advantage": report.highest_advantage,
        "p1": round(p1_of(report), 6),
        "members": report.model.members,
        "non_members": report.model.non_members,
        "stamp": report.stamp.key(),
    }


def p1_of(report: AuditReport) -> float:
    """P1 of an arm: accuracy and the highest advantage, if that is above 0 (PAST)."""
    return p1(report.model.test_acc, max(report.highest_advantage, 0.0))
