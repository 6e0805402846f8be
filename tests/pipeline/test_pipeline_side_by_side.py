"""The rows of a comparison: what is typed, what is shared, where each row's run lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nonmember import yaml12
from nonmember.pipeline import side_by_side


def test_several_keys_go_through_all_combinations() -> None:
    found = side_by_side.entries("crl:alpha_rce=0.6,1e0:lambda_rcl=0,1")
    assert [dict(entry.changes) for entry in found] == [
        {"alpha_rce": a, "lambda_rcl": b} for a in (0.6, 1.0) for b in (0, 1)
    ]
    assert len({entry.folder for entry in found}) == 4
    assert side_by_side.entries("past:dropout_p=0.3")[0].changes == (("dropout_p", 0.3),)


def test_a_torn_line_of_times_is_passed_over(place: Path) -> None:
    (place / "work").mkdir()
    (place / "work/times.csv").write_text("a,one,1.5\n\nb,two,2.5\nc,thr")
    assert side_by_side._times() == {"a": 1.5, "b": 2.5}


@pytest.mark.parametrize("text", ["crl:dropout_p=1", "crl:alpha_rce", "none:alpha_rce=1", "crl:"])
def test_a_key_that_the_defense_has_not(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be (crl|none):key=value,value…, keys of"):
        side_by_side.entries(text)
    with pytest.raises(ValueError, match="alpha_rce is there twice"):
        side_by_side.entries("crl:alpha_rce=0.6:alpha_rce=1.0")


def test_changes_are_read_as_in_the_file(place: Path) -> None:
    changes = ["seed=3", "defense.relax_alpha=1e-3", "train.lr={0: 0.1, 2: 0.01}"]
    params = side_by_side.settings(changes)
    assert (params["seed"], params["defense"]["relax_alpha"]) == (3, 0.001)
    assert params["train"]["lr"] == {0: 0.1, 2: 0.01}


@pytest.mark.parametrize("change", ["seed", "nowhere.key=1", "=3", "seed.x=1", "train=3"])
def test_a_change_that_is_none(place: Path, change: str) -> None:
    with pytest.raises(ValueError, match=r"must be section\.key=value"):
        side_by_side.settings([change])


def test_a_value_that_is_no_yaml_is_named(place: Path) -> None:
    with pytest.raises(ValueError, match=r"-S train\.lr=\[1: the value is no YAML"):
        side_by_side.settings(["train.lr=[1"])


def test_text_that_looks_like_a_number_stays_text(place: Path) -> None:
    """PyYAML writes a column called "1e-3" without quotes, which YAML 1.2 reads as 0.001."""
    params = {"dataset": {"label": "1e-3", "path": "no"}, "train": {"lr": {0: 0.1, 40: 0.01}}}
    text = side_by_side.Entry("none").applied(params).decode()
    assert yaml12.load(text) == params


def test_workers_and_seed_are_no_other_comparison(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was extracted and attacked with one worker is not done again with two."""
    params = side_by_side.settings([])
    folders: list[Path] = []
    monkeypatch.setattr(side_by_side, "control", lambda folder, _: folders.append(folder))
    changes: list[dict[str, Any]] = [
        {}, {"compute": {"workers": 2}}, {"records": {"publish": True}}, {"seed": 4},
        {"train": {"epochs": 3}},
    ]  # fmt: skip
    for change in changes:
        next(side_by_side.audits([], {**params, **change}, 1))
    first, workers, records, seed, other = folders
    assert first == workers == records
    assert (seed.parent, seed.name) == (first.parent, "4")
    assert other.parent != first.parent
