"""Several defenses on the data of params.yaml, in one table.

Run:    nonmember compare [NAME[:key=value,value…] …] [-S section.key=value …] [--seeds N]
        [--out PATH]
Reads:  params.yaml
Writes: metrics/compare.md (the table), metrics/compare.csv (with every interval),
        metrics/compare.png (attack against accuracy and against the spread of the losses) and, for
        several seeds, metrics/compare.json (paired tests against `none`)

Every defense has the keys that params.yaml gives it, and everything else alike: data, split,
seeds, attacks. `crl:alpha_rce=0.6,1.0` makes two rows, a curve in the picture; several keys
(`crl:alpha_rce=0.6,1.0:lambda_rcl=0.1`) go through all combinations. Trainings share the store
with `dvc repro`, so nothing is trained twice, and a run that was killed goes on where it was. A
defense that cannot run is a row that says why.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nonmember import files
from nonmember.defenses import defenses
from nonmember.metrics.report import AuditReport
from nonmember.pipeline.side_by_side import (
    CONTROL,
    Entry,
    Outcome,
    audits,
    check,
    entries,
    settings,
)
from nonmember.plots._tradeoff import tradeoff
from nonmember.reporting import comparison, tables
from nonmember.reporting.comparison import FIELDS, HEAD
from nonmember.reporting.points import Point

LEFT = 1  # columns of words


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME[:key=value,…]", help="default: all")
    parser.add_argument("-S", dest="changes", action="append", default=[], help="section.key=value")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from params' seed on")
    parser.add_argument("--out", default="metrics/compare", help="path without suffix")


def main(names: list[str], changes: list[str], seeds: int, out: str) -> None:
    chosen = [entry for name in names or defenses.names() for entry in entries(name)]
    if seeds < 1:
        raise ValueError(f"--seeds: must be at least 1, found {seeds}")
    params = settings(changes)
    _check(chosen, params, out)
    page = Page(out, seeds, params.get("seed", 0))
    for entry, outcomes in audits(chosen, params, seeds):
        page.add(entry, outcomes)
        page.write()
        print(" | ".join(page.rows[-1]), flush=True)
    stamp = page.controls[0].corner()
    files.write_bytes(f"{out}.png", tradeoff(page.points, stamp))


def _check(chosen: Sequence[Entry], params: Mapping[str, Any], out: str) -> None:
    """What was typed for this run must be possible; a name alone may be a row that says why."""
    for entry in chosen:
        if entry.changes:
            try:
                check(params, entry)
            except ValueError as error:
                raise ValueError(f"{entry}: {error}") from error
    data = Path(params["dataset"]["path"]).resolve()
    if any(Path(f"{out}{end}").resolve() == data for end in (".md", ".csv", ".json", ".png")):
        raise ValueError(f"--out: {out} would overwrite the data in {data}; name another place")


class Page:
    """The table as it grows: rows, csv lines, paired tests, points of the picture."""

    def __init__(self, out: str, seeds: int, first_seed: int) -> None:
        self.out, self.seeds, self.first_seed = out, seeds, first_seed
        self.rows: list[list[str]] = []
        self.points: list[Point] = []
        self.lines: list[dict[str, Any]] = []
        self.tests: dict[str, Any] = {}
        self.controls: Sequence[AuditReport] = []
        self.base: Sequence[float | None] = []
        self.notices: dict[str, None] = {}

    def add(self, entry: Entry, outcomes: Sequence[Outcome]) -> None:
        """One row: a defense under every seed; the control comes first."""
        name, reports = str(entry), [o.report for o in outcomes if o.report is not None]
        self.notices |= dict.fromkeys(n.line() for report in reports for n in report.notices)
        for seed, report in enumerate(reports, self.first_seed):
            self.lines += comparison.records(name, seed, report)
        if entry == CONTROL:
            self.controls, self.base = reports, [outcome.seconds for outcome in outcomes]
        if len(reports) < len(outcomes):
            self.rows.append(comparison.failed(name, outcomes[-1].failure))
            return
        times = [
            outcome.seconds / base if outcome.seconds and base else None
            for outcome, base in zip(outcomes, self.base, strict=True)
        ]
        self.rows.append(comparison.row(name, reports, times))
        self.points.append(comparison.point(name, entry.defense, reports))
        if entry != CONTROL and self.seeds > 1:
            self.tests[name] = comparison.gaps(reports, self.controls)

    def write(self) -> None:
        """What there is so far, each file whole."""
        stamp = self.controls[0].stamp.line()
        table = tables.markdown(HEAD, self.rows, LEFT)
        files.write_bytes(
            f"{self.out}.md", "\n\n".join([table, stamp, *self.notices, ""])[:-1].encode()
        )
        text = io.StringIO()
        writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.lines)
        files.write_bytes(f"{self.out}.csv", text.getvalue().encode())
        if self.tests:
            files.write_json(f"{self.out}.json", {"stamp": stamp, "tests": self.tests})
