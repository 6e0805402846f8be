"""What `prepare` says: sizes, what was left out, what looks odd, with exact counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image

from nonmember import files
from nonmember.data import prepared, summary
from nonmember.datasets import Arrays, datasets
from nonmember.kinds import TABLE
from nonmember.notices import KNOWN, Notice
from nonmember.pipeline.prepare import prepare

BEFORE = Notice(name="whole_numbers", says="said before")


def images(root: Path) -> Path:
    """Twelve noise images of each of two classes, of which two are in both."""
    for c, name in enumerate(("ant", "bee")):
        (root / name).mkdir(parents=True)
        for i in range(12):
            pixels = np.random.default_rng(10 * c + i).integers(0, 256, (4, 6, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def table(inputs: np.ndarray, labels: np.ndarray) -> Arrays:
    names = [f"class {i}" for i in range(int(labels.max()) + 1)]
    return Arrays(inputs.astype(np.float32), labels, names, kind=TABLE)


def test_nothing_odd_nothing_said() -> None:
    arrays = tiny.arrays((5,))
    assert summary.notices(arrays) == []
    assert summary.lines(arrays, "tiny") == [
        "tiny: tables, 144 samples of 5, 3 classes",
        "samples a class: a 48, b 48, c 48",
    ]


def test_many_classes_are_summed_up() -> None:
    labels = np.repeat(np.arange(21), np.arange(21) + 1)
    arrays = table(np.random.default_rng(0).normal(size=(len(labels), 1)), labels)
    assert summary.lines(arrays, "x")[1] == (
        "samples a class: 1 at least, 11 in the median, 21 at most"
    )
    [rare] = summary.notices(arrays)
    assert rare.name == "rare_classes"
    assert rare.says.startswith("classes of fewer than 10 samples: 9 (class 0 1, class 1 2, ")


def test_copies_and_constant_features_are_counted() -> None:
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(60, 3)), np.arange(60) % 2
    inputs[:, 1] = 7
    inputs[[10, 20, 31]] = inputs[0]  # 31 has another label than 0
    found = summary.notices(table(inputs, labels))
    assert [(notice.name, notice.says) for notice in found] == [
        ("copies", "exact copies of an earlier input: 3, with another label: 1"),
        ("constant_features", "features with one value in all samples: 1 (counted from 0: 1)"),
    ]


def test_texts_without_a_word_and_ids_that_are_shared() -> None:
    arrays = replace(tiny.tokens(), ids=[str(i // 2) for i in range(144)], notices=[BEFORE])
    arrays.inputs[7] = 0
    found = summary.notices(arrays)
    assert found[0] == BEFORE
    assert "samples of nothing but padding: 1" in [notice.says for notice in found]
    assert found[-1].says.startswith("ids that an earlier sample has: 72; ")


def test_prepare_says_what_it_read_and_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = images(tmp_path / "images")
    for name in ("ant/notes.txt", "ant/more.txt", "bee/list.csv", ".hidden", "top.png"):
        (root / name).write_text("")
    files.write_json(
        tmp_path / "data/config/dataset.json",
        {"name": "image_folder", "path": str(root), "group": r"(\d)", "accept": ["copies"]},
    )
    prepare(tmp_path)
    skipped = "skipped files: no images 3 (.txt 2, .csv 1), hidden 1, in no class folder 1"
    assert capsys.readouterr().out.splitlines() == [
        "image_folder: images, 24 samples of 3 × 4 × 6, 2 classes",
        "samples a class: ant 12, bee 12",
        "groups: 10",
        skipped,
        "notice: left out: in no class folder 1 (skipped_images)",
        "notice: exact copies of an earlier input: 2, with another label: 2 (copies, accepted)",
    ]
    meta = files.read_json(tmp_path / "data/prepared/dataset.json")
    assert meta["skipped"] == [skipped]
    assert [(n["name"], n["accepted"]) for n in meta["notices"]] == [
        ("skipped_images", False), ("copies", False),
    ]  # fmt: skip
    data = prepared.load(tmp_path / "data/prepared")
    assert data.record_ids(np.array([13, 0])) == ["bee/1.png", "ant/0.png"]
    assert data.groups is not None
    assert data.groups[0] == data.groups[12]


def test_records_without_ids_are_called_by_their_row(tmp_path: Path) -> None:
    assert tiny.save(tmp_path).record_ids(np.array([5, 2])) == ["5", "2"]


@pytest.mark.parametrize("name", ["ids", "groups"])
def test_ids_of_another_data_set(tmp_path: Path, name: str) -> None:
    """A file left over goes with the next `save`; one that does not fit is refused."""
    arrays = replace(tiny.arrays((5,)), ids=list("x" * 144), groups=np.arange(144))
    prepared.save(arrays, "tiny", tmp_path)
    files.write_array(tmp_path / f"{name}.npy", np.arange(143))
    with pytest.raises(ValueError, match=rf"{name}\.npy: must hold 144 values"):
        prepared.load(tmp_path)
    data = tiny.save(tmp_path)
    assert data.ids is None
    assert data.groups is None


N = 600
RNG = np.random.default_rng(1)
COUNTERS = {
    "rows": np.arange(N),
    "shuffled": RNG.permutation(N),
    "backwards by threes": 7.5 - 3 * np.arange(N),
    "shares of one": RNG.permutation(N) / N,
    "far from 0": 1_000_000 + np.arange(N),
    "ids with gaps": RNG.choice(2 * N, N, replace=False),
    "anew in each of three files": np.tile(np.arange(N // 3), 3),
    "anew in two files of different length": np.r_[np.arange(400), np.arange(200)],
    "every row twice": RNG.permutation(np.repeat(np.arange(N // 2), 2)),
}
MEASURES = {
    "drawn": RNG.normal(size=N),
    "evenly drawn": RNG.random(N),
    "whole numbers": RNG.integers(0, 1000, N),
    "many whole numbers": RNG.integers(0, 10**6, N),
    "a month": np.tile(np.arange(1, 13), N // 12),
    "ages": RNG.integers(18, 90, N),
    "constant": np.ones(N),
    "a walk": np.cumsum(RNG.normal(size=N)),
}


@pytest.mark.parametrize("name", COUNTERS)
def test_what_counts_the_rows_is_refused_unless_accepted(name: str) -> None:
    arrays = table(np.c_[RNG.normal(size=N), COUNTERS[name]], np.arange(N) % 2)
    with pytest.raises(ValueError, match=r"feature 1 .*counts the rows.*accept: \[row_numbers\]"):
        summary.notices(arrays)
    arrays = replace(arrays, columns=["column 'a'", "column 'b'"])
    with pytest.raises(ValueError, match="column 'b' counts the rows"):
        summary.notices(arrays)
    assert "row_numbers" in [n.name for n in summary.notices(arrays, ["row_numbers"])]


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_does_not_count_the_rows(name: str) -> None:
    assert not summary.counts_rows(MEASURES[name].astype(np.float32))


@pytest.mark.parametrize(
    ("labels", "noticed"),
    [
        (np.round(RNG.normal(30, 4, 2000)).astype(int), True),  # ages, rounded
        (RNG.poisson(9, 2000), True),  # counts
        (RNG.integers(0, 150, 1500), True),  # evenly spread, few each
        (np.arange(2000) % 100, False),  # a hundred classes of one size
        (RNG.choice(30, 2000, p=RNG.dirichlet(np.full(30, 8))), False),  # of any size
    ],
)
def test_labels_that_look_like_a_measurement(labels: np.ndarray, noticed: bool) -> None:
    names, codes = np.unique(labels, return_inverse=True)
    arrays = Arrays(RNG.normal(size=(len(codes), 2)), codes, [str(i) for i in names], kind=TABLE)
    assert ("measured_labels" in [n.name for n in summary.notices(arrays)]) == noticed


def test_a_majority_is_said_with_its_share() -> None:
    arrays = table(RNG.normal(size=(200, 2)), (np.arange(200) < 8).astype(int))
    found = {notice.name: notice.says for notice in summary.notices(arrays)}
    assert "96.0 % of the samples are of class class 0" in found["imbalance"]


def test_near_copies_are_noticed_unless_their_group_is_known() -> None:
    x = np.repeat(RNG.normal(size=(200, 6)), 4, 0) + 0.01 * RNG.normal(size=(800, 6))
    arrays = table(x, np.arange(800) % 2)
    [notice] = summary.notices(arrays)
    assert (notice.name, "split.group" in notice.says) == ("near_copies", True)
    assert summary.notices(replace(arrays, groups=np.arange(800) // 4)) == []


def test_images_of_one_colour_are_counted() -> None:
    arrays = tiny.arrays((1, 4, 4))
    arrays.inputs[[3, 9]] = [[[[0.5]]], [[[0.25]]]]
    assert [n.says for n in summary.notices(arrays)] == ["images of one colour: 2"]


@pytest.mark.parametrize("name", ["digits", "shoppers"])
def test_data_that_come_with_the_package_give_no_notice(name: str) -> None:
    options: dict[str, Any] = {"n": 3000} if name == "shoppers" else {}
    assert summary.notices(datasets.get(name)(**options).load(Path())) == []


def test_checks_are_known_by_name() -> None:
    assert set(summary.CHECKS) <= set(KNOWN)
