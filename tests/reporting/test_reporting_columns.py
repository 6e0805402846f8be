"""One list of numbers feeds every table: what is added to it is everywhere."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator

import pytest
import runs

from nonmember.commands import show
from nonmember.metrics.report import AttackNumbers, Behaviour, Number
from nonmember.reporting import columns, comparison
from nonmember.reporting.columns import ATTACK, MODEL, Column
from nonmember.reporting.headline import headline

FIT = Column("train_brier", "fit", "Brier score of the answers to members")
RARE = Column("tpr_at_001_fpr", "TPR at 0.01 %", "true positive rate at 0.01 % false positives")


@pytest.fixture
def more(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both lists one column longer, as if it were written there: heads are made on import."""
    readers = [sys.modules[read.__module__] for read in (headline, comparison.row, show.main)]
    monkeypatch.setattr(columns, "MODEL", (*MODEL, FIT))
    monkeypatch.setattr(columns, "ATTACK", (*ATTACK, RARE))
    for module in readers:
        importlib.reload(module)
    yield
    monkeypatch.undo()
    for module in readers:
        importlib.reload(module)


def test_every_column_is_a_field_of_the_report() -> None:
    assert {column.key for column in MODEL} <= set(Behaviour.model_fields)
    numbers = {k for k, field in AttackNumbers.model_fields.items() if field.annotation is Number}
    assert {column.key for column in ATTACK} <= numbers


def test_no_two_columns_look_alike() -> None:
    every = [*MODEL, *ATTACK]
    assert len({column.key for column in every}) == len({column.head for column in every})
    assert len({column.head for column in every}) == len(every)
    assert all(column.words for column in every)


def test_a_new_column_is_in_every_table(more: None) -> None:
    reports = {arm: runs.report(arm) for arm in runs.ARMS}
    models, attacks = show.models(reports), show.attacks(reports)
    assert models.splitlines()[0].endswith("fit")
    assert all(line.endswith(" 1.0") for line in models.splitlines()[1:])
    assert attacks.splitlines()[0].endswith("TPR at 0.01 %")
    assert all(line.endswith("–") for line in attacks.splitlines()[1:])

    cells = comparison.row("crl", [reports["defended"]], [1.0])
    row = dict(zip(comparison.HEAD, cells, strict=True))
    assert (row["fit"], row["TPR at 0.01 %, max"]) == ("1.0", "–")
    lines = list(comparison.records("crl", 0, reports["defended"]))
    assert all(set(line) == set(comparison.FIELDS) for line in lines)
    assert {line["train_brier"] for line in lines} == {0.01}

    summary = headline(reports["defended"])
    assert (summary["train_brier"], summary["worst_tpr_at_001_fpr"]) == (0.01, None)


def test_without_it_it_is_in_none() -> None:
    reports = {arm: runs.report(arm) for arm in runs.ARMS}
    assert "fit" not in show.models(reports)
    assert "TPR at 0.01 %" not in show.attacks(reports)
    assert "train_brier" not in headline(reports["defended"])


def test_the_csv_has_every_number_of_an_attack_anyway() -> None:
    [line] = [
        line
        for line in comparison.records("none", 3, runs.report("undefended"))
        if line["attack"] == "nn"
    ]
    assert line["tpr_at_01_fpr"] == 0.012
    assert (line["tpr_at_1_fpr"], line["tpr_at_1_fpr_low"]) == ("", "")


def test_the_highest_is_over_all_attacks_and_attackers() -> None:
    """By class, `nn` on the undefended arm beats the others; an unsupported TPR loses to any."""
    by = {column.key: column for column in ATTACK}
    report = runs.report("undefended")
    assert by["class_advantage"].highest(report).value == 0.31
    assert by["tpr_at_1_fpr"].highest(report).value == 0.034


def test_the_highest_of_what_nobody_supports_says_why() -> None:
    nothing = runs.attack_numbers(0.6, tpr_at_1_fpr=runs.UNSUPPORTED)
    report = runs.report("undefended", attackers=runs.attackers(adaptive={"loss": nothing}))
    [column] = [column for column in ATTACK if column.key == "tpr_at_1_fpr"]
    assert column.highest(report) == runs.UNSUPPORTED
    assert headline(report)["worst_tpr_at_1_fpr"] is None
