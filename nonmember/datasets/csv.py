"""Your own table: a comma-separated text file with a header, one row a sample, all cells numbers.

The label column may also be text.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from pydantic import Field

from nonmember.datasets._base import Arrays, Dataset
from nonmember.datasets._tables import MISSING, TableOptions, require_float32, to_arrays

BLOCK = 2048  # rows held as text at a time

Row = tuple[int, list[str]]  # line number in the file, cells


class Csv(Dataset):
    """`dataset.path` is the file (UTF-8); `dataset.label` names the label column.

    Every other column is a feature, float32 in the file's order, or uint8 if all cells are 0 or
    1. Blank lines are skipped.
    """

    class Options(TableOptions):
        label: str = Field("label", min_length=1, description="csv: the column with the classes")

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
        at = header.index(self.options.label)
        names = header[:at] + header[at + 1 :]
        blocks, labels = [], []
        low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
        while block := list(islice(rows, BLOCK)):
            labels += _labels(path, header, at, block)
            values = _numbers(path, names, block)
            low, high = np.minimum(low, values.min(0)), np.maximum(high, values.max(0))
            blocks.append(values.astype(np.float32))
        inputs, standardize = np.concatenate(blocks), self.options.standardize
        try:
            require_float32(low, high, [f"column '{name}'" for name in names])
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        try:
            return to_arrays(inputs, np.array(labels), standardize, f"table in {path}")
        except ValueError as error:
            raise ValueError(f"{path}, column '{self.options.label}': {error}") from error

    def _header_problems(self, header: list[str]) -> list[str]:
        if self.options.label not in header:
            columns = ", ".join(header[:20]) + (", …" if len(header) > 20 else "")
            return [
                f"dataset.label: no column '{self.options.label}' in the first line, which must be "
                f"a header; columns: {columns or 'none'}"
                + ("; they must be separated by commas" if len(header) == 1 else "")
            ]
        problems = [
            f"column {i + 1} has no name; if it is a row number, drop it"
            for i, name in enumerate(header)
            if not name
        ]
        twice = sorted({name for name in header if name and header.count(name) > 1})
        problems += [f"two columns are called '{name}'" for name in twice]
        return problems if len(header) > 1 else ["there is no column beside the labels"]

    def _class_problems(self, header: list[str], rows: Iterator[Row]) -> list[str]:
        at, seen = header.index(self.options.label), set()
        for _, cells in rows:
            seen.update(cells[at : at + 1])
            if len(seen) > 1:
                return []
        return [f"column '{header[at]}': two classes or more are needed, found {sorted(seen)}"]


def _rows(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, skipinitialspace=True, strict=True)
        try:
            yield from ((reader.line_num, cells) for cells in reader if cells)
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} is no comma-separated UTF-8 text: {error}") from error


def _labels(path: Path, header: list[str], at: int, block: list[Row]) -> list[str]:
    """The block's labels, taken out of its rows."""
    labels = []
    for line, cells in block:
        if len(cells) != len(header):
            raise ValueError(f"{path}, line {line}: {len(cells)} cells, header has {len(header)}")
        label = cells.pop(at).strip()
        if label.lower() in MISSING:
            raise ValueError(f"{path}, line {line}, column '{header[at]}': the label is missing")
        labels.append(label)
    return labels


def _numbers(path: Path, names: list[str], block: list[Row]) -> np.ndarray:
    """(rows, features) float64; ValueError for the first cell that is no finite float32 number."""
    try:
        values = np.array([cells for _, cells in block], np.float64)
        with np.errstate(over="ignore"):
            if np.isfinite(values.astype(np.float32)).all():
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
    try:
        with np.errstate(over="ignore"):
            return bool(np.isfinite(np.float32(cell)))
    except ValueError:
        return False
