"""From models to signals on disk: the folder that nonmember.evidence reads."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from nonmember import compute, files, fleet, prepared, signals
from nonmember.compute import ComputeOptions
from nonmember.splits import Rows
from nonmember.training import Task, restore

CHUNK = 4096  # samples in hand at a time


def membership(models: Sequence[Rows], ids: np.ndarray) -> np.ndarray:
    """(models, samples) int8: 1 member, 0 non-member, -1 neither (inference set, others' data)."""
    table = np.full((len(models), len(ids)), -1, np.int8)
    for row, rows in zip(table, models, strict=True):
        row[np.searchsorted(ids, rows.train)] = 1
        row[np.searchsorted(ids, rows.test)] = 0
    return table


def extract(
    tasks: Sequence[Task],
    models: Sequence[Rows],
    weights: Sequence[Path],
    data: Path,
    folder: Path,
    names: Sequence[str],
    options: ComputeOptions,
) -> None:
    """Write the signals of all models; model 0 is the target.

    Logits are taken of every sample that some model was trained or tested on (and the target's
    inference set); norms only where that model has the sample as member or non-member.
    """
    data, folder = data.resolve(), folder.resolve()  # a worker may have another working directory
    known = prepared.load(data)
    ids = np.unique(np.concatenate([*(r.train for r in models), *(r.test for r in models)]))
    ids = np.union1d(ids, models[0].inference)
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    files.write_array(temporary / "sample_ids.npy", ids.astype(np.int64))
    files.write_array(temporary / "labels.npy", known.labels[ids])
    files.write_array(temporary / "membership.npy", membership(models, ids))
    for name in names:
        shape = (len(models), len(ids)) + ((known.classes,) if name == "logits" else ())
        np.lib.format.open_memmap(temporary / f"{name}.npy", "w+", np.float32, shape)
    slots, locks = compute.slots(options), fleet.Store.default().folder.with_name("slots")
    calls = [
        (number, task, str(path.resolve()), str(data), str(temporary), tuple(names), slots, locks)
        for number, (task, path) in enumerate(zip(tasks, weights, strict=True))
    ]
    try:
        for _ in compute.spread(options, _extract_one, calls):
            pass
    except (MemoryError, TerminatedWorkerError) as error:
        raise RuntimeError(
            f"a worker died while extracting signals ({type(error).__name__}), most likely for "
            "lack of memory: lower compute.workers"
        ) from error
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def _extract_one(
    number: int,
    task: Task,
    weights: str,
    data: str,
    folder: str,
    names: tuple[str, ...],
    slots: list[str],
    locks: Path,
) -> None:
    """In a worker: one model's row of every signal, a chunk of samples in hand at a time."""
    place = Path(folder)
    ids = np.load(place / "sample_ids.npy", allow_pickle=False)
    known = np.load(place / "membership.npy", allow_pickle=False)[number] >= 0
    out = {name: np.load(place / f"{name}.npy", mmap_mode="r+") for name in names}
    with compute.one_slot(slots, locks) as device, compute.one_thread():
        look = _looker(task, Path(weights), Path(data), device)
        for positions, wanted in (
            (np.flatnonzero(known), names),
            (np.flatnonzero(~known), ("logits",)),
        ):
            for begin in range(0, len(positions), CHUNK):
                part = positions[begin : begin + CHUNK]
                for name, value in look(ids[part], wanted).items():
                    out[name][number, part] = value
        for name in set(names) - {"logits"}:
            out[name][number, ~known] = np.nan
    for array in out.values():
        array.flush()


def _looker(
    task: Task, weights: Path, data: Path, device: str
) -> Callable[[np.ndarray, Sequence[str]], dict[str, np.ndarray]]:
    """(rows, names) -> the signals of one released model on these rows."""
    known, trained = prepared.load(data), fleet.load(weights)
    model, defense = restore(task, trained, known, device), task.build_defense()

    def look(rows: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        inputs, labels = known.take(rows)
        seen = signals.compute(
            model, inputs, labels, names, normalise=known.normalise, device=torch.device(device)
        )
        released = defense.release(torch.from_numpy(seen["logits"]), trained.extras)
        return {**seen, "logits": released.numpy()}

    return look
