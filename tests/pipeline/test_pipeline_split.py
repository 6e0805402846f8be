"""Stage `split`: what it reports, and that it looks whether the sets are apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny

from nonmember import files
from nonmember.data import prepared, splits
from nonmember.pipeline.split import split


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Settings, and data of which every row is there six times."""
    arrays = tiny.arrays((5,))
    arrays.inputs[:] = arrays.inputs[np.arange(144) % 24]
    prepared.save(arrays, "tiny", tmp_path / "data/prepared")
    files.write_json(tmp_path / "data/config/split.json", {"scheme": "past", "seed": 0})
    files.write_json(tmp_path / "data/config/shadows.json", {"assignment": "split", "count": 2})
    return tmp_path


def test_duplicates_are_counted_and_reported(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = files.read_json(place / "data/config/split.json")
    files.write_json(place / "data/config/split.json", {**config, "copies": "anywhere"})
    split(place)
    data = prepared.load(place / "data/prepared")
    [target] = splits.load_rows(place / "data/split/target.npz")
    members = {data.inputs[row].tobytes() for row in target.train}
    copies = sum(data.inputs[row].tobytes() in members for row in target.test)
    assert copies > 0
    assert files.read_json(place / "data/split/report.json")["duplicates"] == copies
    assert f"{copies} non-members are exact copies of a member" in capsys.readouterr().out


def test_a_shadow_with_the_targets_rows_stops_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written."""
    monkeypatch.setattr(splits, "shadow_rows", lambda *a: splits.target_rows(*a[:3]))
    with pytest.raises(AssertionError, match="shadow 0 has rows"):
        split(place)
    assert not (place / "data/split").exists()
