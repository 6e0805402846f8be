"""What names members: every evaluated record's scores and risk, and who is most exposed."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from nonmember import files
from nonmember.data import prepared
from nonmember.metrics import risk, scores
from nonmember.metrics.report import AuditReport
from nonmember.metrics.scores import ScoreSet


def write_records(place: Path, report: AuditReport, folder: Path) -> int:
    """records.csv and exposed.json of an arm into `folder`; returns how many records.

    By the primary attacker. Scores of different attacks are on scales of their own.
    """
    scored = scores.read(place / f"data/scores/{report.arm}.npz")[report.primary_name]
    data = prepared.load(place / "data/prepared")
    names = data.record_ids(scored.target.ids)
    classes = files.read_json(place / "data/prepared/dataset.json")["class_names"]
    files.write_bytes(folder / "records.csv", _table(scored, names, classes).encode())
    rows = [] if scored.joint is None else _exposed(scored, names)
    exposed = {"stamp": report.stamp.line(), "attacker": report.primary_name, "records": rows}
    files.write_json(folder / "exposed.json", exposed)
    return len(names)


def _table(scored: ScoreSet, names: list[str], classes: list[str]) -> str:
    part, joint = scored.target, scored.joint
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    risks = [] if joint is None else ["risk", "risk_by"]
    writer.writerow(["row", "record", "class", "member", *risks, *part.scores])
    for i, name in enumerate(names):
        own = [] if joint is None else [f"{joint.risk[i]:.6f}", joint.attack[i]]
        writer.writerow(
            [
                int(part.ids[i]),
                name,
                classes[part.labels[i]],
                int(part.member[i]),
                *own,
                *(f"{values[i]:.9g}" for values in part.scores.values()),
            ]
        )
    return text.getvalue()


def _exposed(scored: ScoreSet, names: list[str]) -> list[dict[str, object]]:
    part, joint = scored.target, scored.joint
    assert joint is not None
    own = dict(zip(part.ids.tolist(), names, strict=True))
    exposed = risk.most_exposed(part.ids, part.labels, part.member, joint)
    return [{**row._asdict(), "risk": round(row.risk, 6), "record": own[row.id]} for row in exposed]
