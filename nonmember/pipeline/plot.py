"""The headline numbers of both arms, and the pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nonmember import files, plots
from nonmember.evidence import Evidence
from nonmember.metrics import paired, rates, scores
from nonmember.metrics.rates import Difference
from nonmember.metrics.report import AuditReport
from nonmember.plots.roc import roc_rows
from nonmember.reporting.headline import headline

ARMS = ("undefended", "defended")


def plot(place: Path) -> None:
    """Both arms' reports, scores and signals -> metrics/*.json, roc.csv and plots/*.png."""
    arms = [load(place, name) for name in ARMS]
    undefended, defended = arms
    stamp = defended.report.stamp.line()
    metrics = place / "metrics"
    summary = {arm.name: headline(arm.report) for arm in arms}
    files.write_json(metrics / "summary.json", summary)
    kept = {key: summary["defended"][key] for key in ("test_acc", "worst_auc")}
    point = {"defense": defended.report.defense, **kept, "stamp": stamp}
    files.write_json(metrics / "tradeoff.json", [point])
    gaps = compared(undefended, defended)
    files.write_json(metrics / "comparison.json", {"stamp": stamp, "attacks": gaps})
    write_csv(metrics / "roc.csv", roc_rows(arms))
    with files.whole_folder(metrics / "plots") as folder:
        for name in plots.names():
            picture = plots.draw(name, arms)
            if picture is not None:
                files.write_bytes(folder / f"{name}.png", picture)


def load(place: Path, name: str) -> plots.Arm:
    """What the earlier stages left of an arm."""
    report = AuditReport.read(place / f"metrics/{name}/report.json")
    config = files.read_json(place / "data/config/attacks.json")
    return plots.Arm(
        report=report,
        scores=scores.read(place / f"data/scores/{name}.npz")[report.primary_name],
        view=Evidence(place / f"data/signals/{name}").target,
        curve=files.read_json(place / f"models/{name}/target.json")["curve"],
        class_names=files.read_json(place / "data/prepared/dataset.json")["class_names"],
        min_false_positives=config["metrics"]["min_false_positives"],
    )


def compared(undefended: plots.Arm, defended: plots.Arm) -> dict[str, dict[str, Any]]:
    """Attack -> AUC and TPR at 1 % FPR, defended minus undefended on the same samples, each with
    interval and p values; null where there are too few non-members for a TPR."""
    least = defended.min_false_positives
    gaps: dict[str, dict[str, Any]] = {}
    for name in defended.scores.attacks:
        pair = (defended.of(name), undefended.of(name), defended.member)
        tpr = paired.paired_difference(*pair, 0.01, min_false_positives=least)
        gaps[name] = {"auc": _rounded(rates.delong_paired(*pair)), "tpr_at_1_fpr": _rounded(tpr)}
    return gaps


def _rounded(gap: Difference | None) -> dict[str, float] | None:
    if gap is None:
        return None
    values = {**gap._asdict(), "p_lower": gap.p_lower}
    return {key: float(f"{value:.6g}") for key, value in values.items()}


def write_csv(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Rows with the same keys, as text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_bytes(path, text.getvalue().encode())
