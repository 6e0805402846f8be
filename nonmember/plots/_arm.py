"""Everything the pictures show of one arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nonmember.metrics.report import AttackNumbers, AuditReport
from nonmember.metrics.scores import ScoreSet
from nonmember.views import View


@dataclass(frozen=True, eq=False)
class Arm:
    """One arm's model and the attacks on it.

    report: metrics/ARM/report.json. scores: those of the primary attacker, the one who knows most.
    view: the target on the same samples, with `member` known.
    curve: one mapping an epoch with `epoch`, `loss` and `accuracy` on the training batches.
    class_names: what the labels stand for; None shows the labels.
    min_false_positives: a rate that rests on fewer is not supported.
    """

    report: AuditReport
    scores: ScoreSet
    view: View
    curve: Sequence[Mapping[str, float]]
    class_names: Sequence[str] | None = None
    min_false_positives: int = 10

    @property
    def name(self) -> str:
        """`undefended` or `defended`."""
        return self.report.arm

    @property
    def label(self) -> str:
        """The arm in a legend, such as `defended (crl)`."""
        return self.report.label

    @property
    def attacks(self) -> Mapping[str, AttackNumbers]:
        """Attack -> its numbers, of the primary attacker."""
        return self.report.primary.attacks

    @property
    def member(self) -> np.ndarray:
        """(n,) bool. Raises ValueError where the view does not know."""
        if self.view.member is None:
            raise ValueError(f"{self.name}: the view's member must be known, got None")
        return self.view.member

    @property
    def strongest(self) -> str:
        """The primary attacker's attack with the highest AUC, the first of ties."""
        return self.report.primary.strongest

    def of(self, attack: str) -> np.ndarray:
        """(n,) scores of the target's samples by an attack, higher = member."""
        return self.scores.target.scores[attack]

    def auc(self, attack: str) -> float:
        """The AUC of an attack of the primary attacker."""
        value = self.attacks[attack].auc.value
        if value is None:
            raise ValueError(f"{self.name}: attack {attack} has no AUC")
        return value
