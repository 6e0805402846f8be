"""From models to signals on disk: the folder that nonmember.evidence reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nonmember import compute, files
from nonmember.compute import ComputeOptions
from nonmember.data import prepared
from nonmember.data.canaries import Canaries
from nonmember.data.prepared import Prepared
from nonmember.data.splits import Rows
from nonmember.extraction.released import Released
from nonmember.queries import Query, queries
from nonmember.signal_files import INFERENCE
from nonmember.task import Task
from nonmember.training import probe
from nonmember.training.store import Store

CHUNK = 4096  # samples in hand at a time


@dataclass(frozen=True)
class Wanted:
    """What to extract, as in data/config/signals.json.

    names: keys of SIGNALS (extraction/signals.py), `logits` among them, and `inputs`. queries: name
    of a query -> its options. seed: of the queries' random choices.
    """

    names: Sequence[str]
    queries: Mapping[str, Mapping[str, Any]]
    seed: int

    def of_models(self) -> list[str]:
        """The names of what each model says, without `inputs`."""
        return [name for name in self.names if name != "inputs"]

    def asked(self) -> dict[str, Query]:
        """The queries, built."""
        return {name: queries.get(name)(**options) for name, options in self.queries.items()}


def membership(models: Sequence[Rows], ids: np.ndarray) -> np.ndarray:
    """(models, samples) int8: 1 member, 0 non-member, 2 reference set, -1 neither."""
    table = np.full((len(models), len(ids)), -1, np.int8)
    for row, rows in zip(table, models, strict=True):
        row[np.searchsorted(ids, rows.train)] = 1
        row[np.searchsorted(ids, rows.test)] = 0
        row[np.searchsorted(ids, np.intersect1d(rows.inference, ids))] = INFERENCE
    return table


@dataclass(frozen=True)
class Model:
    """A trained model to ask: what made it, the rows it is asked about, its weights."""

    task: Task
    rows: Rows
    weights: Path


def extract_signals(
    models: Sequence[Model],
    data: Path,
    folder: Path,
    wanted: Wanted,
    options: ComputeOptions,
    canaries: Canaries,
    known: Sequence[int] | np.ndarray = (),
) -> None:
    """Write the signals of all models into `folder`; model 0 is the target.

    Logits are taken of every sample that some model was trained or tested on, of the target's
    reference set and of `known`, rows of the attacker that none was trained on; all else only where
    that model has the sample as member or non-member.
    """
    data, folder = data.resolve(), folder.resolve()  # a worker may have another working directory
    loaded, options = prepared.load(data), options.on_this_machine()
    with files.whole_folder(folder) as temporary:
        ids = _describe(models, loaded, temporary, wanted, canaries, known)
        _reserve(temporary, len(models), len(ids), loaded.classes, wanted)
        slots, locks = compute.slots(options), Store.default().folder.with_name("slots")
        calls = [
            (
                number,
                replace(model, weights=model.weights.resolve()),
                str(data),
                str(temporary),
                wanted,
                slots,
                locks,
            )
            for number, model in enumerate(models)
        ]
        with compute.naming_deaths("extracting signals"):
            for done, _ in enumerate(compute.in_pool(options, _extract_one, calls), start=1):
                print(f"signals of {done} of {len(calls)} models", file=sys.stderr, flush=True)


def _describe(
    models: Sequence[Model],
    known: Prepared,
    folder: Path,
    wanted: Wanted,
    canaries: Canaries,
    more: Sequence[int] | np.ndarray,
) -> np.ndarray:
    """Write what concerns no model's answers; returns the samples' ids, sorted."""
    rows = [model.rows for model in models]
    ids = np.unique(np.concatenate([*(r.train for r in rows), *(r.test for r in rows)]))
    ids = np.union1d(ids, np.concatenate([rows[0].inference, np.asarray(more, np.int64)]))
    labels = canaries.relabel(ids, known.labels[ids])
    files.write_array(folder / "sample_ids.npy", ids.astype(np.int64))
    files.write_array(folder / "labels.npy", labels)
    files.write_array(folder / "canary.npy", canaries.among(ids))
    files.write_array(folder / "membership.npy", membership(rows, ids))
    if "inputs" in wanted.names:
        from nonmember.extraction.typicality import (
            outlines,  # scikit-learn: half a second a worker
        )

        files.write_array(folder / "inputs.npy", outlines(known, ids, labels))
    return ids


def _reserve(folder: Path, models: int, samples: int, classes: int, wanted: Wanted) -> None:
    """Room on the disk for every signal that a model is asked for."""
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(wanted.of_models(), ())
    shapes |= {"logits": (classes,)}
    shapes |= {name: (query.width,) for name, query in wanted.asked().items()}
    for name, shape in shapes.items():
        files.reserve_array(folder / f"{name}.npy", (models, samples, *shape))


def _extract_one(
    number: int,
    model: Model,
    data: str,
    folder: str,
    wanted: Wanted,
    slots: list[str],
    locks: Path,
) -> None:
    """In a worker: one model's row of every signal, a chunk of samples in hand at a time."""
    place = Path(folder)
    ids = np.load(place / "sample_ids.npy", allow_pickle=False)
    evaluated = np.load(place / "membership.npy", allow_pickle=False)[number]
    evaluated = np.isin(evaluated, (0, 1))
    labels = np.load(place / "labels.npy", allow_pickle=False)
    names = wanted.of_models()
    asked = wanted.asked()
    out = {name: np.load(place / f"{name}.npy", mmap_mode="r+") for name in (*names, *asked)}
    with compute.one_slot(slots, locks) as device, compute.one_thread():
        released = Released(model.task, model.weights, Path(data), device)
        probe.require_steady(released.model, released.data, model.task.name, device)
        for part in _chunks(evaluated):
            for name, value in released.look(ids[part], labels[part], names).items():
                out[name][number, part] = value
            for name, query in asked.items():
                out[name][number, part] = released.ask(query, ids[part], labels[part], wanted.seed)
        for part in _chunks(~evaluated):
            out["logits"][number, part] = released.look(ids[part], labels[part], ("logits",))[
                "logits"
            ]
        for name in set(out) - {"logits"}:
            out[name][number, ~evaluated] = np.nan
    for array in out.values():
        array.flush()


def _chunks(which: np.ndarray) -> Iterator[np.ndarray]:
    """Positions where `which` is true, some at a time."""
    positions = np.flatnonzero(which)
    for begin in range(0, len(positions), CHUNK):
        yield positions[begin : begin + CHUNK]
