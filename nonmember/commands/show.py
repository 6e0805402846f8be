"""The audit as text: both arms, every attack; `make repro` prints it at the end.

Run:    nonmember show [--origin]
Reads:  metrics/{undefended,defended}/report.json, and data/, models/ and params.yaml, to see
        whether the numbers are theirs
Prints: the stamp, then the tables; with --origin only what a run is of
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nonmember import files
from nonmember.metrics.report import AttackerName, AuditReport
from nonmember.metrics.stamp import Origin
from nonmember.pipeline.origin import not_run, origin_of, read_origin
from nonmember.reporting import tables
from nonmember.reporting.columns import ATTACK, MODEL

WIDTH = 100
TIE = "\N{NO-BREAK SPACE}"
ARMS = ("undefended", "defended")
WORDS: Mapping[AttackerName, str] = {
    "adaptive": "adaptive",
    "non_adaptive": "non-adaptive",
    "partial": "half of it known",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--origin", action="store_true", help="only data, sizes and settings")


def main(origin: bool) -> None:
    place = Path()
    if origin:
        print(said(read_origin(place, "defended")))
        return
    reports = {arm: current(place, arm) for arm in ARMS}
    check_alike(reports)
    print(said(reports["defended"].stamp), "", "All rates in %.", sep="\n")
    print(models(reports), attacks(reports), sep="\n\n", end="\n\n")
    lines = [*notes(reports), *closing(reports)]
    print(*(fold(line) for line in lines), sep="\n")


def current(place: Path, arm: str) -> AuditReport:
    """The report of an arm, if it is that of the present data, settings and model.

    FileNotFoundError or ValueError saying what differs and how to make the numbers anew.
    """
    from nonmember import config  # knows every part of a model, and with them torch

    path = place / f"metrics/{arm}/report.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; run `dvc repro`")
    report = AuditReport.read(path)
    made = config.make(place / "params.yaml")
    problems = report.stamp.problems(expected(place, arm, made))
    trained = place / f"models/{arm}/target.json"
    model = files.read_json(trained)["fingerprint"] if trained.is_file() else "missing"
    if model != report.stamp.model:
        problems.append(f"model was {report.stamp.model[:8]}, is {model[:8]}")
    problems = problems or not_run(place, made)
    if problems:
        raise ValueError(
            f"{path} is not of the present data and params.yaml, so its numbers are not shown "
            f"({'; '.join(problems)}); run `dvc repro`"
        )
    return report


def expected(place: Path, arm: str, made: Mapping[str, Any]) -> Origin:
    """What a run of the present params.yaml on the prepared data would be of.

    made: what `config.make` says of params.yaml.
    """
    return origin_of(place, made[f"stamp_{arm}"])


def check_alike(reports: Mapping[str, AuditReport]) -> None:
    """ValueError if the arms were audited by different code or versions: one is a leftover."""
    makers = {arm: (r.stamp.code, r.stamp.versions) for arm, r in reports.items()}
    if makers["undefended"] != makers["defended"]:
        codes = ", ".join(f"{arm} by code {code[:8]}" for arm, (code, _) in makers.items())
        raise ValueError(
            f"metrics/: the arms were audited by different code or versions ({codes}), so they "
            "cannot be compared; run `dvc repro`"
        )


def said(origin: Origin) -> str:
    """The stamp on top: a line of what, then the settings."""
    return "\n".join([fold(origin.line(), "· "), fold(origin.changed(), "; ")])


def fold(line: str, after: str = " ") -> str:
    """Lines of at most WIDTH, broken only behind `after`."""
    tied = line.replace(" ", TIE).replace(after.replace(" ", TIE), after)
    lines = textwrap.fill(tied, WIDTH, break_on_hyphens=False, break_long_words=False)
    return lines.replace(TIE, " ")


def models(reports: Mapping[str, AuditReport]) -> str:
    """One line an arm: how its model answers."""
    head = ["model", *(column.head for column in MODEL)]
    rows = [
        [report.label, *(tables.cell(c.of_model(report.model), c) for c in MODEL)]
        for report in reports.values()
    ]
    return tables.text(head, rows, left=1)


def attacks(reports: Mapping[str, AuditReport]) -> str:
    """One line an attack, arm and attacker: attacks together, for comparing the arms."""
    head = ["attack", "model", *(column.head for column in ATTACK)]
    return tables.text(head, rows(reports), left=2)


def rows(reports: Mapping[str, AuditReport]) -> Iterator[list[str]]:
    """The cells of `attacks`; an attack's name stands in the first of its lines."""
    for name in reports["undefended"].primary.attacks:
        first = name
        for arm, report in reports.items():
            for attacker in report.names():
                numbers = report.attackers[attacker].attacks.get(name)
                if numbers is None:
                    continue
                who = arm if arm == "undefended" else f"{arm}, {WORDS[attacker]}"
                cells = [tables.cell(c.of_attack(numbers), c, c.interval) for c in ATTACK]
                yield [first, who, *cells]
                first = ""


def notes(reports: Mapping[str, AuditReport]) -> list[str]:
    """Why a number is missing."""
    return tables.footnotes(
        (column, column.of_attack(numbers))
        for report in reports.values()
        for _, numbers in report.places()
        for column in ATTACK
    )


def closing(reports: Mapping[str, AuditReport]) -> list[str]:
    """In words: each arm's strongest attack, what the defense costs, the data, the pictures."""
    worst = [strongest(report) for report in reports.values()]
    bounds = [epsilon(report) for report in reports.values()]
    said = [cost(reports), data(reports["defended"])]
    return [*worst, *bounds, *said, *noticed(reports.values()), "Pictures: metrics/plots/"]


def noticed(reports: Iterable[AuditReport]) -> list[str]:
    """What must be known beside the numbers, each once."""
    return list(dict.fromkeys(notice.line() for report in reports for notice in report.notices))


def epsilon(report: AuditReport) -> str:
    """The lower bounds, and beside them what the defense states of its own training."""
    bound, one_run = report.epsilon, report.epsilon_one_run
    said = f"Epsilon of {report.label} at delta {bound.delta:g}: at least {bound.epsilon:.2f} if "
    said += "records count as independent"
    if one_run is not None:
        said += f", {one_run.epsilon:.2f} without that"
    facts = report.defense_facts
    stated = next((facts[k] for k in ("epsilon", "epsilon_if_poisson") if k in facts), None)
    return f"{said}." if stated is None else f"{said}; at most {stated:.2f} by its training."


def strongest(report: AuditReport) -> str:
    (attacker, name), auc = report.strongest
    how = f"{WORDS[attacker]} {name}" if len(report.attackers) > 1 else name
    number = tables.cell(auc, ATTACK[0], interval=True)
    return f"Strongest attack on {report.label}: {how}, AUC {number}."


def cost(reports: Mapping[str, AuditReport]) -> str:
    before, after = (reports[arm].model.test_acc for arm in ARMS)
    name = reports["defended"].defense
    if after == before:
        return f"{name} leaves the test accuracy at {100 * after:.1f} %."
    way = f"({100 * before:.1f} → {100 * after:.1f} %)"
    points = f"{100 * abs(after - before):.1f} points of test accuracy"
    return f"{name} {'costs' if after < before else 'gains'} {points} {way}."


def data(report: AuditReport) -> str:
    model, copies = report.model, report.duplicates
    copied = f"{copies} non-members are exact copies of a member" if copies else "no duplicates"
    return f"{model.members} members, {model.non_members} non-members, {copied}."
