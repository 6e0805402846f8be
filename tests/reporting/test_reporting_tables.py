"""Cells, tables and the reasons for dashes."""

from __future__ import annotations

import pytest
from runs import UNSUPPORTED, number

from nonmember.metrics.report import Number
from nonmember.reporting import tables
from nonmember.reporting.columns import Column

RATE = Column("auc", "AUC", "AUC")
SCORE = Column("test_brier", "Brier", "Brier score", percent=False)


@pytest.mark.parametrize(
    ("found", "column", "interval", "text"),
    [
        (number(0.816), RATE, False, "81.6"),
        (number(0.816), RATE, True, "81.6 (80.6 – 82.6)"),
        (number(0.2514), SCORE, False, "0.251"),
        (number(0.2514), SCORE, True, "0.251 (0.241 – 0.261)"),
        (Number(value=0.5), RATE, True, "50.0"),  # a number without an interval
        (Number(value=0.0), RATE, False, "0.0"),
        (Number(value=-0.01), RATE, False, "-1.0"),
        (UNSUPPORTED, RATE, True, "–"),
    ],
)
def test_cells(found: Number, column: Column, interval: bool, text: str) -> None:
    assert tables.cell(found, column, interval) == text


def test_words_stand_left_and_numbers_right() -> None:
    lines = tables.text(["attack", "AUC"], [["nn", "7.0"], ["loss", "81.6"]], left=1).splitlines()
    assert lines == ["attack   AUC", "nn       7.0", "loss    81.6"]


def test_cells_stay_as_they_are_written() -> None:
    """`tabulate` would make 80.0 of 80.00 and right-align text that looks like a number."""
    assert "1e-3  80.00" in tables.text(["name", "x"], [["1e-3", "80.00"]], left=1)


def test_markdown_has_the_same_cells() -> None:
    lines = tables.markdown(["defense", "AUC"], [["none", "81.6"]], left=1).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["defense", "AUC"]
    assert cells[1][0].startswith(":-")
    assert cells[1][1].endswith("-:")
    assert cells[2] == ["none", "81.6"]


def test_each_reason_is_said_once() -> None:
    other = Number(value=None, why="fewer than 10 members")
    found = [(RATE, UNSUPPORTED), (RATE, UNSUPPORTED), (SCORE, other), (RATE, number(0.5))]
    assert tables.footnotes(found) == [
        "AUC –: an FPR of 1 % needs 1000 non-members, there are 400.",
        "Brier –: fewer than 10 members.",
    ]
    assert tables.footnotes([(RATE, number(0.5))]) == []
