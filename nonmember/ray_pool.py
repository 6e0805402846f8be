"""Work on a Ray cluster: results as they are finished, retries where a node or a worker dies.

Ray decides who works where: a task takes one CPU, or a GPU or a share of one. The nodes need the
package and its libraries, but no disk in common: arguments and results travel through Ray.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from typing import Any, Literal

RETRIES = 3  # of a call whose node or worker died
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


class NodeLost(BrokenExecutor):
    """A call's node or worker died more often than it is tried again, or the cluster is gone."""


def connect(address: str | None, store_bytes: int | None = None) -> None:
    """Join the cluster at `address`, or start one on this machine; a second call does nothing.

    store_bytes: room for arguments and results of a cluster started here; None: Ray's choice.
    Raises ValueError naming `compute.address` if no cluster answers there.
    """
    import ray

    if ray.is_initialized():
        return
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": store_bytes}
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if address else own),
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        found = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"compute.address: no Ray cluster answers at {address or 'this machine'} ({found})"
        ) from error


def share(value: Any) -> Any:
    """`value` in the cluster's object store: as an argument of calls it travels once a node."""
    import ray

    return ray.put(value)


def device() -> str:
    """In a call: the device that Ray gave it."""
    import ray

    return "cuda:0" if ray.get_gpu_ids() else "cpu"


def run(
    function: Callable[..., Any],
    calls: Iterable[tuple[Any, ...]],
    devices: Literal["auto", "cpu"],
    workers: int | None,
) -> Iterator[Any]:
    """Call `function` with each of `calls`; results come as they are finished.

    devices: auto: a GPU a call if the cluster has any | cpu. workers: calls side by side a GPU, or
    a node without; None: one a GPU, one a CPU core. What a call raises is raised here; NodeLost if
    its node or worker died too often.
    """
    import ray

    needs = _needs(devices, workers)
    task = ray.remote(function).options(max_retries=RETRIES, **needs)
    waiting, pending = deque(calls), list[Any]()
    try:
        while waiting or pending:
            while waiting and len(pending) < _room(needs, workers):
                pending.append(task.remote(*waiting.popleft()))
            done, pending = ray.wait(pending, timeout=5.0)  # then look for nodes that joined
            for reference in done:
                yield _result(reference)
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)


def _needs(devices: Literal["auto", "cpu"], workers: int | None) -> dict[str, float]:
    import ray

    if devices == "auto" and ray.cluster_resources().get("GPU", 0) > 0:
        return {"num_cpus": 0, "num_gpus": 1 / (workers or 1)}
    return {"num_cpus": 1, "num_gpus": 0}


def _room(needs: dict[str, float], workers: int | None) -> int:
    """How many calls the cluster takes at once, now."""
    import ray

    resources = ray.cluster_resources()
    if needs["num_gpus"]:
        return max(int(resources.get("GPU", 0) / needs["num_gpus"]), 1)
    room = int(resources.get("CPU", 0))
    if workers is not None:
        room = min(room, workers * sum(node["Alive"] for node in ray.nodes()))
    return max(room, 1)


def _result(reference: Any) -> Any:
    import ray
    from ray import exceptions

    try:
        return ray.get(reference)
    except exceptions.RayTaskError as error:
        if isinstance(error.cause, BaseException):
            raise error.cause from None
        raise
    except exceptions.RayError as error:
        raise NodeLost(f"{type(error).__name__}: {str(error).splitlines()[0]}") from error
