"""What a run is of, as the stages before training left it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny

from nonmember import files
from nonmember.data import prepared, splits
from nonmember.data.canaries import Canaries
from nonmember.metrics.stamp import Origin
from nonmember.pipeline.origin import not_run, read_origin
from nonmember.pipeline.split import split

SETTINGS = {"dataset.name": "tiny", "train.lr": 0.3}


def run(place: Path, **options: object) -> Path:
    """A folder in which data was prepared and split."""
    tiny.save(place / "data/prepared")
    config = place / "data/config"
    files.write_json(config / "split.json", {"scheme": "crl", "seed": 3, **options})
    files.write_json(config / "shadows.json", {"assignment": "split", "count": 1})
    for arm, name in (("undefended", "none"), ("defended", "crl")):
        settings = {**SETTINGS, "defense.name": name}
        files.write_json(config / f"stamp_{arm}.json", {"seed": 3, "settings": settings})
    split(place)
    return place


def test_an_origin_is_that_of_the_data_the_split_and_the_arms_settings(tmp_path: Path) -> None:
    found = read_origin(run(tmp_path), "defended")
    described = files.read_json(tmp_path / "data/prepared/dataset.json")
    [target] = splits.load_rows(tmp_path / "data/split/target.npz")
    assert found == Origin(
        data="tiny",
        sha256=described["sha256"],
        n=144,
        classes=tiny.CLASSES,
        groups=described.get("groups"),
        members=len(target.train),
        non_members=len(target.test),
        seed=3,
        settings={**SETTINGS, "defense.name": "crl"},
    )
    assert read_origin(tmp_path, "undefended").settings["defense.name"] == "none"


def test_canaries_are_no_members_and_no_non_members(tmp_path: Path) -> None:
    """They are evaluated on their own."""
    found = read_origin(run(tmp_path, canaries=0.2), "defended")
    planted = Canaries.load(tmp_path / "data/split/canaries.npz")
    [target] = splits.load_rows(tmp_path / "data/split/target.npz")
    assert len(planted.rows) > 0
    assert found.members == np.sum(~planted.among(target.train))
    assert found.non_members == np.sum(~planted.among(target.test))


def test_other_data_is_another_origin(tmp_path: Path) -> None:
    before = read_origin(run(tmp_path), "defended")
    prepared.save(tiny.arrays((5,), seed=1), "tiny", tmp_path / "data/prepared")
    after = read_origin(tmp_path, "defended")
    assert before.sha256 != after.sha256
    assert before.model_copy(update={"sha256": after.sha256}) == after


@pytest.mark.parametrize(
    "name",
    ["data/config/stamp_defended.json", "data/prepared/dataset.json", "data/split/report.json"],
)
def test_what_is_missing_is_named(tmp_path: Path, name: str) -> None:
    (run(tmp_path) / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name} is missing: .*run `dvc repro`"):
        read_origin(tmp_path, "defended")


def test_the_path_of_the_data_and_a_changed_default_are_other_settings(tmp_path: Path) -> None:
    """Neither is in a stamp. Keys that are numbers are text in JSON."""
    run_of = {"dataset": {"name": "csv", "path": "a.csv"}, "attacks": {"lr": {0: 0.1}, "epochs": 3}}
    for name, content in run_of.items():
        files.write_json(tmp_path / f"data/config/{name}.json", content)
    assert not_run(tmp_path, run_of) == []
    other = {**run_of, "dataset": {"name": "csv", "path": "b.csv"}}
    assert not_run(tmp_path, other) == ["data/config/dataset.json is of other settings"]
    other = {**run_of, "attacks": {"lr": {0: 0.1}, "epochs": 4}}
    assert not_run(tmp_path, other) == ["data/config/attacks.json is of other settings"]
    with pytest.raises(FileNotFoundError, match=r"shadows\.json is missing: nothing was run here"):
        not_run(tmp_path, {**run_of, "shadows": {}})
