"""The numbers that tables and pictures show: a new one is a line here.

MODEL is of the released answers, ATTACK of one attack. A table with a line an arm shows of each
ATTACK column the highest value of any attack.
"""

from __future__ import annotations

from dataclasses import dataclass

from nonmember.metrics.report import AttackNumbers, AuditReport, Behaviour, Number, Ranking


@dataclass(frozen=True)
class Column:
    """One number.

    key: its field in the report. head: over a column of a table. words: on the axis of a picture.
    interval: whether the table of one run shows it. percent: a rate, shown in %.
    """

    key: str
    head: str
    words: str
    interval: bool = False
    percent: bool = True

    def of_model(self, model: Behaviour) -> Number:
        """The number of a MODEL column, which has no interval."""
        return Number(value=getattr(model, self.key))

    def of_attack(self, numbers: AttackNumbers | Ranking) -> Number:
        """The number of an ATTACK column."""
        number: Number = getattr(numbers, self.key)
        return number

    def highest(self, report: AuditReport) -> Number:
        """The highest of an ATTACK column over all attacks and attackers, or why there is none."""
        best = report.highest(self.of_attack)
        if best is not None:
            return best[1]
        _, first = next(report.places())
        return self.of_attack(first)


MODEL = (
    Column("train_acc", "train", "train accuracy"),
    Column("test_acc", "test", "test accuracy"),
    Column("balanced_test_acc", "balanced", "test accuracy, mean over the classes"),
    Column("gap", "gap", "train minus test accuracy"),
    Column("test_brier", "Brier", "Brier score of the answers", percent=False),
    Column("test_ece", "ECE", "expected calibration error"),
)
ATTACK = (
    Column("auc", "AUC", "AUC: chance that a member scores above a non-member", interval=True),
    Column("advantage", "advantage", "true minus false positive rate, one threshold"),
    Column("class_advantage", "adv. by class", "the same, one threshold a class"),
    Column("tpr_at_1_fpr", "TPR at 1 %", "true positive rate at 1 % false positives"),
    Column("tpr_at_01_fpr", "TPR at 0.1 %", "true positive rate at 0.1 % false positives"),
)
