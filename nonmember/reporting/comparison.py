"""Rows of defenses as a table, as a csv with every interval, as paired tests, as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nonmember.metrics.paired import across_seeds
from nonmember.metrics.report import AttackNumbers, AuditReport, Number
from nonmember.reporting import tables
from nonmember.reporting.columns import ATTACK, MODEL, Column
from nonmember.reporting.headline import headline, p1_of
from nonmember.reporting.points import Point

SHOWN = ("nn", "entropy", "modified_entropy", "grad_x_l2")  # the papers' tables have their AUCs
RATE = Column("", "", "")
HEAD = (
    "defense",
    *(column.head for column in MODEL),
    *(f"AUC {name}" for name in SHOWN),
    *(f"{column.head}, max" for column in ATTACK),
    "attack",
    "adv. adaptive",
    "adv. non-adaptive",
    "P1",
    "time",
)
NUMBERS = [name for name in AttackNumbers.model_fields if name not in ("members", "non_members")]
FIELDS = (
    "defense",
    "seed",
    *(column.key for column in MODEL),
    "train_loss_var",
    "attack",
    "attacker",
    *(f"{name}{end}" for name in NUMBERS for end in ("", "_low", "_high")),
)


def row(name: str, reports: Sequence[AuditReport], times: Sequence[float | None]) -> list[str]:
    """One line of the table: means over the seeds. times: multiples of the control's."""
    attacked = dict.fromkeys(report.strongest[0].attack for report in reports)
    naive = [
        report.attackers["non_adaptive"].highest_advantage
        if "non_adaptive" in report.attackers
        else None
        for report in reports
    ]
    time = _mean(times)
    return [
        name,
        *(_cell([c.of_model(r.model).value for r in reports], c) for c in MODEL),
        *(_cell([_auc(r, attack) for r in reports], RATE) for attack in SHOWN),
        *(_cell([c.highest(r).value for r in reports], c) for c in ATTACK),
        ", ".join(attacked),
        _cell([r.primary.highest_advantage for r in reports], RATE),
        _cell(naive, RATE),
        _cell([p1_of(r) for r in reports], RATE),
        tables.ABSENT if time is None else f"{time:.1f}×",
    ]


def failed(name: str, why: str) -> list[str]:
    """The line of a row that could not run."""
    return [name, why, *[""] * (len(HEAD) - 2)]


def _auc(report: AuditReport, attack: str) -> float | None:
    numbers = report.primary.attacks.get(attack)
    return None if numbers is None else numbers.auc.value


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _cell(values: Sequence[float | None], column: Column) -> str:
    mean = _mean(values)
    return tables.ABSENT if mean is None else tables.shown(mean, column)


def gaps(ours: Sequence[AuditReport], theirs: Sequence[AuditReport]) -> dict[str, Any]:
    """Test accuracy and highest AUC minus the control's over the seeds: a paired t test."""
    tests = {}
    for key in ("test_acc", "worst_auc"):
        gap = across_seeds(*([headline(r)[key] for r in side] for side in (ours, theirs)))
        values = {**gap._asdict(), "p_lower": gap.p_lower}
        tests[key] = {name: float(f"{value:.6g}") for name, value in values.items()}
    return tests


def point(name: str, family: str, reports: Sequence[AuditReport]) -> Point:
    """A row in the picture: means over the seeds, of the interval's ends too."""
    strongest = [report.strongest[1] for report in reports]
    models = [report.model for report in reports]
    return Point(
        name=name,
        family=family,
        test_acc=float(np.mean([model.test_acc for model in models])),
        loss_var=float(np.mean([model.train_loss_var for model in models])),
        auc=float(np.mean([_end(n, "value") for n in strongest])),
        auc_low=float(np.mean([_end(n, "low") for n in strongest])),
        auc_high=float(np.mean([_end(n, "high") for n in strongest])),
    )


def _end(number: Number, end: str) -> float:
    value: float = getattr(number, end)
    return value


def records(name: str, seed: int, report: AuditReport) -> Iterator[dict[str, Any]]:
    """One line an attack of the file with every interval; empty where a number is missing."""
    model = {column.key: column.of_model(report.model).value for column in MODEL}
    model["train_loss_var"] = report.model.train_loss_var
    for (attacker, attack), numbers in report.places():
        line: dict[str, Any] = {"defense": name, "seed": seed, **model}
        line |= {"attack": attack, "attacker": attacker}
        for key in NUMBERS:
            number: Number = getattr(numbers, key)
            ends = {"": number.value, "_low": number.low, "_high": number.high}
            line |= {f"{key}{end}": "" if v is None else v for end, v in ends.items()}
        yield line
