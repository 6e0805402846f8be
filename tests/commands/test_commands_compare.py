"""Several defenses in one table: the rows, what is shared, what is done only once."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import runs

from nonmember.commands import compare
from nonmember.notices import Notice
from nonmember.pipeline import side_by_side


def table(folder: Path) -> dict[str, dict[str, str]]:
    """Name of a row -> head of a column -> cell."""
    text, _ = (folder / "out.md").read_text().split("\n\n")  # the stamp is below
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    head, _, *body = rows
    return {row[0]: dict(zip(head, row, strict=True)) for row in body}


def test_one_row_a_defense_beside_the_control(place: Path) -> None:
    """The control comes first, an impossible defense says why, and the rest goes on."""
    compare.main(["dropout", "relaxloss", "advreg"], ["split.scheme=crl"], 1, "out")
    rows = table(place)
    assert list(rows) == ["none", "dropout", "relaxloss", "advreg"]
    assert "reference set" in rows["advreg"]["train"]
    for name in ("none", "dropout", "relaxloss"):
        train, test, gap = (float(rows[name][key]) for key in ("train", "test", "gap"))
        assert train - test == pytest.approx(gap, abs=0.11)
        assert rows[name]["time"].endswith("×")
    assert rows["none"]["time"] == "1.0×"
    assert rows["none"]["adv. non-adaptive"] == "–"  # nobody is less adaptive than the control's
    with (place / "out.csv").open() as file:
        records = list(csv.DictReader(file))
    assert {(r["defense"], r["attacker"]) for r in records} == {
        ("none", "adaptive"), ("dropout", "adaptive"), ("dropout", "non_adaptive"),
        ("relaxloss", "adaptive"), ("relaxloss", "non_adaptive"),
    }  # fmt: skip
    assert all(float(r["auc_low"]) <= float(r["auc"]) <= float(r["auc_high"]) for r in records)
    assert all(float(r["train_loss_var"]) > 0 for r in records)
    for name, cells in rows.items():
        own = {r["attack"]: float(r["auc"]) for r in records if r["defense"] == name}
        if own:
            highest = max(float(r["auc"]) for r in records if r["defense"] == name)
            assert float(cells["AUC, max"]) == pytest.approx(100 * highest, abs=0.051)
            assert cells["attack"] in own
    assert (place / "out.png").read_bytes().startswith(b"\x89PNG")
    stamp = (place / "out.md").read_text().splitlines()[-1]
    assert stamp.startswith("data digits (")


def test_settings_of_one_defense_are_rows_of_their_own(place: Path) -> None:
    compare.main(["none", "dropout:dropout_p=0.1,0.9", "dropout"], ["shadows.count=1"], 1, "out")
    assert list(table(place)) == [
        "none",
        "dropout dropout_p=0.1",
        "dropout dropout_p=0.9",
        "dropout",
    ]
    recipes = place.glob("work/compare/*/*/dropout*/data/config/defended.json")
    found = {json.loads(path.read_text())["defense"]["dropout_p"] for path in recipes}
    assert found == {0.1, 0.5, 0.9}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("seed=abc", "seed"), ("seed=1.5", "seed"), ("dataset.path=5", r"dataset\.path"),
        ("train.lr={0: 0.1, a: 0.2}", r"train\.lr"), ("split.canaries=0.0001", r"split\.canaries"),
    ],
)  # fmt: skip
def test_bad_values_are_one_message_before_anything_runs(
    place: Path, change: str, key: str
) -> None:
    with pytest.raises(ValueError, match=key):
        compare.main(["dropout"], [change], 1, "out")
    assert not (place / "work").exists()


@pytest.mark.parametrize("name", ["dropout:dropout_p=7", "past:nonsense=1"])
def test_a_bad_setting_of_a_row_is_said_before_anything_runs(place: Path, name: str) -> None:
    said = r"^(dropout dropout_p=7|past nonsense=1): (.|\n)*defense\.(dropout_p|nonsense)"
    with pytest.raises(ValueError, match=said):
        compare.main(["l2", name], [], 1, "out")
    assert not (place / "work").exists()


def test_a_failure_without_a_message_is_a_row_too(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: side_by_side.Place) -> None:
        raise MemoryError

    control = side_by_side.control
    monkeypatch.setattr(
        side_by_side,
        "control",
        lambda *a: (control(*a), monkeypatch.setattr(side_by_side.Place, "audit", fail))[0],
    )
    compare.main(["dropout"], [], 1, "out")
    assert table(place)["dropout"]["train"] == "MemoryError"


def test_a_second_time_trains_and_extracts_nothing(place: Path) -> None:
    """A run that was killed goes on where it was; the same table comes out."""
    compare.main(["dropout"], [], 1, "out")
    before, stored = table(place), set((place / "work/models").iterdir())
    signals = [p.stat().st_mtime_ns for p in place.glob("work/compare/*/*/*/data/signals/*/*.npy")]
    compare.main(["dropout"], [], 1, "out")
    assert table(place) == before
    assert set((place / "work/models").iterdir()) == stored
    assert signals == [
        p.stat().st_mtime_ns for p in place.glob("work/compare/*/*/*/data/signals/*/*.npy")
    ]


def test_several_seeds_are_averaged_and_tested_in_pairs(place: Path) -> None:
    compare.main(["dropout"], [], 2, "out")
    cells = table(place)["dropout"]
    with (place / "out.csv").open() as file:
        records = [r for r in csv.DictReader(file) if r["defense"] == "dropout"]
    assert {record["seed"] for record in records} == {"0", "1"}
    tested = {record["seed"]: float(record["test_acc"]) for record in records}
    assert float(cells["test"]) == pytest.approx(100 * sum(tested.values()) / 2, abs=0.051)
    gap = json.loads((place / "out.json").read_text())["tests"]["dropout"]["test_acc"]
    assert gap["low"] <= gap["value"] <= gap["high"]


def test_an_unknown_defense_stops_before_anything_runs(place: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown defense 'crll', known: advreg"):
        compare.main(["crll"], [], 1, "out")
    assert not (place / "work").exists()


def test_notices_stand_below_the_table_each_once(tmp_path: Path) -> None:
    notice = Notice(name="near_copies", says="9 near-copies")
    report = runs.report("undefended", notices=[notice])
    page = compare.Page(str(tmp_path / "out"), 2, 0)
    page.add(side_by_side.CONTROL, [side_by_side.Outcome(report), side_by_side.Outcome(report)])
    page.write()
    text = (tmp_path / "out.md").read_text(encoding="utf-8")
    assert text.endswith("\n\nnotice: 9 near-copies (near_copies)\n")
    assert text.count("near-copies") == 1
