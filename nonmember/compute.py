"""Where work runs: the devices and workers of params.yaml's `compute` section.

Read at run time and checked where it is used; it never changes a result, so it is part of no
stage's parameters and of no model's identity.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal

import filelock
import joblib
from pydantic import Field, field_validator

from nonmember import lifeline, ray_pool
from nonmember.settings import Settings

# Workers keep the memory they freed, in large pages: a convolutional net otherwise asks the system
# for its activations anew in every step, a tenth of its time. Other systems' allocators ignore it.
_ALLOCATOR = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1073741824:"
    "glibc.malloc.trim_threshold=4294967296:glibc.malloc.top_pad=67108864"
)


class ComputeOptions(Settings):
    """The `compute` section of params.yaml."""

    devices: Literal["auto", "cpu"] | list[str] = Field(
        "auto", description="auto: every GPU, else the CPU | cpu | a list such as [cuda:0, cuda:1]"
    )
    workers: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="processes a device; auto: one a GPU, one a CPU core"
    )
    backend: Literal["loky", "ray", "sequential"] = Field(
        "loky",
        description="loky: processes on this machine | ray: a Ray cluster | sequential: no pool",
    )
    address: str | None = Field(
        None,
        min_length=1,
        description="ray: auto or host:port of a running cluster; null: one on this machine alone",
    )
    memory: str | None = Field(
        None,
        description="memory of a stage and its workers, such as 3 GiB; null: what is there",
    )

    @field_validator("memory")
    @classmethod
    def _size(cls, value: str | None) -> str | None:
        if value is not None:
            parse_bytes(value)
        return value

    def on_this_machine(self) -> ComputeOptions:
        """The same without Ray, for work whose files lie here."""
        return self.model_copy(update={"backend": "loky"}) if self.backend == "ray" else self

    def budget_bytes(self) -> int | None:
        """`memory` in bytes, None where it names no limit."""
        return None if self.memory is None else parse_bytes(self.memory)


def parse_bytes(text: str) -> int:
    """'3 GiB' -> 3221225472; MB, GB and TB are powers of 1000, MiB, GiB and TiB of 1024.

    ValueError for anything else, and for less than 1 MB.
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?) ?([MGT])(i?)B", text)
    size = 0
    if found:
        number, letter, binary = found.groups()
        size = int(float(number) * (1024 if binary else 1000) ** ("MGT".index(letter) + 2))
    if size < 10**6:
        raise ValueError("must be a size of at least 1 MB such as 3 GiB or 500 MB")
    return size


def available() -> list[str]:
    """Devices that are there: the accelerators torch sees, then the CPU.

    Apple's (mps) are left out: they have no float64, in which signals are added up.
    """
    import torch

    kind = torch.accelerator.current_accelerator()
    if kind is None or kind.type == "mps":
        return ["cpu"]
    return [f"{kind.type}:{i}" for i in range(torch.accelerator.device_count())] + ["cpu"]


def resolve(options: ComputeOptions) -> list[str]:
    """The devices to use; ValueError naming a device that is not there, and those that are."""
    if options.devices == "cpu":  # without asking torch, which takes a second to import
        return ["cpu"]
    there = available()
    if options.devices == "auto":
        return there[:-1] or there
    wanted = list(options.devices)
    missing = [device for device in wanted if device not in there]
    if missing or not wanted:
        raise ValueError(
            f"compute.devices: {', '.join(missing) or 'an empty list'} is not available; "
            f"this machine has {', '.join(there)}"
        )
    return wanted


def slots(options: ComputeOptions) -> list[str]:
    """One entry a worker: the device it works on, in turn, so that few models use all devices.

    Empty for Ray, which hands out devices itself. ValueError if the backend is not installed or a
    device is not there.
    """
    if options.backend == "ray":
        _require_ray()
        return []
    rounds = [[device] * _workers(options, device) for device in resolve(options)]
    return [device for turn in zip_longest(*rounds) for device in turn if device is not None]


def _workers(options: ComputeOptions, device: str) -> int:
    if options.workers != "auto":
        return options.workers
    return joblib.cpu_count() if device == "cpu" else 1


@contextmanager
def one_slot(names: list[str], folder: Path) -> Iterator[str]:
    """Take a free worker slot (a lock file a slot, freed when its process dies) and its device."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, device in enumerate(names):
        lock = filelock.FileLock(folder / f"slot-{number}.lock")
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            continue
        try:
            yield device
        finally:
            lock.release()
        return
    yield names[os.getpid() % len(names)]


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread: two beside another busy process run several times slower."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def naming_deaths(doing: str) -> Iterator[None]:
    """RuntimeError saying what to lower if a worker of the block dies or memory runs out."""
    try:
        yield
    except (MemoryError, BrokenExecutor) as error:
        raise RuntimeError(
            f"a worker died or memory ran out while {doing} ({type(error).__name__}): lower "
            "compute.workers"
        ) from error


def share(options: ComputeOptions, value: Any) -> Any:
    """A large argument of many calls of `in_pool`: as it is, or once in Ray's object store."""
    if options.backend != "ray":
        return value
    _join_cluster(options)
    return ray_pool.share(value)


def in_pool(
    options: ComputeOptions, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]
) -> Iterator[Any]:
    """Call `function` with each of `calls` in the pool; results come as they are finished."""
    work = list(calls)
    if options.backend == "ray":
        _join_cluster(options)
        devices: Literal["auto", "cpu"] = "auto" if options.devices == "auto" else "cpu"
        workers = None if options.workers == "auto" else options.workers
        return ray_pool.run(function, work, devices, workers)
    jobs = min(len(slots(options)), len(work))
    # Only as many calls as there may be workers are handed out at a time.
    settings: dict[str, Any] = {
        "return_as": "generator_unordered", "batch_size": 1, "pre_dispatch": max(jobs, 1),
    }  # fmt: skip
    todo = (joblib.delayed(function)(*call) for call in work)
    if options.backend == "sequential":
        return iter(joblib.Parallel(n_jobs=1, backend="sequential", **settings)(todo))
    os.environ.setdefault("GLIBC_TUNABLES", _ALLOCATOR)
    tied = {"initializer": lifeline.tie, "initargs": (os.getpid(),)}
    with joblib.parallel_config(backend="loky", **tied), lifeline.deaf_children():
        # One job still gets a worker of its own: a crash there can be reported, one here cannot.
        return iter(joblib.Parallel(n_jobs=max(jobs, 2), **settings)(todo))


def _join_cluster(options: ComputeOptions) -> None:
    """ValueError if Ray is not installed, the devices are a list, or no cluster answers."""
    _require_ray()
    if options.devices not in ("auto", "cpu", ["cpu"]):
        raise ValueError(
            f"compute.devices: Ray hands out the devices of its nodes; with compute.backend: ray "
            f"must be auto or cpu, found {options.devices}"
        )
    budget = options.budget_bytes()
    ray_pool.connect(options.address, None if budget is None else max(budget // 4, 80 * 2**20))


def _require_ray() -> None:
    if importlib.util.find_spec("ray") is None:
        raise ValueError("compute.backend: ray is not installed; pip install -e '.[ray]'")
