"""Pictures and headline files from small made-up evidence: written, reproducible, true."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from nonmember import audit, files, plots, statistics
from nonmember.metrics import rates
from nonmember.metrics.intervals import Interval
from nonmember.pipeline import plot
from nonmember.plots import _style, roc, samples
from nonmember.views import View

N, CLASSES = 120, 4
ATTACKS = {"loss": {}, "entropy": {}, "grad_x_l2": {}}


def make_signals(seed: int, gap: float) -> dict[str, np.ndarray]:
    """A target and a shadow whose logit of the true class is `gap` higher for members."""
    rng = np.random.default_rng(seed)
    labels = np.arange(N) % CLASSES
    membership = np.stack([np.arange(N) // CLASSES % 2, (np.arange(N) // CLASSES + 1) % 2])
    logits = rng.normal(size=(2, N, CLASSES))
    logits[:, np.arange(N), labels] += gap * membership
    return {
        "sample_ids": np.arange(N),
        "labels": labels,
        "membership": membership.astype(np.int8),
        "logits": logits.astype(np.float32),
        "feature_norm": rng.uniform(1, 5, (2, N)).astype(np.float32),
        "grad_x_l2": np.exp(rng.normal(size=(2, N)) - gap * membership).astype(np.float32),
    }


def fill(folder: Path) -> None:
    """What the stages before `plot` leave behind, made by the same functions."""
    options = {"seed": 0, "attacks": ATTACKS, "metrics": {"min_false_positives": 3}}
    files.write_json(folder / "data/config/attacks.json", options)
    names = [f"class {label}" for label in range(CLASSES)]
    files.write_json(folder / "data/prepared/dataset.json", {"class_names": names})
    for number, (arm, defense, gap) in enumerate(
        [("undefended", "none", 3.0), ("defended", "crl", 0.5)]
    ):
        for name, array in make_signals(number, gap).items():
            files.write_array(folder / f"data/signals/{arm}/{name}.npy", array)
        evidence = plot.Evidence(folder / f"data/signals/{arm}")
        scores = audit.score(evidence, evidence, ATTACKS, 0)
        truth = audit.truth(evidence)
        report: dict[str, Any] = {"model": audit.behaviour(evidence.target), "duplicates": 0}
        report["adaptive"], risks = audit.numbers(scores, truth, truth, CLASSES, options["metrics"])
        scores |= risks
        audit.exposure(scores, truth, CLASSES, 0, 1e-5)
        if arm == "defended":
            report["non_adaptive"] = report["adaptive"]
        kept = {f"adaptive.{name}": values for name, values in scores.items()}
        files.write_arrays(folder / f"data/scores/{arm}.npz", {**truth, **kept})
        files.write_json(folder / f"data/config/{arm}.json", {"defense": {"name": defense}})
        files.write_json(folder / f"metrics/{arm}/attacks.json", report)
        curve = [{"epoch": e, "loss": 1 / e, "accuracy": 1 - 1 / e, "lr": 0.1} for e in (1, 2, 3)]
        files.write_json(folder / f"models/{arm}/target.json", {"curve": curve})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("project")
    fill(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        plot.plot(Path())
        yield folder


@pytest.fixture
def arms(made: Path) -> list[plots.Arm]:
    return [plot.load(Path(), name) for name in plot.ARMS]


@pytest.mark.parametrize("name", plots.PICTURES)
def test_every_picture_is_written_and_reproducible(made: Path, name: str, arms) -> None:
    """A real PNG 1280 pixels wide, and the same bytes again, whatever the global settings."""
    import matplotlib as mpl

    picture = (made / f"metrics/plots/{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert int.from_bytes(picture[16:20], "big") == 1280
    assert b"matplotlib" not in picture.lower()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert plots.draw(name, arms, 3) == picture


@pytest.mark.parametrize("name", sorted(set(plots.PICTURES) - {"training"}))
def test_a_picture_depends_on_its_numbers(name: str, arms) -> None:
    """The arms exchanged: the picture must change."""
    full = [replace(arm, risk=risks(arm), canaries=planted(arm)) for arm in arms]
    swapped = [
        replace(b, name=a.name, defense=a.defense) for a, b in zip(full, full[::-1], strict=True)
    ]
    assert plots.draw(name, swapped, 3) != plots.draw(name, full, 3)


def risks(arm: plots.Arm) -> np.ndarray:
    """The rank of the sample's score, in [0, 1]."""
    return np.argsort(np.argsort(arm.scores["loss"])) / (N - 1)


def planted(arm: plots.Arm) -> dict[str, dict[str, Any]]:
    """Ordinary members as they are, canaries found more often; nothing at the lowest rates."""
    kinds = {}
    for kind, factor in (("members", 0.5), ("canaries", 1.0)):
        value = factor * arm.audit["adaptive"]["loss"]["auc"]
        rate = Interval(value, value / 2, (1 + value) / 2)
        found = {"tpr_at_1_fpr": rate, "tpr_at_01_fpr": None, "tpr_at_001_fpr": None}
        kinds[kind] = {k: v for key, i in found.items() for k, v in rates.flat(key, i).items()}
    return kinds


@pytest.mark.parametrize("name", ["risk", "canaries", "class_auc"])
def test_what_was_not_measured_is_said(name: str, arms) -> None:
    """A low picture in place of an empty one; as soon as one arm has the data it is drawn."""
    single = {"labels": np.arange(N), "logits": np.zeros((N, N), np.float32)}  # one a class
    few = [replace(arm, view=replace(arm.view, **single), risk=None) for arm in arms]
    bare = [replace(arm, risk=None) for arm in arms]
    nothing = plots.draw(name, few if name == "class_auc" else bare, 3)
    one = [replace(arms[0], risk=risks(arms[0]), canaries=planted(arms[0])), few[1]]
    for picture, low in ((nothing, True), (plots.draw(name, one, 3), False)):
        assert (int.from_bytes(picture[20:24], "big") < 300) == low


def test_canaries_without_a_supported_rate_are_said(arms) -> None:
    nothing = rates.flat("tpr_at_1_fpr", None) | rates.flat("tpr_at_01_fpr", None)
    nothing |= rates.flat("tpr_at_001_fpr", None)
    arm = replace(arms[0], canaries={"members": nothing, "canaries": nothing})
    assert int.from_bytes(plots.draw("canaries", [arm])[20:24], "big") < 300


def test_classes_are_drawn_by_name(arms) -> None:
    named = [replace(arm, class_names=["ant", "bee", "cat", "dog"]) for arm in arms]
    assert plots.draw("class_auc", named) != plots.draw("class_auc", arms)


def test_the_band_is_the_interval_of_each_rate() -> None:
    rng = np.random.default_rng(0)
    member = rng.random(2000) < 0.4
    scores = (rng.normal(size=2000) + member).round(2)
    x, low, high = roc.band(scores, member, min_false_positives=12, points=60)
    assert x[0] * (~member).sum() >= 12
    assert len(x) < len(roc.curve(scores, member, points=60)[0])
    for allowed, *interval in list(zip(x, low, high, strict=True))[:-1]:
        assert rates.tpr_at_fpr(scores, member, allowed, 1)[1:] == pytest.approx(interval)
    assert (x[-1], high[-1]) == (1, 1)
    assert not len(roc.band(scores, member, min_false_positives=2000)[0])


def test_summary_is_the_headline_of_each_arm(made: Path) -> None:
    summary = files.read_json(made / "metrics/summary.json")
    for arm in plot.ARMS:
        report = files.read_json(made / f"metrics/{arm}/attacks.json")
        assert summary[arm] == audit.headline(report)
        attackers = [report[kind] for kind in audit.kinds(report)]
        worst = max(numbers["auc"] for found in attackers for numbers in found.values())
        assert summary[arm]["worst_auc"] == worst
    assert summary["undefended"] != summary["defended"]


def test_tradeoff_is_the_defended_arm(made: Path) -> None:
    [row] = files.read_json(made / "metrics/tradeoff.json")
    headline = files.read_json(made / "metrics/summary.json")["defended"]
    assert row == {
        "defense": "crl",
        "test_acc": headline["test_acc"],
        "worst_auc": headline["worst_auc"],
    }


def test_roc_csv_holds_the_strongest_attack_of_each_arm(made: Path, arms) -> None:
    rows = list(csv.DictReader((made / "metrics/roc.csv").open()))
    assert list(rows[0]) == ["fpr", "tpr", "arm", "attack"]
    for arm in arms:
        mine = [row for row in rows if row["arm"] == arm.name]
        assert {row["attack"] for row in mine} == {arm.strongest}
        x, y = (np.array([float(row[key]) for row in mine]) for key in ("fpr", "tpr"))
        assert 2 <= len(mine) <= roc.POINTS
        assert (np.diff(x) > 0).all()
        assert (np.diff(y) >= 0).all()
        assert x[0] > 0
        assert (x[-1], y[-1]) == (1, 1)


@pytest.mark.parametrize("decimals", [8, 1])
def test_roc_points_lie_on_the_curve(decimals: int) -> None:
    """Equal to scikit-learn's curve and to rates.tpr_at_fpr, with equal scores too."""
    rng = np.random.default_rng(0)
    member = rng.random(2000) < 0.4
    scores = (rng.normal(size=2000) + member).round(decimals)
    x, y = roc.curve(scores, member, points=50)
    assert len(x) <= 50
    fpr, tpr, _ = roc_curve(member, scores, drop_intermediate=False)
    twin = [tpr[fpr <= allowed + 1e-12].max() for allowed in x]
    np.testing.assert_allclose(y, twin, atol=1e-12)
    for allowed, found in zip(x[:-1], y[:-1], strict=True):
        assert rates.tpr_at_fpr(scores, member, allowed, 1).value == pytest.approx(found)


def test_roc_of_perfect_reversed_and_constant_scores() -> None:
    member = np.arange(20) < 10
    perfect = np.where(member, 1.0, 0.0)
    for scores, expected in ((perfect, 1.0), (-perfect, 0.0), (np.zeros(20), 0.0)):
        x, y = roc.curve(scores, member)
        assert (y[:-1] == expected).all()
        assert (x[-1], y[-1]) == (1, 1)


def test_distance_is_one_minus_the_margin_and_does_not_saturate() -> None:
    rng = np.random.default_rng(0)
    view = View(np.arange(50), np.zeros(50, int), rng.normal(size=(50, 5)).astype(np.float32))
    margin = statistics.margin(view.log_probs)
    np.testing.assert_allclose(samples.distance_left(view), 1 - margin, rtol=1e-9)
    sure = View(np.arange(1), np.zeros(1, int), np.array([[100.0, 0.0]], np.float32))
    assert statistics.margin(sure.log_probs) == [1.0]
    np.testing.assert_allclose(samples.distance_left(sure), 2 * np.exp(-100.0))


def test_clipped_samples_are_said() -> None:
    assert samples._clipped([np.array([0.0, 1.0]), np.array([1e-300])]).startswith(" (2 samples")
    assert samples._clipped([np.array([1.0])]) == ""


@pytest.mark.parametrize("name", ["loss", "boundary", "origin_boundary"])
def test_saturated_models_can_be_drawn(arms, name: str) -> None:
    """Losses of exactly 0 and one value for all samples."""
    sure = np.zeros((N, CLASSES), np.float32)
    view = arms[0].view
    sure[np.arange(N), view.labels] = 2000
    view = View(view.ids, view.labels, sure, view.signals, view.member)
    arm = plots.Arm("defended", "crl", arms[0].audit, arms[0].scores, view, arms[0].curve)
    assert plots.draw(name, [arm]).startswith(b"\x89PNG")


def test_missing_feature_norm_and_membership_are_named(arms) -> None:
    arm, view = arms[0], arms[0].view
    blind = View(view.ids, view.labels, view.logits, {}, view.member)
    with pytest.raises(ValueError, match="undefended: no signal feature_norm; run the stage"):
        plots.draw(
            "origin_boundary",
            [plots.Arm(arm.name, arm.defense, arm.audit, arm.scores, blind, arm.curve)],
        )
    unknown = View(view.ids, view.labels, view.logits, view.signals)
    with pytest.raises(ValueError, match="undefended: the view's member must be known, got None"):
        plots.draw(
            "loss", [plots.Arm(arm.name, arm.defense, arm.audit, arm.scores, unknown, arm.curve)]
        )


@pytest.mark.parametrize(
    ("value", "text"), [(0.5123, "0.51"), (9.7e-5, r"$9.7 \times 10^{-5}$"), (0.0, "0")]
)
def test_numbers_are_written_out(value: float, text: str) -> None:
    assert _style.number(value) == text


def test_importing_loads_no_matplotlib() -> None:
    code = "import sys, nonmember.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", ["roc_loglog", "tradeoff"])
def test_templates_are_filled_by_dvc(made: Path, tmp_path: Path, name: str) -> None:
    """No anchor of ours is left, and the data is in."""
    from dvc_render.vega import VegaRenderer

    folder = Path(__file__).parent.parent / ".dvc/plots"
    shutil.copy(folder / f"{name}.json", tmp_path)
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
