"""The files that name members: a line a record, true to the scores; nothing of it in metrics."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import runs

from nonmember import files
from nonmember.metrics import scores
from nonmember.metrics.report import AuditReport
from nonmember.reporting.records import write_records


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    runs.fill(folder)
    return folder


def written(place: Path, folder: Path) -> list[dict[str, str]]:
    report = AuditReport.read(place / "metrics/defended/report.json")
    assert write_records(place, report, folder) == runs.N
    with (folder / "records.csv").open() as file:
        return list(csv.DictReader(file))


def test_one_line_a_record(place: Path, tmp_path: Path) -> None:
    """Of every evaluated member and non-member, with its class, in the order of the scores."""
    rows = written(place, tmp_path)
    member = runs.signals(1, 0.5)["membership"][0]
    assert [int(row["row"]) for row in rows] == list(range(runs.N))
    assert [int(row["member"]) for row in rows] == member.tolist()
    assert [row["class"] for row in rows] == [runs.NAMES[i % runs.CLASSES] for i in range(runs.N)]
    assert [row["record"] for row in rows] == [str(i) for i in range(runs.N)]


def test_scores_and_risks_are_those_of_the_adaptive_attacker(place: Path, tmp_path: Path) -> None:
    rows = written(place, tmp_path)
    found = scores.read(place / "data/scores/defended.npz")["adaptive"]
    assert found.joint is not None
    assert list(rows[0])[-3:] == runs.ATTACKS
    for name in runs.ATTACKS:
        own = np.array([float(row[name]) for row in rows])
        np.testing.assert_allclose(own, found.target.scores[name], rtol=1e-8)
    risks = np.array([float(row["risk"]) for row in rows])
    np.testing.assert_allclose(risks, found.joint.risk, atol=1e-6)
    assert {row["risk_by"] for row in rows} <= set(runs.ATTACKS)


def test_the_most_exposed_come_highest_first(place: Path, tmp_path: Path) -> None:
    rows = written(place, tmp_path)
    found = files.read_json(tmp_path / "exposed.json")
    report = AuditReport.read(place / "metrics/defended/report.json")
    assert (found["stamp"], found["attacker"]) == (report.stamp.line(), "adaptive")
    risks = [record["risk"] for record in found["records"]]
    assert len(risks) == 20
    assert risks == sorted(risks, reverse=True)
    assert risks[0] == max(float(row["risk"]) for row in rows)
    for record in found["records"]:
        row = rows[record["id"]]
        assert record["record"] == row["record"]
        assert record["member"] == (row["member"] == "1")


def test_a_report_names_nobody(place: Path) -> None:
    """What git sees says how many, not who."""
    for path in (place / "metrics").rglob("*.json"):
        keys = keys_of(json.loads(path.read_text()))
        assert not keys & {"ids", "id", "samples", "record", "records", "row", "rows", "scores"}
        assert max(lengths(json.loads(path.read_text()))) < runs.N / 2


def keys_of(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


def lengths(value: object) -> list[int]:
    """Of every list in it: one with a value a record would be long."""
    inner = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(inner, list):
        return [0]
    own = [len(inner)] if isinstance(value, list) else [0]
    return own + [length for part in inner for length in lengths(part)]
