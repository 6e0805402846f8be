"""Ray: a real cluster of two nodes trains the same bytes, in the middle of which one dies."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny

from nonmember import compute, ray_pool
from nonmember.compute import ComputeOptions
from nonmember.training import fleet
from nonmember.training.store import Store

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="no Ray here")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that takes no work, and two nodes of one CPU each."""
    import ray
    from ray.cluster_utils import Cluster

    room = 100 * 2**20
    made = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": room}
    )
    try:
        for _ in range(2):
            made.add_node(num_cpus=1, object_store_memory=room)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def test_a_cluster_gives_the_bytes_of_this_machine_though_a_node_dies(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a model requires is handed over; nothing is lost with the node."""
    data = tiny.save(tmp_path / "data")
    tasks = [tiny.task(data, model=i, epochs=60) for i in range(5)]
    tasks.append(tiny.task(data, {"name": "distillation"}))
    here, there = Store(tmp_path / "here/models"), Store(tmp_path / "there/models")
    near = ComputeOptions(devices="cpu", workers=2)
    far = ComputeOptions(backend="ray", address=cluster.address)
    keys = fleet.train_all(tasks, data.folder, here, near)
    keep, killed = Store.keep, list[Any]()

    def keep_and_kill(store: Store, packed: Any) -> None:
        keep(store, packed)
        if not killed:
            killed.extend(list(cluster.worker_nodes)[:1])
            cluster.remove_node(killed[0], allow_graceful=False)

    monkeypatch.setattr(Store, "keep", keep_and_kill)
    assert fleet.train_all(tasks, data.folder, there, far) == keys
    assert killed
    for path in here.folder.iterdir():
        assert (there.folder / path.name).read_bytes() == path.read_bytes(), path.name


def test_an_error_is_raised_as_it_was(cluster: Any) -> None:
    options = ComputeOptions(backend="ray", address=cluster.address)
    with pytest.raises(ValueError, match=r"^must be a size"):
        list(compute.in_pool(options, compute.parse_bytes, [("3 cows",)]))


def test_devices_are_not_listed_for_a_cluster() -> None:
    options = ComputeOptions(backend="ray", devices=["cuda:0"])
    with pytest.raises(ValueError, match=r"compute\.devices: Ray hands out the devices"):
        list(compute.in_pool(options, compute.parse_bytes, [("3 cows",)]))


def test_here_a_call_works_on_the_cpu_unless_ray_gave_it_a_gpu(cluster: Any) -> None:
    options = ComputeOptions(backend="ray", address=cluster.address)
    assert list(compute.in_pool(options, ray_pool.device, [()])) == ["cpu"]
