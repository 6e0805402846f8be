"""Several defenses in one table: the rows, what is shared, what is done only once."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml
from project import TINY

from nonmember.commands import compare


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tiny parameters, where the scratch folder goes too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    params = {**TINY, "attacks": {"names": ["loss", "modified_entropy"]}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path


def table(folder: Path) -> dict[str, list[str]]:
    lines = (folder / "out.md").read_text().splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: cells for name, *cells in rows}


def test_one_row_a_defense_beside_the_control(place: Path) -> None:
    """The control comes first, an impossible defense says why, and the rest goes on."""
    compare.main(["dropout", "relaxloss", "advreg"], ["split.scheme=crl"], 1, "out")
    rows = table(place)
    assert list(rows) == ["none", "dropout", "relaxloss", "advreg"]
    assert "inference set" in rows["advreg"][0]
    for name in ("none", "dropout", "relaxloss"):
        train, test, gap = map(float, rows[name][:3])
        assert train - test == pytest.approx(gap, abs=0.11)
        assert rows[name][-1].endswith("×")
    assert rows["none"][-1] == "1.0×"
    assert rows["none"][11] == "–"  # nobody is less adaptive than the control's attacker
    with (place / "out.csv").open() as file:
        records = list(csv.DictReader(file))
    assert {(r["defense"], r["kind"]) for r in records} == {
        ("none", "adaptive"), ("dropout", "adaptive"), ("dropout", "non_adaptive"),
        ("relaxloss", "adaptive"), ("relaxloss", "non_adaptive"),
    }  # fmt: skip
    assert all(float(r["auc_low"]) <= float(r["auc"]) <= float(r["auc_high"]) for r in records)
    assert all(float(r["train_loss_var"]) > 0 for r in records)
    for name, cells in rows.items():
        own = {r["attack"]: float(r["auc"]) for r in records if r["defense"] == name}
        if own:
            highest = max(float(r["auc"]) for r in records if r["defense"] == name)
            assert float(cells[7]) == pytest.approx(100 * highest, abs=0.051)
            assert cells[8] in own
    assert (place / "out.png").read_bytes().startswith(b"\x89PNG")


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


def test_several_keys_go_through_all_combinations() -> None:
    found = compare.entries("crl:alpha_rce=0.6,1e0:lambda_rcl=0,1")
    assert [dict(entry.changes) for entry in found] == [
        {"alpha_rce": a, "lambda_rcl": b} for a in (0.6, 1.0) for b in (0, 1)
    ]
    assert len({entry.folder for entry in found}) == 4
    assert compare.entries("past:dropout_p=0.3")[0].changes == (("dropout_p", 0.3),)


def test_the_highest_auc_is_that_of_any_attacker(place: Path) -> None:
    """A row's worst attack may be a non-adaptive one."""

    def numbers(auc: float) -> dict[str, float]:
        return {"auc": auc, "advantage": auc - 0.5, "class_advantage": auc - 0.4}

    audit = {"adaptive": {"loss": numbers(0.6)}, "non_adaptive": {"lira": numbers(0.7)}}
    assert compare.worst(audit) == ("non_adaptive", "lira")
    model = {"train_acc": 1.0, "test_acc": 0.8, "members": 9, "non_members": 9}
    found = compare.headline({**audit, "model": model})
    assert (found["worst_auc"], found["worst_auc_kind"]) == (0.7, "non_adaptive")
    assert found["worst_advantage"] == pytest.approx(0.3)
    assert found["p1"] == pytest.approx(2 * 0.8 * 0.7 / 1.5, abs=1e-6)


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


def test_a_failure_without_a_message_is_a_row_too(place: Path, monkeypatch) -> None:
    def fail(self: compare.Place) -> None:
        raise MemoryError

    control = compare.control
    monkeypatch.setattr(
        compare,
        "control",
        lambda *a: (control(*a), monkeypatch.setattr(compare.Place, "audit", fail))[0],
    )
    compare.main(["dropout"], [], 1, "out")
    assert table(place)["dropout"][0] == "MemoryError"


def test_a_torn_line_of_times_is_passed_over(place: Path) -> None:
    (place / "work").mkdir()
    (place / "work/times.csv").write_text("a,one,1.5\n\nb,two,2.5\nc,thr")
    assert compare._times() == {"a": 1.5, "b": 2.5}


@pytest.mark.parametrize("text", ["crl:dropout_p=1", "crl:alpha_rce", "none:alpha_rce=1", "crl:"])
def test_a_key_that_the_defense_has_not(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be (crl|none):key=value,value…, keys of"):
        compare.entries(text)
    with pytest.raises(ValueError, match="alpha_rce is there twice"):
        compare.entries("crl:alpha_rce=0.6:alpha_rce=1.0")


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
    assert float(cells[1]) == pytest.approx(100 * sum(tested.values()) / 2, abs=0.051)
    gap = json.loads((place / "out.json").read_text())["dropout"]["test_acc"]
    assert gap["low"] <= gap["value"] <= gap["high"]


def test_changes_are_read_as_in_the_file(place: Path) -> None:
    params = compare.settings(["seed=3", "defense.relax_alpha=1e-3", "train.lr={0: 0.1, 2: 0.01}"])
    assert (params["seed"], params["defense"]["relax_alpha"]) == (3, 0.001)
    assert params["train"]["lr"] == {0: 0.1, 2: 0.01}


@pytest.mark.parametrize("change", ["seed", "nowhere.key=1", "=3", "seed.x=1", "train=3"])
def test_a_change_that_is_none(place: Path, change: str) -> None:
    with pytest.raises(ValueError, match=r"must be section\.key=value"):
        compare.settings([change])


def test_a_value_that_is_no_yaml_is_named(place: Path) -> None:
    with pytest.raises(ValueError, match=r"-S train\.lr=\[1: the value is no YAML"):
        compare.settings(["train.lr=[1"])


def test_an_unknown_defense_stops_before_anything_runs(place: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown defense 'crll', known: advreg"):
        compare.main(["crll"], [], 1, "out")
    assert not (place / "work").exists()


def test_text_that_looks_like_a_number_stays_text(place: Path) -> None:
    """PyYAML writes a column called "1e-3" without quotes, which YAML 1.2 reads as 0.001."""
    params = {"dataset": {"label": "1e-3", "path": "no"}, "train": {"lr": {0: 0.1, 40: 0.01}}}
    text = compare.Entry("none").applied(params).decode()
    assert compare.yaml12.load(text) == params


def test_workers_and_seed_are_no_other_comparison(place: Path, monkeypatch) -> None:
    """What was extracted and attacked with one worker is not done again with two."""
    params = compare.settings([])
    folders = []
    monkeypatch.setattr(compare, "control", lambda folder, values: folders.append(folder))
    for change in ({}, {"compute": {"workers": 2}}, {"seed": 4}, {"train": {"epochs": 3}}):
        next(compare.audits([], {**params, **change}, 1))
    first, workers, seed, other = folders
    assert first == workers
    assert (seed.parent, seed.name) == (first.parent, "4")
    assert other.parent != first.parent
