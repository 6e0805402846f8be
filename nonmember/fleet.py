"""Many trainings at once: a store of finished models, a pool of workers, one progress bar.

The store is a git-ignored folder, `work/models` beside the repository's root (of the parent
repository in DVC's temporary copies). A model is named by a fingerprint of everything that made
it: settings, rows, data, seed and the code that trains. A finished model is never trained again,
whatever became of the run that wanted it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import filelock
import safetensors.torch

from nonmember import code, compute, files, prepared
from nonmember.compute import ComputeOptions
from nonmember.progress import Board, Watcher
from nonmember.training import Task, Trained, train

PLUMBING = ("nonmember.files", "nonmember.registry", "nonmember.settings", "nonmember.datasets")
EXTRA = "released."


def fingerprint(task: Task) -> str:
    """The identity of a task: 32 hex digits over settings, rows, data, seed, code and torch."""
    digest = hashlib.sha256(json.dumps(task.recipe(), sort_keys=True).encode())
    for rows in (task.train_rows, task.inference_rows):
        digest.update(rows.astype("<i8").tobytes() + b"/")
    for values in (task.canaries.rows, task.canaries.labels):
        digest.update(values.astype("<i8").tobytes() + b"/")
    for name, needed in sorted(task.build_defense().requires(task).items()):
        digest.update(f"{name}={fingerprint(needed)}".encode())
    digest.update(_code(task.defense["name"], task.model["name"]).encode())
    digest.update(_libraries().encode())
    return digest.hexdigest()[:32]


@lru_cache
def _libraries() -> str:
    """The versions of those that do the arithmetic: they decide the last digits."""
    return ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "opacus"))


@lru_cache
def _code(defense: str, model: str) -> str:
    modules = [
        "nonmember.training",
        f"nonmember.defenses.{defense}",
        f"nonmember.architectures.{model}",
    ]
    return code.fingerprint(modules, without=(*PLUMBING, "nonmember.datasets._base", "nonmember"))


@dataclass(frozen=True)
class Store:
    """Finished models in a folder, one `.safetensors` and one `.json` each."""

    folder: Path

    @classmethod
    def default(cls) -> Store:
        """`work/models` of the repository that DVC was started in."""
        return cls(Path(os.environ.get("DVC_ROOT", ".")).resolve() / "work" / "models")

    def weights_path(self, key: str) -> Path:
        """Where the weights of a fingerprint are, if they are there."""
        return self.folder / f"{key}.safetensors"

    def recipe_path(self, key: str) -> Path:
        """Where what made it and its training curve are."""
        return self.folder / f"{key}.json"

    def has(self, key: str) -> bool:
        """Whether the model is there whole; a damaged file is reported and counts as absent."""
        weights, recipe = self.weights_path(key), self.recipe_path(key)
        if not (weights.exists() and recipe.exists()):
            return False
        try:
            whole = files.read_json(recipe)["sha256"] == _sha256(weights)
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            print(f"{weights}: damaged, will be trained again", file=sys.stderr)
            weights.unlink(missing_ok=True)
        return whole

    def put(self, key: str, task: Task, trained: Trained) -> None:
        """Save a finished training; the weights come last and mark it finished."""
        extras = {EXTRA + name: tensor for name, tensor in trained.extras.items()}
        data = safetensors.torch.save({**trained.weights, **extras})
        files.write_json(
            self.recipe_path(key),
            {
                **task.recipe(),
                "fingerprint": key,
                "members": len(task.train_rows),
                "sha256": hashlib.sha256(data).hexdigest(),
                "facts": trained.facts,
                "curve": trained.curve,
            },
        )
        files.write_bytes(self.weights_path(key), data)

    def get(self, key: str) -> Trained:
        """A finished training by its fingerprint."""
        return load(self.weights_path(key))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(weights_path: str | Path) -> Trained:
    """A model file and the JSON beside it; ValueError naming the file if it is damaged."""
    weights_path = Path(weights_path)
    meta = files.read_json(weights_path.with_suffix(".json"))
    if _sha256(weights_path) != meta["sha256"]:
        raise ValueError(f"{weights_path}: damaged, its checksum is not that of the JSON beside it")
    tensors = safetensors.torch.load_file(weights_path)
    return Trained(
        weights={n: t for n, t in tensors.items() if not n.startswith(EXTRA)},
        extras={n.removeprefix(EXTRA): t for n, t in tensors.items() if n.startswith(EXTRA)},
        curve=meta["curve"],
        facts=meta["facts"],
    )


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
        keys = [fingerprint(task) for task in tasks]
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
        fingerprint(required): required
        for task in missing.values()
        for required in task.build_defense().requires(task).values()
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
    calls = [(key, task, str(data), store, slots, board) for key, task in wave.items()]
    names = {key: task.name for key, task in wave.items()}
    try:
        with Watcher(board, label, names) as watcher:
            for key in compute.spread(options, _train_one, calls):
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
    out_of_memory = f"{task.name}: out of memory; lower train.batch_size or compute.workers"
    with compute.one_slot(slots, store.folder.parent / "slots") as device, compute.one_thread():
        board.start(key)
        try:
            needed = task.build_defense().requires(task)
            required = {name: store.get(fingerprint(t)) for name, t in needed.items()}
            # On a CPU what the one thread has worked: other work beside it does not count.
            clock = time.process_time if device == "cpu" else time.perf_counter
            began = clock()
            known = _prepared(data, task.data)
            trained = train(task, known, required, device, board.reporter(key))
            seconds = clock() - began
            store.put(key, task, trained)
            board.log(key, task.name, seconds)
        except MemoryError as error:
            raise TrainingFailed(out_of_memory) from error
        except Exception as error:
            short = "out of memory" in str(error).lower() or "can't allocate" in str(error).lower()
            raise TrainingFailed(out_of_memory if short else _first_line(task, error)) from error
        finally:
            board.stop(key)
    return key


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
