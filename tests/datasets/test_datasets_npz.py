from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets_samples import npz

from nonmember.datasets import Arrays
from nonmember.datasets.npz import Npz
from nonmember.kinds import TABLE as TABLE_KIND
from nonmember.kinds import TOKENS

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 5), np.uint8)
TABLE = np.random.default_rng(1).normal(3, 2, (20, 5))


def load(tmp_path: Path, standardize: bool = True, **arrays: np.ndarray) -> Arrays:
    return Npz(standardize=standardize).load(npz(tmp_path / "own.npz", **arrays))


def fails(tmp_path: Path, match: str, found_by_check: bool = True, **arrays: np.ndarray) -> None:
    path = npz(tmp_path / "own.npz", **arrays)
    problems = Npz().check(path)
    assert bool(problems) == found_by_check
    assert all(str(path) in problem for problem in problems)
    with pytest.raises(ValueError, match=match) as error:
        Npz().load(path)
    assert str(path) in str(error.value)


def test_a_real_valued_table_is_standardized(tmp_path: Path) -> None:
    data = load(tmp_path, x=TABLE)
    assert data.inputs.dtype == np.float32
    assert np.array_equal(data.inputs, TABLE.astype(np.float32))
    seen = (data.inputs - data.mean) / data.std
    assert np.allclose(seen.mean(0), 0, atol=1e-6)
    assert np.allclose(seen.std(0), 1, atol=1e-6)


def test_standardize_off(tmp_path: Path) -> None:
    data = load(tmp_path, standardize=False, x=TABLE)
    assert (data.mean, data.std) == ([0.0], [1.0])


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float64])
def test_a_binary_table_is_left_alone(tmp_path: Path, dtype: type) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (20, 7))
    data = load(tmp_path, x=bits.astype(dtype))
    assert data.inputs.dtype == np.uint8
    assert np.array_equal(data.inputs, bits)
    assert (data.mean, data.std) == ([0.0], [1.0])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_images_of_whole_numbers_become_uint8(tmp_path: Path, dtype: type) -> None:
    data = load(tmp_path, x=IMAGES.astype(dtype))
    assert data.inputs.dtype == np.uint8
    assert np.array_equal(data.inputs, IMAGES)
    assert data.mean == pytest.approx((IMAGES / 255).mean((0, 2, 3)).tolist())


def test_images_of_floats_keep_their_scale(tmp_path: Path) -> None:
    data = load(tmp_path, x=IMAGES / 255)
    assert data.inputs.dtype == np.float32
    assert data.scale == 1
    assert data.mean == pytest.approx((IMAGES / 255).mean((0, 2, 3)).tolist(), rel=1e-6)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.arange(20) % 3, ["0", "1", "2"]),
        (np.arange(20) % 3 * 10 - 10, ["-10", "0", "10"]),
        (np.arange(20) % 3 * 4.0, ["0", "4", "8"]),
        (np.array(["10", "9", "2"] * 6 + ["9", "2"]), ["2", "9", "10"]),
        (np.array(["cat", "ant", "bee"] * 6 + ["ant", "bee"]), ["ant", "bee", "cat"]),
        (np.arange(20) % 2 == 0, ["False", "True"]),
    ],
)
def test_labels_are_renumbered_in_sorted_order(
    tmp_path: Path, labels: np.ndarray, names: list[str]
) -> None:
    data = load(tmp_path, y=labels)
    assert data.class_names == names
    back = np.array(names)[data.labels]
    assert [str(value).removesuffix(".0") for value in labels] == back.tolist()


def test_not_finite(tmp_path: Path) -> None:
    for bad, shown in ((np.nan, "nan"), (np.inf, "inf"), (1e300, r"1e\+300")):
        x = TABLE.copy()
        x[[7, 9], 2] = bad
        fails(tmp_path, rf"finite float32 numbers, row 7 .* has {shown} at \[2\]", False, x=x)


def test_image_values_out_of_range(tmp_path: Path) -> None:
    x = IMAGES.astype(np.int32)
    x[4, 1, 2, 3] = 256
    fails(tmp_path, r"0–255 .*row 4 .* has 256 at \[1, 2, 3\]", False, x=x)


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"x": np.array([[1, "a"]] * 20, object)}, "x holds Python objects.* save it as numbers"),
        ({"y": np.array(["a", 1] * 10, object)}, "y holds Python objects"),
        ({"x": np.full((20, 2), "a")}, "x must hold numbers or booleans, not <U1"),
        ({"x": TABLE + 1j}, "x must hold numbers or booleans, not complex128"),
        ({"x": np.zeros(20)}, r"\(n, features\) or .*is \(20,\)"),
        ({"x": np.zeros((20, 8, 8))}, r"grey images need x\[:, None\]"),
        ({"x": np.zeros((20, 0))}, "not empty"),
        ({"x": np.zeros((20, 8, 8, 3), np.uint8)}, r"channels last; save x\.transpose"),
        ({"y": np.arange(19) % 2}, r"one label a row of x, \(20,\), is \(19,\)"),
        ({"y": np.eye(20)[:, :3]}, r"one label a row of x, \(20,\), is \(20, 3\)"),
        ({"y": np.zeros(20, int)}, r"two classes or more are needed, found \['0'\]"),
        ({"y": np.arange(20)}, "20 classes in 20 rows; is this an id"),
        ({"y": np.linspace(0, 1, 20)}, r"whole numbers or text, row 1 .* is 0\.05"),
        (
            {"y": np.where(np.arange(20) == 5, np.nan, 1)},
            r"'nan' .*no label, first in row 5 ",
        ),
        (
            {"y": np.array(["a", "b", ""] * 6 + ["a", "b"])},
            r"labels: '' .*no label",
        ),
        ({"y": np.ones(20) * 1j}, "labels must be whole numbers or text, not complex128"),
    ],
)
def test_bad_arrays(tmp_path: Path, arrays: dict[str, Any], match: str) -> None:
    fails(tmp_path, match, **arrays)


def test_missing_arrays_are_listed_with_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    np.savez(path, inputs=TABLE, y=np.arange(20) % 2)
    with pytest.raises(ValueError, match="no array 'x', it holds inputs, y"):
        Npz().load(path)


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00"])
def test_not_an_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.npz"
    path.write_bytes(content)
    assert len(Npz().check(path)) == 1
    with pytest.raises(ValueError, match=r"own\.npz is damaged or no \.npz file"):
        Npz().load(path)


@pytest.mark.parametrize("key", ["x", "y"])
@pytest.mark.parametrize("rows", [20, 50_000])  # too large to be read along with its header
def test_damaged_bytes_are_noticed(tmp_path: Path, key: str, rows: int) -> None:
    arrays = {"x": np.random.default_rng(0).normal(size=(rows, 5)), "y": np.arange(rows) % 3}
    path = npz(tmp_path / "own.npz", **arrays)
    content, good = path.read_bytes(), arrays[key].tobytes()
    assert content.count(good) == 1
    path.write_bytes(content.replace(good, good[:-1] + b"\x01"))
    with pytest.raises(ValueError, match=r"own\.npz.* is damaged"):
        Npz().load(path)


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "exploded",)  # type: ignore[return-value]

    fails(tmp_path, "Python objects", x=np.array([[Bomb()]] * 20, object))
    fails(tmp_path, "Python objects", y=np.array([Bomb()] * 20, object))
    assert not (tmp_path / "exploded").exists()


def test_a_feature_that_float32_would_flatten_is_refused(tmp_path: Path) -> None:
    """1e8 ± 1 is one number in float32: standardised, it would be noise or nothing."""
    x = np.random.default_rng(0).normal(size=(20, 2))
    x[:, 1] += 1e8
    path = npz(tmp_path / "own.npz", x=x, y=np.arange(20) % 2)
    with pytest.raises(ValueError, match=r"x\[:, 1\]: float32.* subtract"):
        Npz().load(path)
    x[:, 1] -= 1e8
    path = npz(tmp_path / "own.npz", x=x, y=np.arange(20) % 2)
    assert Npz().load(path).inputs.dtype == np.float32


@pytest.mark.parametrize("shape", [(20, 8, 9, 3), (20, 8, 8, 4), (20, 6, 5, 1)])
def test_channels_last_is_refused_in_any_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = npz(tmp_path / "own.npz", x=np.zeros(shape, np.uint8), y=np.arange(20) % 2)
    assert "channels last" in Npz().check(path)[0]


IDS = np.random.default_rng(2).integers(0, 30, (20, 6))


def read(tmp_path: Path, x: np.ndarray, **options: Any) -> Arrays:
    return Npz(**options).load(npz(tmp_path / "own.npz", x=x))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int32])
def test_token_ids_are_tokens_because_the_settings_say_so(tmp_path: Path, dtype: type) -> None:
    """The same file without them is a table: no array tells which it is."""
    ids: np.ndarray = IDS.astype(dtype)
    data = read(tmp_path, ids, tokens=True)
    assert (data.kind, data.vocabulary) == (TOKENS, int(ids.max()) + 1)
    assert data.inputs.dtype == np.int32
    np.testing.assert_array_equal(data.inputs, ids)
    assert (data.mean, data.std) == ([0.0], [1.0])
    assert read(tmp_path, ids).kind is TABLE_KIND
    assert read(tmp_path, ids, tokens=True, vocabulary=500).outline.vocabulary == 500


def test_a_table_of_zeros_and_ones_may_be_tokens(tmp_path: Path) -> None:
    data = read(tmp_path, IDS % 2, tokens=True)
    assert (data.kind, data.vocabulary) == (TOKENS, 2)


@pytest.mark.parametrize(
    ("x", "options", "match"),
    [
        (TABLE, {"tokens": True}, r"dataset\.tokens: x must be whole numbers \(n, length\)"),
        (IDS > 3, {"tokens": True}, r"dataset\.tokens: x must be whole numbers .*is bool"),
        (IMAGES.astype(np.uint8), {"tokens": True}, r"dataset\.tokens: x must be whole .*, 4, 5\)"),
        (IDS - 30, {"tokens": True}, r"x must hold token ids from 0 on, row \d+ .* has -\d+ at \["),
        (IDS, {"tokens": True, "vocabulary": 9}, r"below dataset\.vocabulary = 9, row \d+ "),
        (IDS, {"vocabulary": 30}, r"dataset\.vocabulary is for token ids; set dataset\.tokens"),
    ],
)
def test_what_cannot_be_token_ids(
    tmp_path: Path, x: np.ndarray, options: dict[str, Any], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        read(tmp_path, x, **options)


def test_ids_and_groups_of_the_file(tmp_path: Path) -> None:
    names, homes = np.array([f"p{i}" for i in range(20)]), np.arange(20) // 3 + 5
    path = npz(tmp_path / "own.npz", ids=names, home=homes)
    arrays = Npz(group="home").load(path)
    assert arrays.ids == names.tolist()
    assert arrays.groups is not None
    np.testing.assert_array_equal(arrays.groups, homes - 5)
    assert Npz().load(path).groups is None
    assert Npz().load(npz(tmp_path / "own.npz")).ids is None


@pytest.mark.parametrize(
    ("group", "arrays", "problem"),
    [
        ("home", {}, "split.group: no array 'home', the file holds "),
        ("home", {"home": np.arange(19)}, "home must be whole numbers or text, one a row of x"),
        ("home", {"home": np.arange(20.0)}, "home must be whole numbers or text, one a row of x"),
        (None, {"ids": np.arange(20.0)}, "ids must be whole numbers or text, one a row of x"),
    ],
)
def test_what_cannot_be_ids_or_groups(
    tmp_path: Path, group: str | None, arrays: dict[str, np.ndarray], problem: str
) -> None:
    [found] = Npz(group=group).check(npz(tmp_path / "own.npz", **arrays))
    assert problem in found


def test_whole_numbers_are_a_table_with_a_notice(tmp_path: Path) -> None:
    """They may be token ids that nobody said were such."""
    [notice] = load(tmp_path, x=IDS).notices
    assert "dataset.tokens" in notice.says
    assert load(tmp_path, x=IDS % 2).notices == load(tmp_path, x=TABLE).notices == []


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ((20, 8, 8, 12), "channels last"),  # twelve bands beside a square
        ((20, 12, 8, 8), None),
        ((20, 8, 9, 10), "does not tell"),
        ((20, 6, 6, 6), "does not tell"),
        ((20, 3, 8, 3), "does not tell"),
        ((20, 1, 4, 4), None),
        ((20, 4, 4, 3), "channels last"),
    ],
)
def test_channels_are_where_the_shape_tells(
    tmp_path: Path, shape: tuple[int, ...], problem: str | None
) -> None:
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = npz(tmp_path / "own.npz", x=x)
    problems = Npz().check(path)
    assert [problem in line for line in problems] == [True] if problem else not problems
    assert np.array_equal(Npz(layout="channels_first").load(path).inputs, x)
    turned = Npz(layout="channels_last").load(path).inputs
    assert np.array_equal(turned, x.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_black_and_white_images_run_from_0_to_1(tmp_path: Path, dtype: type) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (20, 1, 8, 8))
    data = load(tmp_path, standardize=False, x=bits.astype(dtype))
    assert np.array_equal(data.inputs * data.scale, bits)
    assert data.notices == []


def test_images_of_few_levels_are_noticed(tmp_path: Path) -> None:
    """They are divided by 255 whatever their largest value is."""
    [notice] = load(tmp_path, x=IMAGES % 17).notices
    assert notice.name == "dark_images"
