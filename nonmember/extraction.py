"""From models to signals on disk: the folder that nonmember.evidence reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nonmember import compute, files, fleet, prepared
from nonmember.canaries import Canaries
from nonmember.compute import ComputeOptions
from nonmember.evidence import INFERENCE
from nonmember.queries import Query, queries
from nonmember.released import Released
from nonmember.splits import Rows
from nonmember.training import Task

CHUNK = 4096  # samples in hand at a time


@dataclass(frozen=True)
class Wanted:
    """What to extract, as in data/config/signals.json.

    names: keys of nonmember.signals.SIGNALS, `logits` among them, and `inputs`. queries: name of a
    query -> its options. seed: of the queries' random choices.
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
    """(models, samples) int8: 1 member, 0 non-member, 2 inference set, -1 neither."""
    table = np.full((len(models), len(ids)), -1, np.int8)
    for row, rows in zip(table, models, strict=True):
        row[np.searchsorted(ids, rows.train)] = 1
        row[np.searchsorted(ids, rows.test)] = 0
        row[np.searchsorted(ids, np.intersect1d(rows.inference, ids))] = INFERENCE
    return table


def extract(
    tasks: Sequence[Task],
    models: Sequence[Rows],
    weights: Sequence[Path],
    data: Path,
    folder: Path,
    wanted: Wanted,
    options: ComputeOptions,
    canaries: Canaries,
) -> None:
    """Write the signals of all models; model 0 is the target.

    Logits are taken of every sample that some model was trained or tested on (and the target's
    inference set); all else only where that model has the sample as member or non-member.
    """
    data, folder = data.resolve(), folder.resolve()  # a worker may have another working directory
    known = prepared.load(data)
    ids = np.unique(np.concatenate([*(r.train for r in models), *(r.test for r in models)]))
    ids = np.union1d(ids, models[0].inference)
    with files.whole_folder(folder) as temporary:
        files.write_array(temporary / "sample_ids.npy", ids.astype(np.int64))
        labels = canaries.relabel(ids, known.labels[ids])
        files.write_array(temporary / "labels.npy", labels)
        files.write_array(temporary / "canary.npy", canaries.among(ids))
        files.write_array(temporary / "membership.npy", membership(models, ids))
        if "inputs" in wanted.names:
            from nonmember.outlines import outlines  # scikit-learn: half a second for each worker

            files.write_array(temporary / "inputs.npy", outlines(known, ids, labels))
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(wanted.of_models(), ())
        shapes |= {"logits": (known.classes,)}
        shapes |= {name: (query.width,) for name, query in wanted.asked().items()}
        for name, shape in shapes.items():
            files.reserve_array(temporary / f"{name}.npy", (len(models), len(ids), *shape))
        slots, locks = compute.slots(options), fleet.Store.default().folder.with_name("slots")
        calls = [
            (number, task, str(path.resolve()), str(data), str(temporary), wanted, slots, locks)
            for number, (task, path) in enumerate(zip(tasks, weights, strict=True))
        ]
        with compute.naming_deaths("extracting signals"):
            for done, _ in enumerate(compute.spread(options, _extract_one, calls), start=1):
                print(f"signals of {done} of {len(calls)} models", file=sys.stderr, flush=True)


def _extract_one(
    number: int,
    task: Task,
    weights: str,
    data: str,
    folder: str,
    wanted: Wanted,
    slots: list[str],
    locks: Path,
) -> None:
    """In a worker: one model's row of every signal, a chunk of samples in hand at a time."""
    place = Path(folder)
    ids = np.load(place / "sample_ids.npy", allow_pickle=False)
    known = np.load(place / "membership.npy", allow_pickle=False)[number]
    known = np.isin(known, (0, 1))
    labels = np.load(place / "labels.npy", allow_pickle=False)
    names = wanted.of_models()
    asked = wanted.asked()
    out = {name: np.load(place / f"{name}.npy", mmap_mode="r+") for name in (*names, *asked)}
    with compute.one_slot(slots, locks) as device, compute.one_thread():
        model = Released(task, Path(weights), Path(data), device)
        for part in _chunks(known):
            for name, value in model.look(ids[part], labels[part], names).items():
                out[name][number, part] = value
            for name, query in asked.items():
                out[name][number, part] = model.ask(query, ids[part], labels[part], wanted.seed)
        for part in _chunks(~known):
            out["logits"][number, part] = model.look(ids[part], labels[part], ("logits",))["logits"]
        for name in set(out) - {"logits"}:
            out[name][number, ~known] = np.nan
    for array in out.values():
        array.flush()


def _chunks(which: np.ndarray) -> Iterator[np.ndarray]:
    """Positions where `which` is true, some at a time."""
    positions = np.flatnonzero(which)
    for begin in range(0, len(positions), CHUNK):
        yield positions[begin : begin + CHUNK]
