"""Devices and workers: what is there, what is refused, and who gets which slot."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import joblib
import pytest
import torch
from pydantic import ValidationError

from nonmember import compute
from nonmember.compute import ComputeOptions

HOLD = """
import sys, time
from pathlib import Path
from nonmember import compute
with compute.one_slot(["a", "b", "c"], Path(sys.argv[1])) as device:
    print(device, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "available", lambda: ["cuda:0", "cuda:1", "cpu"])


def test_the_cpu_is_always_there() -> None:
    assert compute.available()[-1] == "cpu"
    for device in compute.available():
        assert torch.zeros(1, device=device).item() == 0


@pytest.mark.parametrize(
    ("kind", "there"), [("cuda", ["cuda:0", "cuda:1", "cpu"]), ("mps", ["cpu"]), (None, ["cpu"])]
)
def test_accelerators_that_can_do_float64_come_first(
    kind: str | None, there: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signals need it, and Apple's have none: training there would end in a traceback."""
    found = None if kind is None else torch.device(kind)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: found)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    assert compute.available() == there


def test_a_missing_device_is_named_with_those_that_exist() -> None:
    there = ", ".join(compute.available())
    with pytest.raises(
        ValueError,
        match=rf"compute\.devices: cuda:7, xpu:9 is not available; this machine has {there}",
    ):
        compute.resolve(ComputeOptions(devices=["cpu", "cuda:7", "xpu:9"]))
    with pytest.raises(ValueError, match=r"compute\.devices: an empty list is not available"):
        compute.resolve(ComputeOptions(devices=[]))


def test_auto_is_every_gpu_or_else_the_cpu(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compute.resolve(ComputeOptions()) == ["cuda:0", "cuda:1"]
    assert compute.resolve(ComputeOptions(devices="cpu")) == ["cpu"]
    assert compute.resolve(ComputeOptions(devices=["cuda:1"])) == ["cuda:1"]
    monkeypatch.setattr(compute, "available", lambda: ["cpu"])
    assert compute.resolve(ComputeOptions()) == ["cpu"]


def test_slots(two_gpus: None) -> None:
    """auto: one worker a GPU, one a CPU core; else so many a device."""
    assert compute.slots(ComputeOptions()) == ["cuda:0", "cuda:1"]
    assert compute.slots(ComputeOptions(workers=2)) == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert compute.slots(ComputeOptions(devices=["cuda:1", "cpu"]))[:2] == ["cuda:1", "cpu"]
    assert compute.slots(ComputeOptions(devices="cpu", workers=3)) == ["cpu"] * 3
    assert compute.slots(ComputeOptions(devices="cpu")) == ["cpu"] * joblib.cpu_count()


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "many"])
def test_impossible_workers(workers: Any) -> None:
    with pytest.raises(ValidationError):
        ComputeOptions(workers=workers)


def test_two_holders_get_two_slots_and_give_them_back(tmp_path: Path) -> None:
    names = ["a", "b"]
    with compute.one_slot(names, tmp_path) as first:
        assert first == "a"
        with compute.one_slot(names, tmp_path) as second:
            assert second == "b"
            with compute.one_slot(names, tmp_path) as third:
                assert third in names  # all are taken: share one rather than wait
        with compute.one_slot(names, tmp_path) as second:
            assert second == "b"
    with compute.one_slot(names, tmp_path) as first:
        assert first == "a"


def test_a_slot_is_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="oops"), compute.one_slot(["a", "b"], tmp_path):
        raise RuntimeError("oops")
    with compute.one_slot(["a", "b"], tmp_path) as device:
        assert device == "a"


def test_processes_get_different_slots_and_kill_frees_them(tmp_path: Path) -> None:
    holders = []
    try:
        for expected in ("a", "b"):
            holder = subprocess.Popen(
                [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
            )
            holders.append(holder)
            assert holder.stdout is not None
            assert holder.stdout.readline().strip() == expected
        with compute.one_slot(["a", "b", "c"], tmp_path) as mine:
            assert mine == "c"
        holders[0].kill()
        holders[0].wait()
        with compute.one_slot(["a", "b", "c"], tmp_path) as mine:
            assert mine == "a"
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


def test_one_thread_and_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with compute.one_thread():
            assert torch.get_num_threads() == 1
        with pytest.raises(KeyError), compute.one_thread():
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def square(x: int, pause: float = 0.0) -> tuple[int, int]:
    time.sleep(pause)
    return x * x, os.getpid()


@pytest.mark.parametrize(("backend", "workers"), [("sequential", 1), ("loky", 1), ("loky", 2)])
def test_spread_calls_each_once(backend: Any, workers: int) -> None:
    options = ComputeOptions(devices="cpu", workers=workers, backend=backend)
    found = list(compute.in_pool(options, square, [(i,) for i in range(5)]))
    assert sorted(value for value, _ in found) == [0, 1, 4, 9, 16]
    assert ({pid for _, pid in found} == {os.getpid()}) == (backend == "sequential")
    assert list(compute.in_pool(options, square, [])) == []


def interval(pause: float) -> tuple[float, float]:
    began = time.monotonic()
    time.sleep(pause)
    return began, time.monotonic()


@pytest.mark.parametrize(("workers", "calls", "at_once"), [(1, 3, 1), (2, 4, 2), (3, 1, 1)])
def test_no_more_calls_at_once_than_workers(workers: int, calls: int, at_once: int) -> None:
    options = ComputeOptions(devices="cpu", workers=workers)
    list(compute.in_pool(options, interval, [(0.0,)] * 2))  # now the workers are up
    found = list(compute.in_pool(options, interval, [(0.3,)] * calls))
    assert len(found) == calls
    overlap = [sum(b <= start < e for b, e in found) for start, _ in found]
    assert max(overlap) == at_once


def test_results_come_as_they_are_finished() -> None:
    options = ComputeOptions(devices="cpu", workers=2)
    slow_first = [(3, 1.5), (1, 0.0), (2, 0.0)]
    list(compute.in_pool(options, square, [(0,), (0,)]))  # now the workers are up
    assert [value for value, _ in compute.in_pool(options, square, slow_first)] == [1, 4, 9]


def fail(x: int) -> None:
    raise KeyError(f"number {x}")


@pytest.mark.parametrize("backend", ["sequential", "loky"])
def test_an_error_in_a_worker_reaches_the_caller(backend: Any) -> None:
    options = ComputeOptions(devices="cpu", workers=1, backend=backend)
    with pytest.raises(KeyError, match="number 3"):
        list(compute.in_pool(options, fail, [(3,)]))


def test_a_backend_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *_: None if name == "ray" else find(name)
    )
    with pytest.raises(
        ValueError, match=r"compute\.backend: ray is not installed; pip install -e '\.\[ray\]'"
    ):
        compute.slots(ComputeOptions(backend="ray"))


def test_workers_keep_the_memory_they_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the user has settings of their own for the allocator."""
    for own, expected in ((None, "glibc.malloc.hugetlb=1"), ("glibc.malloc.check=0", "check=0")):
        if own is None:
            monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
        else:
            monkeypatch.setenv("GLIBC_TUNABLES", own)
        list(compute.in_pool(ComputeOptions(backend="sequential"), max, [(1, 2)]))
        assert os.environ.get("GLIBC_TUNABLES") == own  # who starts no worker changes nothing
        list(compute.in_pool(ComputeOptions(devices="cpu", workers=1), max, [(1, 2)]))
        assert expected in os.environ["GLIBC_TUNABLES"]


@pytest.mark.parametrize(
    ("text", "size"), [("3 GiB", 3 * 2**30), ("500 MB", 500_000_000), ("1.5TB", 1_500_000_000_000)]
)
def test_memory_is_read_as_bytes(text: str, size: int) -> None:
    assert ComputeOptions(memory=text).budget_bytes() == size
    assert ComputeOptions().budget_bytes() is None


@pytest.mark.parametrize("text", ["", "3", "3 cows", "-1 GB", "0.1 MB", "3 gib", "1e9 GB"])
def test_memory_that_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="must be a size of at least 1 MB such as 3 GiB"):
        ComputeOptions(memory=text)
