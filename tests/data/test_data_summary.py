"""What `prepare` says: sizes, what was left out, what looks odd, with exact counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

from nonmember import files
from nonmember.data import prepared, summary
from nonmember.datasets import Arrays
from nonmember.kinds import TABLE
from nonmember.pipeline.prepare import prepare


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
    arrays = table(np.arange(len(labels))[:, None], labels)
    assert summary.lines(arrays, "x")[1] == (
        "samples a class: 1 at least, 11 in the median, 21 at most"
    )
    [rare] = summary.notices(arrays)
    assert rare.startswith("classes of fewer than 10 samples: 9 (class 0 1, class 1 2, ")


def test_copies_and_constant_features_are_counted() -> None:
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(60, 3)), np.arange(60) % 2
    inputs[:, 1] = 7
    inputs[[10, 20, 31]] = inputs[0]  # 31 has another label than 0
    assert summary.notices(table(inputs, labels)) == [
        "exact copies of an earlier input: 3, with another label: 1",
        "features with one value in all samples: 1 (counted from 0: 1)",
    ]


def test_texts_without_a_word_and_ids_that_are_shared() -> None:
    arrays = replace(tiny.tokens(), ids=[str(i // 2) for i in range(144)], notices=["said before"])
    arrays.inputs[7] = 0
    found = summary.notices(arrays)
    assert found[0] == "said before"
    assert "samples of nothing but padding: 1" in found
    assert found[-1].startswith("ids that an earlier sample has: 72; ")


def test_prepare_says_what_it_read_and_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = images(tmp_path / "images")
    for name in ("ant/notes.txt", "ant/more.txt", "bee/list.csv", ".hidden", "top.png"):
        (root / name).write_text("")
    files.write_json(
        tmp_path / "data/config/dataset.json",
        {"name": "image_folder", "path": str(root), "group": r"(\d)"},
    )
    prepare(tmp_path)
    skipped = "skipped files: no images 3 (.txt 2, .csv 1), hidden 1, in no class folder 1"
    assert capsys.readouterr().out.splitlines() == [
        "image_folder: images, 24 samples of 3 × 4 × 6, 2 classes",
        "samples a class: ant 12, bee 12",
        "groups: 10",
        skipped,
        "notice: exact copies of an earlier input: 2, with another label: 2",
    ]
    meta = files.read_json(tmp_path / "data/prepared/dataset.json")
    assert meta["skipped"] == [skipped]
    assert len(meta["notices"]) == 1
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
