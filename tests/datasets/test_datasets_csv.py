from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets_samples import csv

from nonmember.datasets import _tables
from nonmember.datasets import csv as module
from nonmember.datasets.csv import Csv


def fails(path: Path, match: str, found_by_check: bool, **options: Any) -> None:
    dataset = Csv(**options)
    problems = dataset.check(path)
    assert bool(problems) == found_by_check
    with pytest.raises(ValueError, match=match) as error:
        dataset.load(path)
    assert str(path) in str(error.value)


def test_columns_keep_their_order_around_the_label(tmp_path: Path) -> None:
    text = '\ufeff"b", kind,a\n1,x,2.5\n\n-3e2, "y",4\n5,x,6\n7,y,8\n'
    data = Csv(label="kind").load(csv(tmp_path / "t.csv", text))
    assert data.inputs.dtype == np.float32
    assert data.inputs.tolist() == [[1, 2.5], [-300, 4], [5, 6], [7, 8]]
    assert data.class_names == ["x", "y"]
    assert data.labels.tolist() == [0, 1, 0, 1]
    assert data.mean == pytest.approx(data.inputs.mean(0).tolist())
    assert data.std == pytest.approx(data.inputs.std(0).tolist())


def test_standardize_off(tmp_path: Path) -> None:
    data = Csv(standardize=False).load(csv(tmp_path / "t.csv"))
    assert (data.mean, data.std) == ([0.0], [1.0])


def test_a_binary_table_becomes_uint8(tmp_path: Path) -> None:
    text = "a,label,b\n0,3,1\n1.0,-1,0\n1,3,1\n0,-1,1\n"
    data = Csv().load(csv(tmp_path / "t.csv", text))
    assert data.inputs.dtype == np.uint8
    assert data.inputs.tolist() == [[0, 1], [1, 0], [1, 1], [0, 1]]
    assert (data.mean, data.std) == ([0.0], [1.0])


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["10", "9", "2"], ["2", "9", "10"]),
        (["-1", "+1", "0"], ["-1", "0", "1"]),
        (["1.0", "0.0", "5"], ["0", "1", "5"]),
        (["b10", "b9", "a"], ["a", "b10", "b9"]),
        (["1", "x", "none"], ["1", "none", "x"]),
    ],
)
def test_labels_sort_as_numbers_if_all_are(
    tmp_path: Path, labels: list[str], names: list[str]
) -> None:
    text = "a,label\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels * 2))
    data = Csv().load(csv(tmp_path / "t.csv", text))
    assert data.class_names == names


def test_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    rows = "".join(f"{a},{b},{c},{i % 4}\n" for i, (a, b, c) in enumerate(x.tolist()))
    path = csv(tmp_path / "t.csv", "a,b,c,label\n" + rows)
    monkeypatch.setattr(module, "BLOCK", 7)
    data = Csv().load(path)
    assert np.array_equal(data.inputs, x)
    assert data.labels.tolist() == [i % 4 for i in range(50)]


@pytest.mark.parametrize("cell", ["abc", "nan", "inf", "1e60", "True"])
def test_a_cell_that_is_no_number(tmp_path: Path, cell: str) -> None:
    path = csv(tmp_path / "t.csv", f"a,label,b\n1,0,2\n\n1,1,{cell}\n1,0,2\n1,1,x\n")
    fails(path, f"line 4, column 'b': '{cell}' is not a finite number", False)


def test_an_empty_cell(tmp_path: Path) -> None:
    path = csv(tmp_path / "t.csv", "a,b,label\n1,2,0\n,2,1\n")
    fails(path, "line 3, column 'a': the cell is empty", False)


@pytest.mark.parametrize("label", ["", " ", "NaN"])
def test_a_missing_label(tmp_path: Path, label: str) -> None:
    path = csv(tmp_path / "t.csv", f"a,label\n1,0\n2,1\n3,{label}\n4,1\n")
    fails(path, "line 4, column 'label': the label is missing", False)


@pytest.mark.parametrize("row", ["1,2", "1,2,0,9"])
def test_rows_of_another_length(tmp_path: Path, row: str) -> None:
    path = csv(tmp_path / "t.csv", f"a,b,label\n1,2,0\n1,2,1\n{row}\n")
    fails(path, f"line 4: {row.count(',') + 1} cells, header has 3", False)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a,b,y\n1,2,0\n", r"dataset\.label: no column 'label' .*columns: a, b, y"),
        ("1,2,0\n3,4,1\n", "no column 'label' in the first line, which must be a header"),
        ("a;b;label\n1;2;0\n", "columns: a;b;label"),
        ("", "columns: none"),
        (",a,label\n0,1,0\n1,1,1\n", "column 1 has no name; if it is a row number, drop it"),
        ("a,a,label\n0,1,0\n1,1,1\n", "two columns are called 'a'"),
        ("a;b;label\n1;2;0\n", "columns: a;b;label; they must be separated by commas"),
        ("label\n0\n1\n", "no column beside the labels"),
        ("a,label\n0,5\n1,5\n", r"column 'label': two classes or more are needed, found \['5'\]"),
        ("a,label\n", r"two classes or more are needed, found \[\]"),
        ('a,label\n0,"5\n1,5\n', "no comma-separated UTF-8 text"),
    ],
)
def test_what_check_finds(tmp_path: Path, text: str, match: str) -> None:
    fails(csv(tmp_path / "t.csv", text), match, True)


def test_labels_that_are_a_measurement(tmp_path: Path) -> None:
    path = csv(tmp_path / "t.csv", "a,label\n0,0.5\n1,1.5\n0,0.5\n1,1.5\n")
    fails(path, r"column 'label'.*whole numbers or text, row 0 .* is 0\.5", False)


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,label\n\xff,1\n")
    fails(path, "no comma-separated UTF-8 text", True)


def test_many_rows_are_read_fast(tmp_path: Path) -> None:
    """20,000 × 20 take about 0.1 s; a Python loop over cells would take several."""
    row = ",".join(["0.123456"] * 20)
    rows = "".join(f"{row},{i % 10}\n" for i in range(20_000))
    header = ",".join(f"f{i}" for i in range(20)) + ",label\n"
    path = csv(tmp_path / "t.csv", header + rows)
    start = time.perf_counter()
    data = Csv().load(path)
    assert time.perf_counter() - start < 2
    assert data.inputs.shape == (20_000, 20)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["01", "1", "01", "1"], ["01", "1"]),  # codes, not numbers
        (["01", "1", "2.0"] * 2, ["01", "1", "2.0"]),
        (
            ["10000000000000000001", "10000000000000000002"] * 2,
            ["10000000000000000001", "10000000000000000002"],
        ),  # more digits than a number holds
        ([" 2", "10", "2", "10 "], ["2", "10"]),
        (["1", "1.0", "2", "2.0"], ["1", "2"]),
    ],
)
def test_labels_are_numbers_only_where_no_two_codes_become_one(labels: Any, names: Any) -> None:
    assert _tables.encode_labels(np.array(labels))[1] == names


def test_encode_labels_round_trip() -> None:
    labels = np.random.default_rng(0).integers(-5, 5, 200) * 7
    codes, names = _tables.encode_labels(labels)
    assert np.array_equal(np.array(names, int)[codes], labels)


def test_a_cell_that_only_rounding_makes_finite(tmp_path: Path) -> None:
    """A little above float32's largest number is that number; it used to be found nowhere."""
    path = csv(tmp_path / "t.csv", "a,label\n3.4028235e38,0\n1,1\n2,0\n3,1\n")
    assert Csv().load(path).inputs.max() == np.finfo(np.float32).max


def test_a_column_that_float32_would_flatten_is_named(tmp_path: Path) -> None:
    rows = "".join(f"{100_000_000 + i},{i % 2}\n" for i in range(6))
    fails(
        csv(tmp_path / "t.csv", f"stamp,label\n{rows}"), "column 'stamp' lies between 1000", False
    )


NAMED = "who,a,label,clinic\nu9,1.5,0,7\n\nu3,2,1,x\nu9,3,0,7\nu1,4,1,7\n"


def test_records_are_called_by_a_column_or_their_line(tmp_path: Path) -> None:
    path = csv(tmp_path / "own.csv", NAMED)
    arrays = Csv(id="who", group="clinic").load(path)
    assert arrays.ids == ["u9", "u3", "u9", "u1"]
    np.testing.assert_array_equal(arrays.inputs, [[1.5], [2], [3], [4]])
    assert arrays.groups is not None
    assert arrays.groups.tolist() == [0, 1, 0, 0]
    assert Csv().load(csv(path)).ids == ["2", "3", "4", "5"]


def test_one_column_may_be_id_and_group(tmp_path: Path) -> None:
    path = csv(tmp_path / "own.csv", NAMED.replace("x", "8"))
    arrays = Csv(id="who", group="who").load(path)
    assert arrays.inputs.shape == (4, 2)
    assert arrays.groups is not None
    assert arrays.groups.tolist() == [2, 1, 2, 0]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"id": "name"}, "dataset.id: no column 'name' in the first line"),
        ({"group": "person"}, "split.group: no column 'person' in the first line"),
        ({"group": "label"}, "split.group: 'label' is the label"),
        ({"id": "label"}, "dataset.id: 'label' is the label"),
    ],
)
def test_columns_that_cannot_be_id_or_group(
    tmp_path: Path, options: dict[str, Any], problem: str
) -> None:
    [found] = Csv(**options).check(csv(tmp_path / "own.csv", NAMED))
    assert problem in found


def test_a_record_without_group(tmp_path: Path) -> None:
    path = csv(tmp_path / "own.csv", NAMED.replace("u3,2,1,x", "u3,2,1,"))
    with pytest.raises(ValueError, match="line 4, column 'clinic': the cell is missing"):
        Csv(id="who", group="clinic").load(path)
