"""What an attacker sees of every model of an arm."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nonmember import files
from nonmember.data import prepared
from nonmember.data.canaries import Canaries
from nonmember.data.splits import load_rows
from nonmember.extraction.extract import Model, Wanted, extract_signals
from nonmember.params import read_compute
from nonmember.task import make_task


def extract(place: Path, arm: str) -> None:
    """data/config, data/prepared, data/split and models/ARM -> data/signals/ARM under `place`."""
    canaries = Canaries.load(place / "data/split/canaries.npz")
    recipe = files.read_json(place / f"data/config/{arm}.json")
    wanted = Wanted(**files.read_json(place / "data/config/signals.json"))
    split, folder = place / "data/split", place / f"models/{arm}"
    rows = load_rows(split / "target.npz") + load_rows(split / "shadows.npz")
    data = prepared.load(place / "data/prepared")
    weights = [folder / "target.safetensors"]
    weights += [folder / f"shadows/{i:03d}.safetensors" for i in range(len(rows) - 1)]
    models = [
        Model(make_task(recipe, own, data, arm, number, canaries), own, path)
        for number, (own, path) in enumerate(zip(rows, weights, strict=True))
    ]
    signals, compute = place / f"data/signals/{arm}", read_compute(place / "params.yaml")
    known = np.load(split / "known.npy", allow_pickle=False)
    extract_signals(models, place / "data/prepared", signals, wanted, compute, canaries, known)
