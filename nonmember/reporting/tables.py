"""Cells and tables in text and Markdown, laid out by `tabulate`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tabulate import tabulate

from nonmember.metrics.report import Number
from nonmember.reporting.columns import Column

ABSENT = "–"


def cell(number: Number, column: Column, interval: bool = False) -> str:
    """81.6, or 81.6 (80.8 – 82.4) with `interval`; a dash for a number that is not supported."""
    if number.value is None:
        return ABSENT
    text = shown(number.value, column)
    if not (interval and number.low is not None and number.high is not None):
        return text
    return f"{text} ({shown(number.low, column)} – {shown(number.high, column)})"


def shown(value: float, column: Column) -> str:
    """A rate as % with one digit, anything else with three."""
    return f"{100 * value:.1f}" if column.percent else f"{value:.3f}"


def text(head: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> str:
    """A table for a terminal; the first `left` columns are words, the others numbers."""
    return tabulate([list(head), *map(list, rows)], tablefmt="plain", **_sides(head, left))


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> str:
    """The same for a page."""
    return tabulate(map(list, rows), list(head), tablefmt="pipe", **_sides(head, left))


def _sides(head: Sequence[str], left: int) -> dict[str, Any]:
    align = ["left"] * left + ["right"] * (len(head) - left)
    return {"colalign": align, "disable_numparse": True}


def footnotes(numbers: Iterable[tuple[Column, Number]]) -> list[str]:
    """Why there are dashes: each reason once, with the column it is about."""
    reasons = {f"{c.head} {ABSENT}: {n.why}." for c, n in numbers if n.value is None and n.why}
    return sorted(reasons)
