"""Many trainings at once: a store of finished models, a pool of workers, one progress bar.

The store is a git-ignored folder, `work/models` beside the repository's root (of the parent
repository in DVC's temporary copies). A model is named by a fingerprint of everything that made
it: settings, rows, data, seed and the code that trains. A finished model is never trained again,
whatever became of the run that wanted it.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import filelock

from nonmember import compute, files, ray_pool
from nonmember.compute import ComputeOptions
from nonmember.data import prepared
from nonmember.task import Task
from nonmember.training import fingerprint
from nonmember.training.build import build_defense
from nonmember.training.progress import Board, Watcher
from nonmember.training.store import Packed, Store, pack
from nonmember.training.train import Trained, train


def train_all(
    tasks: Sequence[Task],
    data: Path,
    store: Store,
    options: ComputeOptions,
    label: str = "models",
) -> list[str]:
    """Train every task that the store does not have, and what they require, in parallel.

    Returns the fingerprints, in the order of `tasks`. Raises RuntimeError naming the model when a
    training fails or its worker dies; models that were finished by then stay in the store.
    """
    slots = compute.slots(options)
    with _locked(store):
        keys = [fingerprint.of_task(task) for task in tasks]
        for wave in _waves(dict(zip(keys, tasks, strict=True)), store):
            _train_wave(wave, data, store, options, slots, label)
    return keys


def deliver(
    tasks: Sequence[Task],
    data: Path,
    targets: Sequence[Path],
    options: ComputeOptions,
    label: str,
) -> None:
    """Train what is missing in the default store, then link each model to its declared place.

    targets: paths without suffix, one a task; `.json` and `.safetensors` appear there.
    """
    store = Store.default()
    keys = train_all(tasks, data.resolve(), store, options, label)  # a worker may be elsewhere
    for key, target in zip(keys, targets, strict=True):
        files.link(store.recipe_path(key), target.with_suffix(".json"))
        files.link(store.weights_path(key), target.with_suffix(".safetensors"))


def _waves(wanted: Mapping[str, Task], store: Store) -> list[dict[str, Task]]:
    """Missing models, those that others require first: lists that can train side by side."""
    missing = {key: task for key, task in wanted.items() if not store.has(key)}
    if not missing:
        return []
    needed = {
        fingerprint.of_task(required): required
        for task in missing.values()
        for required in build_defense(task).requires(task).values()
    }
    earlier = _waves(needed, store)
    last = {key: task for key, task in missing.items() if not any(key in wave for wave in earlier)}
    return [*earlier, last]


def _train_wave(
    wave: Mapping[str, Task],
    data: Path,
    store: Store,
    options: ComputeOptions,
    slots: list[str],
    label: str,
) -> None:
    board = Board(store.folder.parent / "progress" / f"{os.getpid()}")
    names = {key: task.name for key, task in wave.items()}
    try:
        with Watcher(board, label, names) as watcher:
            if options.backend == "ray":
                finished = _train_far(wave, data, store, options, board)
            else:
                calls = [(key, task, str(data), store, slots, board) for key, task in wave.items()]
                finished = compute.in_pool(options, _train_one, calls)
            for key in finished:
                watcher.finished(key, files.read_json(store.recipe_path(key))["curve"])
    except KeyboardInterrupt:
        raise
    except Exception as error:
        raise RuntimeError(_explain(error, board, names, store)) from error
    finally:
        board.clear()


def _explain(error: Exception, board: Board, names: Mapping[str, str], store: Store) -> str:
    kept = sum(store.has(key) for key in names)
    tail = f"{kept} of {len(names)} models are finished and kept; the next run goes on from there"
    if isinstance(error, TrainingFailed):
        return f"{error}\n{tail}"
    if not isinstance(error, (BrokenExecutor, MemoryError)):
        return f"{error if isinstance(error, OSError) else repr(error)}\n{tail}"
    running = [names[key] for key in board.running() if key in names] or ["a model"]
    return (
        f"a worker died while training {', '.join(running)} ({type(error).__name__}), most "
        f"likely for lack of memory: lower compute.workers or train.batch_size\n{tail}"
    )


class TrainingFailed(Exception):
    """A training raised: the message names the model and, where memory ran out, what to lower."""


def _train_one(
    key: str, task: Task, data: str, store: Store, slots: list[str], board: Board
) -> str:
    """In a worker: train one task and store it. Returns its fingerprint."""
    with compute.one_slot(slots, store.folder.parent / "slots") as device:
        needed = build_defense(task).requires(task)
        with _blaming(task):
            required = {name: store.get(fingerprint.of_task(t)) for name, t in needed.items()}
            samples = _prepared(data, task.data)
        trained, seconds = _timed(key, task, samples, required, device, board)
        with _blaming(task):
            store.put(key, task, trained)
        board.log(key, task.name, seconds)
    return key


def _train_far(
    wave: Mapping[str, Task], data: Path, store: Store, options: ComputeOptions, board: Board
) -> Iterator[str]:
    """Train on nodes that may share no disk: all they need travels there, and the models back."""
    samples = compute.share(options, prepared.load(data).in_memory())
    shared: dict[str, Any] = {}
    calls = []
    for key, task in wave.items():
        needed = {n: fingerprint.of_task(t) for n, t in build_defense(task).requires(task).items()}
        for other in needed.values():
            if other not in shared:
                shared[other] = compute.share(options, store.get(other))
        calls.append((key, task, samples, board, list(needed), *map(shared.get, needed.values())))
    for packed, seconds in compute.in_pool(options, _train_there, calls):
        store.keep(packed)
        board.log(packed.key, wave[packed.key].name, seconds)
        yield packed.key


def _train_there(
    key: str,
    task: Task,
    samples: prepared.Prepared,
    board: Board,
    names: list[str],
    *models: Trained,
) -> tuple[Packed, float]:
    """On a node: train one task. Returns what the store will hold, and the seconds it took."""
    if fingerprint.of_task(task) != key:
        raise TrainingFailed(
            f"{task.name}: the node {platform.node()} has another version of nonmember or of its "
            "libraries than the machine that asks; install the same one on all nodes"
        )
    required = dict(zip(names, models, strict=True))
    trained, seconds = _timed(key, task, samples, required, ray_pool.device(), board)
    return pack(key, task, trained), seconds


def _timed(
    key: str,
    task: Task,
    samples: prepared.Prepared,
    required: Mapping[str, Trained],
    device: str,
    board: Board,
) -> tuple[Trained, float]:
    """A training in this process, noted on the board, and the seconds it took."""
    # On a CPU what the one thread has worked: other work beside it does not count.
    clock = time.process_time if device == "cpu" else time.perf_counter
    began = clock()
    board.start(key)
    try:
        with _blaming(task), compute.one_thread():
            trained = train(task, samples, required, device, board.reporter(key))
    finally:
        board.stop(key)
    return trained, clock() - began


@contextmanager
def _blaming(task: Task) -> Iterator[None]:
    """Any error of the block is one of this task's training."""
    out_of_memory = f"{task.name}: out of memory; lower train.batch_size or compute.workers"
    try:
        yield
    except MemoryError as error:
        raise TrainingFailed(out_of_memory) from error
    except Exception as error:
        short = "out of memory" in str(error).lower() or "can't allocate" in str(error).lower()
        raise TrainingFailed(out_of_memory if short else _first_line(task, error)) from error


def _first_line(task: Task, error: Exception) -> str:
    text = str(error)
    return text if text.startswith(task.name) else f"{task.name}: {type(error).__name__}: {text}"


@lru_cache(maxsize=2)
def _prepared(folder: str, sha256: str) -> prepared.Prepared:
    """The data a worker trains on, opened once; `sha256` tells one content from the next."""
    return prepared.load(folder)


@contextmanager
def _locked(store: Store) -> Iterator[None]:
    """One run at a time trains into a store; a second one says that it waits, then goes on."""
    store.folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(store.folder.parent / "lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        print("waiting for another run that trains into the same store", file=sys.stderr)
        lock.acquire()
    try:
        for torn in store.folder.glob(".*.tmp"):  # of a run that was killed while saving
            torn.unlink(missing_ok=True)
        shutil.rmtree(store.folder.parent / "progress", ignore_errors=True)  # of killed runs
        yield
    finally:
        lock.release()
