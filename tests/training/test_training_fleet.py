"""The store and the pool: what is trained, what is kept, and what a broken run leaves behind."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
import tiny
import torch

from nonmember import compute, files
from nonmember.compute import ComputeOptions
from nonmember.data.canaries import Canaries
from nonmember.data.prepared import Prepared
from nonmember.defenses import Defense, defenses
from nonmember.defenses._run import Run
from nonmember.task import Task
from nonmember.training import fingerprint
from nonmember.training.fleet import train_all
from nonmember.training.store import Store
from nonmember.training.train import train_with_required

SEQUENTIAL = ComputeOptions(devices="cpu", workers=1, backend="sequential")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.save(tmp_path_factory.mktemp("data"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "work" / "models")


def shadows(data: Prepared, count: int, **options: Any) -> list[Task]:
    return [tiny.task(data, model=1 + i, **options) for i in range(count)]


def run(tasks: list[Task], data: Prepared, store: Store, **compute: Any) -> list[str]:
    options = ComputeOptions(**{**SEQUENTIAL.model_dump(), **compute})
    return train_all(tasks, data.folder, store, options, "tiny")


def trainings(store: Store) -> list[str]:
    """Names of the models trained into a store, in the order they were finished."""
    path = store.folder.parent / "times.csv"
    return [line.split(",")[1] for line in path.read_text().splitlines()] if path.exists() else []


def contents(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.folder.glob("*.*")}


def test_the_same_files_from_one_thread_one_worker_and_two(data: Prepared, tmp_path: Path) -> None:
    found = []
    for number, how in enumerate(
        [{}, {"backend": "loky", "workers": 1}, {"backend": "loky", "workers": 2}]
    ):
        store = Store(tmp_path / str(number) / "models")
        keys = run(shadows(data, 3), data, store, **how)
        assert keys == [fingerprint.of_task(task) for task in shadows(data, 3)]
        found.append(contents(store))
    assert len(found[0]) == 6
    assert found[0] == found[1] == found[2]


def test_the_line_of_a_finished_model_tells_its_last_epoch(
    data: Prepared, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    (key,) = run(shadows(data, 1, epochs=3), data, store)
    last = store.get(key).curve[-1]
    line = next(text for text in capsys.readouterr().err.splitlines() if "done" in text)
    assert last["epoch"] == 3
    assert f"loss {last['loss']:.3f}, accuracy {last['accuracy']:.1%}" in line


def test_raising_the_count_trains_only_what_is_missing(
    data: Prepared, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    run(shadows(data, 2), data, store)
    before = contents(store)
    run(shadows(data, 4), data, store)
    assert trainings(store) == [f"tiny shadow {i}" for i in range(4)]
    assert before.items() <= contents(store).items()
    run(shadows(data, 4), data, store)
    assert len(trainings(store)) == 4
    assert "tiny: 2 to train" in capsys.readouterr().err


def change(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "cut":
        data = data[: len(data) // 2]
    elif how == "empty":
        data = bytearray()
    else:
        data[-3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["cut", "empty", "flipped"])
def test_a_damaged_model_is_reported_and_trained_again(
    data: Prepared, store: Store, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = run(shadows(data, 2), data, store)
    before = contents(store)
    change(store.weights_path(keys[1]), how)
    assert not store.has(keys[1])
    assert f"{keys[1]}.safetensors: damaged, will be trained again" in capsys.readouterr().err
    run(shadows(data, 2), data, store)
    assert contents(store) == before
    assert trainings(store) == ["tiny shadow 0", "tiny shadow 1", "tiny shadow 1"]


def test_a_damaged_recipe_counts_as_absent_too(data: Prepared, store: Store) -> None:
    (key,) = run(shadows(data, 1), data, store)
    before = contents(store)
    change(store.recipe_path(key), "cut")
    run(shadows(data, 1), data, store)
    assert contents(store) == before


def test_a_full_disk_is_named_and_finished_models_are_kept(
    data: Prepared, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    sync = os.fsync

    def full(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 3:  # recipe and weights of the first model, recipe of the second
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RuntimeError) as caught:
        run(shadows(data, 3), data, store)
    text = str(caught.value)
    assert "tiny shadow 1" in text
    assert "No space left on device" in text
    assert "MiB free" in text
    assert "1 of 3 models are finished and kept" in text
    assert list(store.folder.glob(".*")) == []
    monkeypatch.undo()
    run(shadows(data, 3), data, store)
    assert trainings(store) == [f"tiny shadow {i}" for i in range(3)]


def test_notes_that_cannot_be_kept_end_no_training(
    data: Prepared, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress and times are for people: a full disk is said where a model cannot be saved."""
    real = files.write

    def full(path: Any, fill: Any, durable: Any = True) -> None:
        if not durable:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, fill, durable)

    monkeypatch.setattr(files, "write", full)
    run(shadows(data, 2), data, store)
    assert trainings(store) == ["tiny shadow 0", "tiny shadow 1"]


def test_an_error_outside_a_training_is_not_blamed_on_memory(
    data: Prepared, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(compute, "one_slot", no_room)
    with pytest.raises(RuntimeError, match="No space left") as caught:
        run(shadows(data, 1), data, store)
    assert "memory" not in str(caught.value)


def test_a_training_that_fails_is_named_and_the_finished_ones_are_kept(
    data: Prepared, store: Store
) -> None:
    tasks = [*shadows(data, 2), tiny.task(data, lr=1e30, epochs=5)]
    with pytest.raises(RuntimeError, match=r"tiny target: the loss became") as caught:
        run(tasks, data, store)
    assert "2 of 3 models are finished and kept" in str(caught.value)
    assert len(trainings(store)) == 2
    assert list((store.folder.parent / "progress").glob("*")) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_dies_gives_an_error_that_names_its_model(
    data: Prepared, store: Store, workers: int
) -> None:
    """SIGKILL, as the kernel sends it when memory runs out; the next run goes on from there."""
    long = dataclasses.replace(tiny.task(data, epochs=20_000), name="the long one")
    quick = shadows(data, 1)
    run(quick, data, store)

    def kill() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for path in (store.folder.parent / "progress").glob(
                f"*/{fingerprint.of_task(long)}.json"
            ):
                os.kill(json.loads(path.read_text())["pid"], signal.SIGKILL)
                return
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(RuntimeError, match=r"a worker died while training .*the long one") as e:
        run([*quick, long], data, store, backend="loky", workers=workers)
    killer.join()
    assert "lower compute.workers or train.batch_size" in str(e.value)
    run(shadows(data, 2), data, store, backend="loky", workers=workers)
    assert trainings(store) == ["tiny shadow 0", "tiny shadow 1"]


def test_a_second_run_says_that_it_waits(
    data: Prepared, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.folder.mkdir(parents=True)
    with filelock.FileLock(store.folder.parent / "lock"):
        second = threading.Thread(target=run, args=(shadows(data, 1), data, store))
        second.start()
        second.join(0.5)
        assert second.is_alive()
        assert trainings(store) == []
        assert "waiting for another run" in capsys.readouterr().err
    second.join(30)
    assert trainings(store) == ["tiny shadow 0"]


def test_the_fingerprint_is_everything_that_makes_a_model_and_nothing_else(
    data: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny.task(data)
    changed = {
        "seed": dataclasses.replace(task, seed=7),
        "data": dataclasses.replace(task, data="0"),
        "train": tiny.task(data, epochs=3),
        "model": tiny.task(data, net={"name": "mlp", "widths": [12, 9]}),
        "defense": tiny.task(data, {"name": "relaxloss"}),
        "setting": tiny.task(data, {"name": "relaxloss", "relax_alpha": 0.3}),
        "rows": dataclasses.replace(task, train_rows=task.train_rows[1:]),
        "inference": dataclasses.replace(task, inference_rows=task.inference_rows[1:]),
        "canaries": dataclasses.replace(task, canaries=Canaries(np.array([3]), np.array([1]))),
        "their labels": dataclasses.replace(task, canaries=Canaries(np.array([3]), np.array([2]))),
    }
    keys = [fingerprint.of_task(task), *map(fingerprint.of_task, changed.values())]
    for other in ("_code", "_libraries"):
        with monkeypatch.context() as patch:
            patch.setattr(fingerprint, other, lambda *_: "another")
            keys.append(fingerprint.of_task(task))
    assert len(set(keys)) == len(keys)
    assert fingerprint.of_task(dataclasses.replace(task, name="another")) == keys[0]
    moved = dataclasses.replace(
        task, train_rows=task.train_rows[:-1], inference_rows=task.train_rows[-1:]
    )
    assert fingerprint.of_task(moved) != fingerprint.of_task(
        dataclasses.replace(task, inference_rows=task.inference_rows[:0])
    )


class Pupil(Defense):
    """Starts from the weights of an undefended model that the fleet trains first."""

    def requires(self, task: Task) -> dict[str, Task]:
        return {
            "teacher": dataclasses.replace(
                task, name=f"{task.name} teacher", defense={"name": "none"}
            )
        }

    def start(self, run: Run, required: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
        run.model.load_state_dict(required["teacher"])


@pytest.fixture
def pupil(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings of a defense that is known for the length of a test."""
    real = defenses.get
    monkeypatch.setattr(defenses, "get", lambda name: Pupil if name == "pupil" else real(name))
    return {"name": "pupil"}


def test_required_models_are_trained_first_stored_and_handed_over(
    data: Prepared, store: Store, pupil: dict[str, str]
) -> None:
    tasks = [tiny.task(data, pupil), tiny.task(data, pupil, model=1)]
    key, _ = run(tasks, data, store)
    assert sorted(trainings(store)[:2]) == ["tiny shadow 0 teacher", "tiny target teacher"]
    assert sorted(trainings(store)[2:]) == ["tiny shadow 0", "tiny target"]
    direct = train_with_required(tasks[0], data).weights
    teacher = tiny.stored(store, tiny.task(data)).weights  # the undefended model is the same one
    pupils = store.get(key).weights
    assert all(torch.equal(pupils[k], direct[k]) for k in pupils)
    assert any(not torch.equal(pupils[k], teacher[k]) for k in pupils)


def test_a_required_model_that_is_wanted_too_is_trained_once(
    data: Prepared, store: Store, pupil: dict[str, str]
) -> None:
    run([tiny.task(data, pupil), tiny.task(data)], data, store)
    assert len(trainings(store)) == 2
    assert len(list(store.folder.glob("*.safetensors"))) == 2


def test_a_finished_model_needs_what_it_required_no_more(
    data: Prepared, store: Store, pupil: dict[str, str]
) -> None:
    run([tiny.task(data, pupil)], data, store)
    store.weights_path(fingerprint.of_task(tiny.task(data))).unlink()
    run([tiny.task(data, pupil)], data, store)
    assert len(trainings(store)) == 2


def test_what_is_required_is_part_of_the_fingerprint(
    data: Prepared, pupil: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint.of_task(tiny.task(data, pupil))

    def seeded(self: Pupil, task: Task) -> dict[str, Task]:
        return {"teacher": dataclasses.replace(task, seed=1, defense={"name": "none"})}

    monkeypatch.setattr(Pupil, "requires", seeded)
    assert fingerprint.of_task(tiny.task(data, pupil)) != before


def test_what_killed_runs_left_is_removed(data: Prepared, store: Store) -> None:
    """Half-written models and the notes of dead processes."""
    left = [store.folder / ".x.safetensors.0.tmp", store.folder.parent / "progress/1/a.json"]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    run(shadows(data, 1), data, store)
    assert not any(path.exists() for path in left)
