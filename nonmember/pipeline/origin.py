"""What a run under a folder is of, read from what the stages config, prepare and split left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nonmember import files
from nonmember.metrics.stamp import Origin


def read_origin(place: Path, arm: str) -> Origin:
    """FileNotFoundError naming the file if data/ lacks a part of it."""
    return origin_of(place, _read(place / f"data/config/stamp_{arm}.json"))


def origin_of(place: Path, settings: Mapping[str, Any]) -> Origin:
    """The same with the seed and settings of an arm, as `config` writes them, in hand."""
    data = _read(place / "data/prepared/dataset.json")
    split = _read(place / "data/split/report.json")
    return Origin(
        data=data["name"],
        sha256=data["sha256"],
        n=data["n"],
        classes=data["classes"],
        groups=data.get("groups"),
        members=split["train"] - split["canaries"] // 2,  # half of them are members
        non_members=split["test"] - split["canaries"] // 2,
        **settings,
    )


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: nothing was run here; run `dvc repro`")
    value: dict[str, Any] = files.read_json(path)
    return value
