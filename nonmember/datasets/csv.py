"""Your own table: a comma-separated text file with a header, one row a sample, all cells numbers.

The label column may also be text.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import compress, islice
from pathlib import Path
from typing import TextIO

import numpy as np
from pydantic import Field

from nonmember.datasets._base import Arrays, Dataset
from nonmember.datasets._labels import read_labels
from nonmember.datasets._tables import Name, Rounding, TableOptions, encode_groups, to_arrays

BLOCK = 2048  # rows held as text at a time
MISSING = {"", "nan"}  # of ids and groups; labels have rules of their own
FORMATS = {
    b"PK\x03\x04": "a zip archive or a spreadsheet", b"\xfd7zXZ": "compressed by xz",
    b"BZh": "compressed by bzip2", b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"PAR1": "Parquet", b"\x89HDF": "HDF5", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}  # fmt: skip

Row = tuple[int, list[str]]  # line number in the file, cells


class Csv(Dataset):
    """`dataset.path` is the file (UTF-8, also in gzip); `dataset.label` names the label column.

    `dataset.id` may name one that says what records are called (else they are called by their
    line), `split.group` one that says which belong together. Every other column is a feature,
    float32 in the file's order, or uint8 if all cells are 0 or 1. Blank lines are skipped.
    """

    class Options(TableOptions):
        label: Name = Field("label", min_length=1, description="csv: the column with the classes")
        id: Name | None = Field(
            None, min_length=1, description="csv: column with the records' names, no feature"
        )

    group_is = "a column"
    options: Options

    def check(self, path: Path) -> list[str]:
        """Missing file, header problems, a single class. Reads up to the second class only."""
        if not path.is_file():
            kind = "is a folder, not a file" if path.is_dir() else "does not exist"
            return [f"dataset.path: {path} {kind}; name: csv needs the .csv file itself"]
        try:
            rows = _rows(path)
            _, header = next(rows, (1, []))
            problems = self._header_problems(header)
            return [f"{path}: {p}" for p in problems or self._class_problems(header, rows)]
        except ValueError as error:
            return [str(error)]

    def load(self, path: Path) -> Arrays:
        """Raises ValueError naming line and column for a cell that is no finite number."""
        self.require(path)
        rows = _rows(path)
        _, header = next(rows)
        names = [name for name in header if name not in self._named().values()]
        blocks = []
        texts: dict[str, list[str]] = {name: [] for name in self._named().values()}
        lines: list[str] = []
        rounding = Rounding(len(names))
        while block := list(islice(rows, BLOCK)):
            for name, cells in self._taken_out(path, header, block).items():
                texts[name] += cells
            lines += [str(line) for line, _ in block]
            values = _numbers(path, names, block)
            rounding.see(values)
            blocks.append(values.astype(np.float32))
        try:
            rounding.check([f"column '{name}'" for name in names])
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        try:
            column = np.array(texts[self.options.label])
            place = lambda index: f"line {lines[index]}"  # noqa: E731
            labels = read_labels(column, self.options, self.accept, place)
        except ValueError as error:
            raise ValueError(f"{path}, column '{self.options.label}': {error}") from error
        kept = labels.kept
        arrays = to_arrays(
            np.concatenate(blocks)[kept], labels, self.options.standardize, f"table in {path}"
        )
        groups = None if self.group is None else encode_groups(np.array(texts[self.group])[kept])
        ids = list(compress(texts.get(self.options.id or "", lines), kept))
        columns = [f"column '{name}'" for name in names]
        return replace(arrays, ids=ids, groups=groups, columns=columns)

    def _named(self) -> dict[str, str]:
        """Key in params.yaml -> the column it names, none of which is a feature."""
        wanted = {
            "dataset.label": self.options.label,
            "dataset.id": self.options.id,
            "split.group": self.group,
        }
        return {key: name for key, name in wanted.items() if name is not None}

    def _header_problems(self, header: list[str]) -> list[str]:
        columns = ", ".join(header[:20]) + (", …" if len(header) > 20 else "")
        absent = [
            f"{key}: no column '{name}' in the first line, which must be a header; columns: "
            f"{columns or 'none'}" + (_separated(header[0]) if len(header) == 1 else "")
            for key, name in self._named().items()
            if name not in header
        ]
        if absent:
            return absent
        problems = [
            f"{key}: '{name}' is the label"
            for key, name in self._named().items()
            if name == self.options.label and key != "dataset.label"
        ]
        problems += [
            f"column {i + 1} has no name; if it is a row number, drop it"
            for i, name in enumerate(header)
            if not name
        ]
        twice = sorted({name for name in header if name and header.count(name) > 1})
        problems += [f"two columns are called '{name}'" for name in twice]
        left = set(header) - set(self._named().values())
        return problems if left else [*problems, "there is no column beside the labels"]

    def _class_problems(self, header: list[str], rows: Iterator[Row]) -> list[str]:
        at, seen = header.index(self.options.label), set()
        for _, cells in rows:
            seen.update(cells[at : at + 1])
            if len(seen) > 1:
                return []
        return [f"column '{header[at]}': two classes or more are needed, found {sorted(seen)}"]

    def _taken_out(self, path: Path, header: list[str], block: list[Row]) -> dict[str, list[str]]:
        """The cells of the columns that are no features, taken out of the block's rows."""
        taken: dict[str, list[str]] = {name: [] for name in self._named().values()}
        places = sorted(((header.index(name), name) for name in taken), reverse=True)
        for line, cells in block:
            if len(cells) != len(header):
                raise ValueError(
                    f"{path}, line {line}: {len(cells)} cells, header has {len(header)}"
                )
            for place, name in places:
                cell = cells.pop(place).strip()
                if cell.lower() in MISSING and name != self.options.label:
                    raise ValueError(f"{path}, line {line}, column '{name}': the cell is missing")
                taken[name].append(cell)
        return taken


def _separated(line: str) -> str:
    signs = [sign for sign in ";\t|" if sign in line]
    by = f", not by {signs[0]!r}; save the file again" if signs else ""
    return f"; they must be separated by commas{by}"


def _rows(path: Path) -> Iterator[Row]:
    """Line numbers and cells; ValueError naming the line for what is no such text."""
    line = 0
    try:
        with _opened(path) as file:
            reader = csv.reader(file, skipinitialspace=True, strict=True)
            for cells in reader:
                line = reader.line_num
                if cells:
                    yield line, cells
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}, after line {line}: no comma-separated UTF-8 text ({error}); save it "
            "as UTF-8, for example by iconv -f latin1 -t utf8"
        ) from error
    except (csv.Error, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path}, after line {line}: no comma-separated UTF-8 text: {error}"
        ) from error


def _opened(path: Path) -> TextIO:
    """The text, unpacked if it is compressed by gzip; ValueError for another known format."""
    with path.open("rb") as file:
        start = file.read(8)
    for magic, what in FORMATS.items():
        if start.startswith(magic):
            raise ValueError(f"{path} is {what}; save it as comma-separated UTF-8 text")
    if start.startswith(b"\x1f\x8b"):
        return gzip.open(path, "rt", newline="", encoding="utf-8-sig")
    return path.open(newline="", encoding="utf-8-sig")


def _numbers(path: Path, names: list[str], block: list[Row]) -> np.ndarray:
    """(rows, features) float64; ValueError for the first cell that is no finite float32 number."""
    try:
        plain = "".join(cell for _, cells in block for cell in cells)
        values = np.array([cells for _, cells in block], np.float64)
        with np.errstate(over="ignore"):
            # Python reads 1_0 as 10, and digits of any script.
            if (
                plain.isascii()
                and "_" not in plain
                and np.isfinite(values.astype(np.float32)).all()
            ):
                return values
    except ValueError:
        pass  # found again below, to name the cell
    line, name, cell = next(
        (line, name, cell)
        for line, cells in block
        for name, cell in zip(names, cells, strict=True)
        if not _is_finite(cell)
    )
    what = f"'{cell}' is not a finite number" if cell.strip() else "the cell is empty"
    cure = "write a number for each kind" if cell.strip() else "fill it"
    raise ValueError(f"{path}, line {line}, column '{name}': {what}; {cure}, or drop the column")


def _is_finite(cell: str) -> bool:
    if not cell.isascii() or "_" in cell:
        return False
    try:
        with np.errstate(over="ignore"):
            return bool(np.isfinite(np.float32(cell)))
    except ValueError:
        return False
