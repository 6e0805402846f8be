"""Write docs/results.md from the tables in docs/results; a test checks that it is current.

Run:    python -m docs.results [TABLE NAME]
        TABLE NAME: first take the table that `nonmember compare` wrote, such as
        metrics/compare.md, as docs/results/NAME.csv, and the paired tests beside it, if any
Reads:  docs/results/page.md (the words), *.csv (tables), *.json (paired tests)
Writes: docs/results.md
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FRONT = ("none", "crl", "past", "relaxloss", "hamp", "selena", "dmp", "dp_sgd")
COLUMNS = {  # of the README's table, by the names that `compare` gives them
    "defense": "defense",
    "train": "train",
    "test": "test",
    "AUC entropy": "AUC entropy",
    "AUC modified_entropy": "AUC modified_entropy",
    "AUC, max": "highest AUC",
    "attack": "by",
    "TPR at 1 %, max": "TPR at 1 % FPR",
    "P1": "P1",
    "time": "time",
}


def read(name: str) -> list[dict[str, str]]:
    """The rows of docs/results/NAME.csv, by column; a number that is not supported is empty."""
    with (HERE / "results" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def take(table: str, name: str) -> None:
    """A table in Markdown, as `nonmember compare` writes it -> docs/results/NAME.csv.

    The paired tests of several seeds, the file `.json` beside the table, go along, and the stamp,
    its last line.
    """
    tests = Path(table).with_suffix(".json")
    if tests.is_file():
        shutil.copy(tests, HERE / "results" / f"{name}.json")
    lines = Path(table).read_text(encoding="utf-8").splitlines()
    cells = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    rows = [[cell.strip() for cell in line] for line in cells]
    (HERE / "results" / f"{name}.txt").write_text(f"{lines[-1]}\n", encoding="utf-8")
    with (HERE / "results" / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for row in rows[:1] + rows[2:]:
            writer.writerow("" if cell == "–" else cell.removesuffix("×") for cell in row)


def table(rows: list[dict[str, str]]) -> str:
    """Rows as a table in Markdown, numbers to the right."""
    names = list(rows[0])
    sides = ["---" if name in ("defense", "attack", "by") else "--:" for name in names]
    lines = [names, sides, *([cell(name, row[name]) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(column: str, value: str) -> str:
    """One value for people."""
    if not value:
        return "–"
    return f"{value}×" if column == "time" else value


def paired(name: str) -> str:
    """The paired tests of docs/results/NAME.json as a table, in points."""
    found = json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))
    columns = {"test": "test_acc", "AUC, max": "worst_auc"}
    return table(
        [
            {"defense": defense, **{new: _points(gaps[old]) for new, old in columns.items()}}
            for defense, gaps in found["tests"].items()
        ]
    )


def _points(gap: dict[str, Any]) -> str:
    value, low, high = (f"{100 * gap[key]:+.1f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})".replace("-", "−")


def front() -> str:
    """The README's table: some defenses on `shoppers`."""
    rows = {row["defense"]: row for row in read("shoppers")}
    return table([{new: rows[name][old] for old, new in COLUMNS.items()} for name in FRONT])


def page() -> str:
    """The whole page."""
    text = (HERE / "results" / "page.md").read_text(encoding="utf-8")
    for file in sorted((HERE / "results").glob("*.csv")):
        stamp = file.with_suffix(".txt").read_text(encoding="utf-8")
        text = text.replace(f"{{{file.stem}}}", f"{table(read(file.stem))}\n\n{stamp.strip()}")
    for file in sorted((HERE / "results").glob("*.json")):
        text = text.replace(f"{{{file.stem}, paired}}", paired(file.stem))
    return text


if __name__ == "__main__":
    if len(sys.argv) == 3:
        take(*sys.argv[1:])
    (HERE / "results.md").write_text(page(), encoding="utf-8")
