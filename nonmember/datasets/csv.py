"""Your own table: a comma-separated text file with a header, one row a sample, all cells numbers.

The label column may also be text.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from pydantic import Field

from nonmember.datasets._base import Arrays, Dataset
from nonmember.datasets._tables import (
    MISSING,
    TableOptions,
    encode_groups,
    require_float32,
    to_arrays,
)

BLOCK = 2048  # rows held as text at a time

Row = tuple[int, list[str]]  # line number in the file, cells


class Csv(Dataset):
    """`dataset.path` is the file (UTF-8); `dataset.label` names the label column.

    `dataset.id` may name one that says what records are called (else they are called by their
    line), `split.group` one that says which belong together. Every other column is a feature,
    float32 in the file's order, or uint8 if all cells are 0 or 1. Blank lines are skipped.
    """

    class Options(TableOptions):
        label: str = Field("label", min_length=1, description="csv: the column with the classes")
        id: str | None = Field(
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
        low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
        while block := list(islice(rows, BLOCK)):
            for name, cells in self._taken_out(path, header, block).items():
                texts[name] += cells
            lines += [str(line) for line, _ in block]
            values = _numbers(path, names, block)
            low, high = np.minimum(low, values.min(0)), np.maximum(high, values.max(0))
            blocks.append(values.astype(np.float32))
        inputs, standardize = np.concatenate(blocks), self.options.standardize
        try:
            require_float32(low, high, [f"column '{name}'" for name in names])
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        try:
            labels = np.array(texts[self.options.label])
            arrays = to_arrays(inputs, labels, standardize, f"table in {path}")
        except ValueError as error:
            raise ValueError(f"{path}, column '{self.options.label}': {error}") from error
        groups = None if self.group is None else encode_groups(np.array(texts[self.group]))
        return replace(arrays, ids=texts.get(self.options.id or "", lines), groups=groups)

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
            f"{columns or 'none'}"
            + ("; they must be separated by commas" if len(header) == 1 else "")
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
                if cell.lower() in MISSING:
                    what = "label" if name == self.options.label else "cell"
                    raise ValueError(f"{path}, line {line}, column '{name}': the {what} is missing")
                taken[name].append(cell)
        return taken


def _rows(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, skipinitialspace=True, strict=True)
        try:
            yield from ((reader.line_num, cells) for cells in reader if cells)
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} is no comma-separated UTF-8 text: {error}") from error


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
