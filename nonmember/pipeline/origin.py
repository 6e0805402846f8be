"""What a run under a folder is of, read from what the stages config, prepare and split left."""

from __future__ import annotations

import json
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


def not_run(place: Path, made: Mapping[str, Any]) -> list[str]:
    """Where data/config is not what params.yaml would make of it, a line a file.

    made: file name -> content, as `config.make` returns it. A stamp holds neither the path of the
    data nor a default that has changed since; and scores may be of another run than a report that
    git brought back. FileNotFoundError if a file is missing.
    """
    return [
        f"data/config/{name}.json is of other settings"
        for name, content in json.loads(json.dumps(made)).items()
        if _read(place / f"data/config/{name}.json") != content
    ]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: nothing was run here; run `dvc repro`")
    value: dict[str, Any] = files.read_json(path)
    return value
