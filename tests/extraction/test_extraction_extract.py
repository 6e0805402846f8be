"""Signals on disk: where they are, what they are of, and that nothing else changes them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from typed import sure

from nonmember.compute import ComputeOptions
from nonmember.data import prepared
from nonmember.data.canaries import Canaries
from nonmember.evidence import Evidence
from nonmember.extraction import extract
from nonmember.extraction.extract import Model, Wanted, extract_signals
from nonmember.extraction.released import Released
from nonmember.extraction.typicality import COMPONENTS
from nonmember.kinds import BINARY, TABLE, Kind
from nonmember.queries import Samples, queries
from nonmember.queries._base import Answer
from nonmember.signal_files import TYPICAL
from nonmember.task import Task
from nonmember.training.store import Store
from nonmember.training.train import train_with_required

WANTED = Wanted(
    ["feature_norm", "grad_x_l2", "logits"],
    {
        "noise": {"noise_levels": 2, "noise_copies": 3, "noise_step": 0.3},
        "rotations": {},
        "shifts": {},
    },
    seed=5,
)
HAMP = {"name": "hamp", "hamp_random": 20}


class Lab:
    """Three trained tiny models on images, and the extraction of their signals."""

    def __init__(self, folder: Path, defense: dict[str, Any]) -> None:
        self.folder, self.data = folder, tiny.save(folder / "data", (1, 8, 8))
        self.tasks = [tiny.task(self.data, defense, model) for model in range(3)]
        self.canaries = Canaries.none()
        self.rows = [tiny.rows(self.data, model) for model in range(3)]
        self.store = Store(folder / "models")
        for number, task in enumerate(self.tasks):
            self.store.put(str(number), task, train_with_required(task, self.data))

    def extract(self, wanted: Wanted = WANTED, **options: Any) -> Path:
        out = self.folder / "signals"
        weights = [self.store.weights_path(str(number)) for number in range(3)]
        settings = ComputeOptions(devices="cpu", **options)
        models = [Model(*each) for each in zip(self.tasks, self.rows, weights, strict=True)]
        extract_signals(models, self.data.folder, out, wanted, settings, self.canaries)
        return out

    def released(self, number: int) -> Released:
        path = self.store.weights_path(str(number))
        return Released(self.tasks[number], path, self.data.folder, "cpu")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return Lab(tmp_path, HAMP)


def test_queries_are_where_a_model_has_members_and_non_members(lab: Lab) -> None:
    folder = lab.extract(backend="sequential", workers=1)
    evidence = Evidence(folder)
    for name, options in WANTED.queries.items():
        array = np.load(folder / f"{name}.npy")
        assert array.shape[2] == queries.get(name)(**options).width
        np.testing.assert_array_equal(
            np.isnan(array[..., 0]), ~np.isin(evidence.membership, (0, 1))
        )
    assert np.isfinite(evidence.logits).all()
    assert set(evidence.target.signals) == {"feature_norm", "grad_x_l2", *WANTED.queries}
    assert evidence.shadows[1].signals["noise"].shape == (len(evidence.shadows[1]), 4)


def test_canaries_have_their_wrong_label_and_are_evaluated_apart(lab: Lab) -> None:
    train, test = (rows[:2] for rows in (lab.rows[0].train, lab.rows[0].test))
    rows = np.sort(np.concatenate([train, test]))
    lab.canaries = Canaries(rows, (lab.data.labels[rows] + 1) % tiny.CLASSES)
    evidence = Evidence(lab.extract(backend="sequential", workers=1))
    planted = evidence.canaries
    assert planted is not None
    assert planted.ids.tolist() == rows.tolist()
    assert planted.labels.tolist() == lab.canaries.labels.tolist()
    assert sure(planted.member).tolist() == np.isin(rows, train).tolist()
    assert not np.isin(rows, evidence.target.ids).any()
    assert len(evidence.target) == len(lab.rows[0].train) + len(lab.rows[0].test) - 4


def test_inference_set_and_public_samples_are_told_apart(lab: Lab) -> None:
    """A reference set may leak; what is public must have met no training of the target."""
    evidence, rows = Evidence(lab.extract(backend="sequential", workers=1)), lab.rows[0]
    leak = evidence.inference
    assert leak is not None
    assert set(leak.ids[leak.member]) == set(rows.inference)
    assert set(leak.ids[~sure(leak.member)]) == set(rows.test)
    public = sure(evidence.target.public)
    known = np.concatenate([rows.train, rows.test, rows.inference])
    assert len(public) > 0
    assert not np.isin(public.ids, known).any()


def test_inputs_are_few_numbers_a_sample(lab: Lab) -> None:
    """How typical, and the 32 components of a larger input."""
    names = [*WANTED.names, "inputs"]
    wanted = Wanted(**{**vars(WANTED), "names": names})
    evidence = Evidence(lab.extract(wanted, backend="sequential", workers=1))
    assert evidence.target.inputs is not None
    assert evidence.target.inputs.shape == (len(evidence.target), TYPICAL + COMPONENTS)


def test_workers_and_the_samples_in_hand_change_no_byte_of_a_query(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def content(**options: Any) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in lab.extract(**options).glob("*.npy")}

    first = content(backend="sequential", workers=1)
    assert content(backend="loky", workers=2) == first
    monkeypatch.setattr(extract, "CHUNK", 5)
    few = content(backend="sequential", workers=1)
    assert {few[f"{name}.npy"] == first[f"{name}.npy"] for name in ("noise", "shifts")} == {True}
    other = lab.extract(Wanted(**{**vars(WANTED), "seed": 6}), backend="sequential", workers=1)
    changed = {p.name for p in other.glob("*.npy") if p.read_bytes() != few[p.name]}
    assert changed == {"noise.npy"}


@pytest.mark.parametrize("kind", [BINARY, TABLE])
def test_a_query_is_told_the_kind_that_the_data_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """Whatever the samples in hand look like."""
    arrays = dataclasses.replace(tiny.arrays((2,)), kind=kind)
    prepared.save(arrays, "tiny", tmp_path / "data")
    data = prepared.load(tmp_path / "data")
    task: Task = tiny.task(data)
    store = Store(tmp_path / "models")
    store.put("0", task, train_with_required(task, data))
    model = Released(task, store.weights_path("0"), data.folder, "cpu")
    seen: list[Samples] = []
    query = queries.get("noise")(noise_levels=1, noise_copies=1)

    def measure(answer: Answer, samples: Samples, seed: int) -> np.ndarray:
        seen.append(samples)
        return np.zeros((1, 2))

    monkeypatch.setattr(query, "measure", measure)
    model.ask(query, np.array([0]), data.labels[:1], 0)
    assert [samples.kind for samples in seen] == [kind]
