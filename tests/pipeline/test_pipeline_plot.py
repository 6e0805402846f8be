"""The last stage's files: the headline, the trade-off, the curve, the gaps between the arms."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runs
from project import ROOT

from nonmember import files
from nonmember.metrics import rates
from nonmember.metrics.report import AuditReport
from nonmember.pipeline import plot
from nonmember.plots import roc
from nonmember.reporting.headline import headline


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    runs.fill(folder)
    plot.plot(folder)
    return folder


def read(made: Path, arm: str) -> AuditReport:
    return AuditReport.read(made / f"metrics/{arm}/report.json")


def test_summary_is_the_headline_of_each_arm(made: Path) -> None:
    summary = files.read_json(made / "metrics/summary.json")
    for arm in plot.ARMS:
        report = read(made, arm)
        assert summary[arm] == headline(report)
        aucs = [numbers.auc.value or 0 for _, numbers in report.places()]
        assert summary[arm]["worst_auc"] == max(aucs)
    assert summary["undefended"] != summary["defended"]


def test_tradeoff_is_the_defended_arm(made: Path) -> None:
    [row] = files.read_json(made / "metrics/tradeoff.json")
    values = files.read_json(made / "metrics/summary.json")["defended"]
    kept = {key: values[key] for key in ("test_acc", "worst_auc")}
    kept["stamp"] = read(made, "defended").stamp.line()
    assert row == {"defense": "crl", **kept}


def test_roc_csv_holds_the_strongest_attack_of_each_arm(made: Path) -> None:
    with (made / "metrics/roc.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["fpr", "tpr", "arm", "attack"]
    for arm in plot.ARMS:
        mine = [row for row in rows if row["arm"] == arm]
        assert {row["attack"] for row in mine} == {read(made, arm).primary.strongest}
        x, y = (np.array([float(row[key]) for row in mine]) for key in ("fpr", "tpr"))
        assert 2 <= len(mine) <= roc.POINTS
        assert (np.diff(x) > 0).all()
        assert (np.diff(y) >= 0).all()
        assert x[0] > 0
        assert (x[-1], y[-1]) == (1, 1)


def test_comparison_is_the_paired_gap_of_each_attack(made: Path) -> None:
    """The difference of the two AUCs on the same samples, with the stamp."""
    found = files.read_json(made / "metrics/comparison.json")
    reports = {arm: read(made, arm) for arm in plot.ARMS}
    assert found["stamp"] == reports["defended"].stamp.line()
    assert list(found["attacks"]) == runs.ATTACKS
    arms = {arm: plot.load(made, arm) for arm in plot.ARMS}
    for name, gap in found["attacks"].items():
        before, after = (rates.auc(arms[a].of(name), arms[a].member).value for a in plot.ARMS)
        assert before is not None
        assert after is not None
        assert gap["auc"]["value"] == pytest.approx(after - before, abs=1e-5)
        assert gap["auc"]["low"] <= gap["auc"]["value"] <= gap["auc"]["high"]
        assert gap["tpr_at_1_fpr"] is None  # one percent of 60 is less than the 3 that it takes


@pytest.mark.parametrize("name", ["roc_loglog", "tradeoff"])
def test_templates_are_filled_by_dvc(made: Path, tmp_path: Path, name: str) -> None:
    """No anchor of ours is left, and the data is in."""
    from dvc_render.vega import VegaRenderer

    shutil.copy(ROOT / f".dvc/plots/{name}.json", tmp_path)
    rows: list[dict[str, Any]] = files.read_json(made / "metrics/tradeoff.json")
    x, y = "test_acc", "worst_auc"
    if name == "roc_loglog":
        rows, x, y = list(csv.DictReader((made / "metrics/roc.csv").open())), "fpr", "tpr"
    rows = [{**row, "rev": "workspace"} for row in rows]
    properties = {"template": name, "template_dir": str(tmp_path), "x": x, "y": y, "title": "t"}
    filled = VegaRenderer(rows, name, **properties).get_filled_template()
    text = json.dumps(filled)
    assert "DVC_METRIC" not in text
    assert filled["data"]["values"] == rows
    assert x in text.replace(json.dumps(rows), "")
