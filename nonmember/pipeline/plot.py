"""The headline numbers of both arms, and the pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nonmember import audit, files, plots
from nonmember.evidence import Evidence
from nonmember.metrics import paired, rates

ARMS = ("undefended", "defended")


def load(place: Path, name: str) -> plots.Arm:
    report = files.read_json(place / f"metrics/{name}/attacks.json")
    kind = audit.primary(report)
    with np.load(place / f"data/scores/{name}.npz", allow_pickle=False) as archive:
        scores = {attack: archive[f"{kind}.{attack}.target"] for attack in report[kind]}
        risk = archive[f"{kind}.risk"]
    return plots.Arm(
        name=name,
        defense=files.read_json(place / f"data/config/{name}.json")["defense"]["name"],
        audit=report,
        scores=scores,
        view=Evidence(place / f"data/signals/{name}").target,
        curve=files.read_json(place / f"models/{name}/target.json")["curve"],
        risk=risk,
        canaries=canaries(report, kind),
        class_names=files.read_json(place / "data/prepared/dataset.json")["class_names"],
    )


def canaries(report: Mapping[str, Any], kind: str) -> dict[str, Any] | None:
    """The strongest attack's numbers on ordinary members and on canaries, if there are any."""
    planted = report.get(f"{kind}_canaries")
    if planted is None:
        return None
    strongest = max(report[kind], key=lambda name: report[kind][name]["auc"])
    return {"members": report[kind][strongest], "canaries": planted[strongest]}


def compared(
    undefended: plots.Arm, defended: plots.Arm, least: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Attack -> AUC and TPR at 1 % FPR, defended minus undefended on the same samples, each with
    interval and p values; no TPR where there are too few non-members."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, scores in defended.scores.items():
        pair = (scores, undefended.scores[name], defended.member)
        gaps = {
            "auc": rates.delong_paired(*pair),
            "tpr_at_1_fpr": paired.paired_difference(*pair, 0.01, min_false_positives=least),
        }
        found[name] = {
            key: {k: float(f"{v:.6g}") for k, v in {**g._asdict(), "p_lower": g.p_lower}.items()}
            for key, g in gaps.items()
            if g is not None
        }
    return found


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_bytes(path, text.getvalue().encode())


def plot(place: Path) -> None:
    options = files.read_json(place / "data/config/attacks.json")["metrics"]
    arms = [load(place, name) for name in ARMS]
    summary = {arm.name: audit.headline(arm.audit) for arm in arms}
    files.write_json(place / "metrics/summary.json", summary)
    kept = {key: summary["defended"][key] for key in ("test_acc", "worst_auc")}
    files.write_json(place / "metrics/tradeoff.json", [{"defense": arms[-1].defense, **kept}])
    gaps = compared(arms[0], arms[1], options["min_false_positives"])
    files.write_json(place / "metrics/comparison.json", gaps)
    write_csv(place / "metrics/roc.csv", plots.roc_rows(arms))
    for name in plots.PICTURES:
        picture = plots.draw(name, arms, options["min_false_positives"])
        files.write_bytes(place / f"metrics/plots/{name}.png", picture)
