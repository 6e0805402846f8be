"""Read, make or download the data set that the settings name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nonmember import files
from nonmember.data import prepared, summary
from nonmember.datasets import datasets


def prepare(place: Path) -> None:
    """data/config/dataset.json, and the path it names -> data/prepared, all under `place`.

    Notices are kept as they are found: that one is accepted changes no file, so nothing is trained
    again. ValueError for what is refused.
    """
    options = files.read_json(place / "data/config/dataset.json")
    name, path = options.pop("name"), Path(options.pop("path"))
    arrays = datasets.get(name)(**options).load(path)
    accept = options.get("accept", [])
    arrays = replace(arrays, notices=summary.notices(arrays, accept))
    prepared.save(arrays, name, place / "data/prepared")
    print("\n".join(summary.lines(arrays, name, accept)))
