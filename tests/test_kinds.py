"""The kind of the inputs is stated by the data source and guessed nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from project import ROOT

from nonmember import files
from nonmember.data import prepared
from nonmember.data.prepared import Normalise
from nonmember.kinds import BINARY, IMAGE, KINDS, TABLE, TOKENS, Kind

GUESS = re.compile(
    r"\.ndim\b|\.dim\(\)|dtype (?:==|!=|in\b|not in)|dtype\.kind|itemsize|is_floating_point"
    r"|len\([\w.]*shape\)"
)
# These see signals and scores, never inputs.
BEHIND = ("attacks/", "signal_files.py", "metrics/", "plots/", "statistics.py")
# file -> how often it looks at the axes of an array, which is no question of kind
ALLOWED = {
    "data/prepared.py": (1, "how many axes a mean is spread over"),
    "queries/noise.py": (1, "how many axes a deviation is spread over"),
    "extraction/signals.py": (
        3,
        "axes of a convolution; gradients of one number; none at ids",
    ),
    "data/raw.py": (3, "holds inputs to the dtype and shape that the data state"),
    "training/call.py": (5, "arrays that are handed over: a data source of its own"),
    "training/probe.py": (2, "a network's answers must be floats"),
}


def test_nothing_but_the_data_sources_guesses_the_kind() -> None:
    """An inference from axes or types that is not in the list above fails here."""
    package, found = ROOT / "nonmember", dict[str, int]()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if not name.startswith((*BEHIND, "datasets/", "kinds.py")):
            hits = len(GUESS.findall(path.read_text(encoding="utf-8")))
            found |= {name: hits} if hits else {}
    assert found == {name: count for name, (count, _) in ALLOWED.items()}


def test_only_bytes_of_images_are_scaled() -> None:
    for byte in (np.zeros(1, np.uint8), torch.zeros(1, dtype=torch.uint8)):
        assert [kind.divisor(byte) for kind in KINDS.values()] == [255, 1, 1, 1]
    for real in (np.zeros(1, np.float32), torch.zeros(1)):
        assert [kind.divisor(real) for kind in KINDS.values()] == [1, 1, 1, 1]


@pytest.mark.parametrize("kind", [IMAGE, BINARY, TABLE])
def test_the_kind_survives_the_disk(tmp_path: Path, kind: Kind) -> None:
    arrays = tiny.arrays((3, 4, 4) if kind is IMAGE else (5,))
    object.__setattr__(arrays, "kind", kind)
    prepared.save(arrays, "tiny", tmp_path)
    data = prepared.load(tmp_path)
    assert data.kind is data.outline.kind is kind
    assert files.read_json(tmp_path / "dataset.json")["kind"] == kind.name


@pytest.mark.parametrize("kind", [None, "video"])
def test_data_that_do_not_state_their_kind_are_refused(tmp_path: Path, kind: str | None) -> None:
    """As those of earlier versions, which would be guessed otherwise."""
    tiny.save(tmp_path)
    meta = files.read_json(tmp_path / "dataset.json")
    del meta["kind"]
    files.write_json(tmp_path / "dataset.json", meta if kind is None else {**meta, "kind": kind})
    with pytest.raises(ValueError, match=r"dataset\.json: kind must be one of .*repro prepare"):
        prepared.load(tmp_path)


def test_token_ids_reach_the_model_as_they_are(tmp_path: Path) -> None:
    """The size of the vocabulary decides the model, so it is part of what the data are."""
    one, other = (tiny.tokens(vocabulary=40), tiny.tokens(vocabulary=40))
    object.__setattr__(other, "vocabulary", 41)
    prepared.save(one, "tiny", tmp_path / "a")
    prepared.save(other, "tiny", tmp_path / "b")
    data = prepared.load(tmp_path / "a")
    assert (data.outline.kind, data.outline.vocabulary) == (TOKENS, 40)
    ids, _ = data.take(np.arange(5))
    assert torch.equal(data.normalise(ids), ids)
    assert data.normalise(ids).dtype == torch.int32
    assert data.sha256 != prepared.load(tmp_path / "b").sha256


def test_images_alone_are_fed_with_channels_last() -> None:
    x = torch.rand(2, 3, 4, 5)
    fed = Normalise((0.0,), (1.0,), IMAGE)(x)
    assert fed.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(fed, x)
    assert Normalise((0.0,), (1.0,), TABLE)(x).is_contiguous()
