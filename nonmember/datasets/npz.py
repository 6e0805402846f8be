"""Your own arrays: an .npz file with `x` and `y`, as numpy.savez writes it. Never unpickled."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.lib import format as npy
from pydantic import Field

from nonmember.datasets._base import Arrays, Dataset
from nonmember.datasets._labels import Labels, read_labels
from nonmember.datasets._tables import Rounding, TableOptions, encode_groups, to_arrays
from nonmember.datasets._tokens import token_arrays
from nonmember.kinds import IMAGE, TABLE
from nonmember.notices import found

BLOCK = 2048  # rows that are looked at at a time
DARK = 32  # of whole-number images: less than an eighth of what they are divided by

Header = tuple[tuple[int, ...], np.dtype]


class Npz(Dataset):
    """`dataset.path` is the file. x: (n, features) or images (n, channels, height, width);
    y: (n,) whole numbers or text.

    Any numbers or booleans will do for x. Images of integers 0–255 become uint8, tables of only 0
    and 1 too; other tables of uint8 stay uint8 and all else becomes float32. Images of only 0 and 1
    are black and white: 1 becomes 255. `dataset.layout` says where their channels are. With
    `dataset.tokens`, x is (n, length) token ids, padded with 0. An array `ids`, (n,), says what
    records are called; `split.group` names an array, (n,), that says which belong together.
    """

    class Options(TableOptions):
        tokens: bool = Field(False, description="x holds token ids, padded with 0, no measurements")
        vocabulary: int | None = Field(
            None,
            ge=2,
            lt=2**31,
            description="tokens: ids are 0 … vocabulary − 1; null: as many as the largest needs",
        )
        layout: Literal["auto", "channels_first", "channels_last"] = Field(
            "auto",
            description="images: auto (as the shape tells) | channels_first | channels_last",
        )

    group_is = "an array"
    options: Options

    def check(self, path: Path) -> list[str]:
        """Everything about shapes, types and labels; the values of x are not read."""
        if not path.is_file():
            kind = "is a folder, not a file" if path.is_dir() else "does not exist"
            return [f"dataset.path: {path} {kind}; name: npz needs the .npz file itself"]
        try:
            headers = _headers(path)
        except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
            return [f"dataset.path: {path} is damaged or no .npz file ({error})"]
        missing = [f"'{key}'" for key in ("x", "y") if key not in headers]
        if missing:
            held = ", ".join(sorted(headers)) or "nothing"
            return [f"{path} has no array {' or '.join(missing)}, it holds {held}"]
        problems = _header_problems(headers["x"], headers["y"]) + self._token_problems(headers["x"])
        if len(headers["x"][0]) == 4 and self.options.layout == "auto":
            problems += _layout_problems(headers["x"][0])
        problems += self._name_problems(headers)
        if not problems:
            try:
                self._labels(path)
            except ValueError as error:
                problems = [str(error)]
        return [f"{path}: {problem}" for problem in problems]

    def load(self, path: Path) -> Arrays:
        """Raises ValueError naming the row for NaN, infinity, or image values outside 0–255."""
        self.require(path)
        source = f"arrays in {path}"
        try:
            labels = self._labels(path)
            x = self._inputs(path)[labels.kept]
            if self.options.tokens:
                arrays = token_arrays(x, labels, self.options.vocabulary, source)
            else:
                arrays = to_arrays(_clean(x), labels, self.options.standardize, source)
                arrays = _with_notices(arrays, x)
            return self._named(arrays, path, labels.kept)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def _labels(self, path: Path) -> Labels:
        return read_labels(_array(path, "y"), self.options, self.accept)

    def _inputs(self, path: Path) -> np.ndarray:
        x = _array(path, "x")
        last = x.ndim == 4 and self.options.layout == "channels_last"
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if last else x

    def _named(self, arrays: Arrays, path: Path, kept: np.ndarray) -> Arrays:
        """With the ids and groups that the file holds."""
        named = "ids" in _headers(path)
        ids = [str(i) for i in _array(path, "ids")[kept].tolist()] if named else None
        groups = None if self.group is None else encode_groups(_array(path, self.group)[kept])
        return replace(arrays, ids=ids, groups=groups)

    def _name_problems(self, headers: dict[str, Header]) -> list[str]:
        """What is wrong with `ids` and with the array of groups."""
        if self.group is not None and self.group not in headers:
            return [f"split.group: no array '{self.group}', the file holds {', '.join(headers)}"]
        rows = headers["x"][0][:1]
        return [
            f"{name} must be whole numbers or text, one a row of x, {rows}, is {dtype} {shape}"
            for name, (shape, dtype) in headers.items()
            if name in ("ids", self.group) and (shape != rows or dtype.kind not in "buiU")
        ]

    def _token_problems(self, x: Header) -> list[str]:
        """What of `x`, or of the options, is not for token ids."""
        shape, dtype = x
        if not self.options.tokens:
            wrong = self.options.vocabulary is not None
            return ["dataset.vocabulary is for token ids; set dataset.tokens"] if wrong else []
        if len(shape) == 2 and dtype.kind in "ui":
            return []
        return [f"dataset.tokens: x must be whole numbers (n, length), is {dtype} {shape}"]


def _array(path: Path, key: str) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[key]
    except (zipfile.BadZipFile, zlib.error, EOFError, MemoryError) as error:
        raise ValueError(f"{key} is damaged or too large ({error}); save the file again") from error


def _headers(path: Path) -> dict[str, Header]:
    """Shape and type of each array in the file, without reading it."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        return {name.removesuffix(".npy"): _header(archive, name) for name in names}


def _header(archive: zipfile.ZipFile, name: str) -> Header:
    with archive.open(name) as file:
        old = npy.read_magic(file) == (1, 0)
        read = npy.read_array_header_1_0 if old else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    return shape, dtype


def _header_problems(x: Header, y: Header) -> list[str]:
    (shape, dtype), (label_shape, label_dtype) = x, y
    problems = [
        f"{name} holds Python objects, which only unpickling could read; save it as numbers (y "
        f"also as text), for example np.savez(path, x=x.astype('float32'), y=y.astype(str))"
        for name, kind in (("x", dtype.kind), ("y", label_dtype.kind))
        if kind == "O"
    ]
    if dtype.kind not in "buifO":
        problems.append(f"x must hold numbers or booleans, not {dtype}")
    if len(shape) not in (2, 4) or 0 in shape:
        problems.append(
            f"x must be (n, features) or (n, channels, height, width) and not empty, is {shape}; "
            "grey images need x[:, None]"
        )
    if label_shape != shape[:1]:
        problems.append(
            f"y must be one label a row of x, {shape[:1]}, is {label_shape}; only classification "
            "into one class a record is audited"
        )
    return problems


def _layout_problems(shape: tuple[int, ...]) -> list[str]:
    """Where the channels are: the one axis of at most four, or the one beside a square."""
    _, a, b, c = shape
    first, last = a <= 4, c <= 4
    if first == last:
        first, last = b == c != a, a == b != c
    if last:
        return [
            f"x {shape} has its channels last; save x.transpose(0, 3, 1, 2), or set dataset.layout "
            "to channels_last, or to channels_first if it has not"
        ]
    if first:
        return []
    return [
        f"x {shape} does not tell where images have their channels; set dataset.layout to "
        "channels_first or channels_last"
    ]


def _with_notices(arrays: Arrays, x: np.ndarray) -> Arrays:
    """What whole numbers may have been meant as."""
    notices = list(arrays.notices)
    if arrays.kind is TABLE and x.dtype.kind in "ui":
        says = "x holds whole numbers and is read as a table of measurements"
        notices.append(found("whole_numbers", f"{says}; if they are token ids, set dataset.tokens"))
    if arrays.kind is IMAGE and x.dtype.kind in "ui" and 1 < (most := x.max()) < DARK:
        notices.append(
            found(
                "dark_images", f"the largest value of all images is {most}; they are divided by 255"
            )
        )
    return replace(arrays, notices=notices)


def _clean(x: np.ndarray) -> np.ndarray:
    """uint8 or float32, finite; ValueError names the first bad row."""
    if x.ndim == 4 and x.dtype.kind in "bui" and ((x == 0) | (x == 1)).all():
        return x.astype(np.uint8) * np.uint8(255)
    if x.dtype.kind == "b" or x.dtype == np.uint8:
        return x.astype(np.uint8)
    if x.ndim == 4 and x.dtype.kind in "ui":
        _require_rows((x >= 0) & (x <= 255), x, "whole numbers 0–255 (or floats) for images")
        return x.astype(np.uint8)
    with np.errstate(over="ignore"):
        out = x.astype(np.float32)
    _require_rows(np.isfinite(out), x, "finite float32 numbers")
    if x.ndim == 2:
        rounding = Rounding(x.shape[1])
        for start in range(0, len(x), BLOCK):
            rounding.see(x[start : start + BLOCK])
        rounding.check([f"x[:, {i}]" for i in range(x.shape[1])])
    return out


def _require_rows(good: np.ndarray, x: np.ndarray, rule: str) -> None:
    if not good.all():
        place = np.unravel_index(int(good.argmin()), x.shape)
        row, rest = int(place[0]), [int(i) for i in place[1:]]
        raise ValueError(f"x must hold {rule}, row {row} (counted from 0) has {x[place]} at {rest}")
