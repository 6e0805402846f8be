"""CIFAR and SVHN offline, on tiny files in the official format."""

from __future__ import annotations

import pickle
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from datasets_samples import TinyCifar, tiny_svhn
from scipy.io import loadmat
from torchvision.datasets.utils import urllib

from nonmember.datasets import datasets
from nonmember.datasets.svhn import Svhn

pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture(params=[10, 100])
def tiny(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> TinyCifar:
    return TinyCifar(request.param, monkeypatch)


def test_cifar_is_train_then_test_as_channels_first(tiny: TinyCifar, tmp_path: Path) -> None:
    folder = tiny.files(tmp_path)
    data = datasets.get(f"cifar{tiny.classes}")().load(tmp_path)
    names = [name for name, _ in tiny.cls.train_list + tiny.cls.test_list]
    entries = [pickle.loads((folder / name).read_bytes()) for name in names]
    raw = np.concatenate([entry["data"] for entry in entries])
    assert np.array_equal(data.inputs, raw.reshape(-1, 3, 32, 32))
    assert data.labels.tolist() == list(range(tiny.classes)) * len(names)
    assert data.class_names == [f"class {i}" for i in range(tiny.classes)]


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("cifar10", [0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
        ("cifar100", [0.5070, 0.4865, 0.4409], [0.2673, 0.2564, 0.2761]),
    ],
)
def test_cifar_constants(
    name: str, mean: list[float], std: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TinyCifar(int(name[5:]), monkeypatch).files(tmp_path)
    data = datasets.get(name)().load(tmp_path)
    assert (data.mean, data.std) == (mean, std)


def test_cifar_archive_is_unpacked_without_a_network(tiny: TinyCifar, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    shutil.move(tiny.archive(tmp_path), tmp_path / "raw")
    data = datasets.get(f"cifar{tiny.classes}")().load(tmp_path / "raw")
    assert len(data.inputs) == tiny.classes * len(tiny.cls.train_list + tiny.cls.test_list)
    assert (tmp_path / "raw" / tiny.cls.base_folder).is_dir()


def test_cifar_absent_and_offline(tmp_path: Path) -> None:
    for name in ("cifar10", "cifar100"):
        dataset, path = datasets.get(name)(), tmp_path / "raw"
        assert dataset.check(path) == []
        match = (
            rf"cifar-{name[5:]}-python\.tar\.gz in .*raw is absent .*\(no network\); get it from "
            r"https://www\.cs\.toronto\.edu/~kriz/cifar\.html and put it into .*raw"
        )
        with pytest.raises(FileNotFoundError, match=match):
            dataset.load(path)


@pytest.mark.parametrize("victim", ["train_list", "test_list", "meta"])
def test_a_changed_pickle_is_refused_before_it_is_opened(
    tiny: TinyCifar, tmp_path: Path, victim: str
) -> None:
    folder = tiny.files(tmp_path)
    entry = getattr(tiny.cls, victim)
    name = entry["filename"] if victim == "meta" else entry[0][0]

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "exploded",)

    (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(FileNotFoundError, match="absent or damaged"):
        datasets.get(f"cifar{tiny.classes}")().load(tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_a_changed_archive_is_refused(tiny: TinyCifar, tmp_path: Path) -> None:
    file = tiny.archive(tmp_path)
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(FileNotFoundError, match=r"python\.tar\.gz in .* is absent or damaged"):
        datasets.get(f"cifar{tiny.classes}")().load(tmp_path)


def test_svhn_is_train_then_test_with_digit_0_as_class_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Svhn().load(tiny_svhn(tmp_path, monkeypatch))
    raw = [loadmat(tmp_path / f"{part}_32x32.mat") for part in ("train", "test")]
    pixels = np.concatenate([part["X"] for part in raw], axis=3)  # (32, 32, 3, n)
    assert np.array_equal(data.inputs, pixels.transpose(3, 2, 0, 1))
    assert data.labels.tolist() == ([*range(1, 10), 0, 1, 2]) * 2
    assert (data.mean, data.std) == ([0.0], [1.0])


def test_svhn_absent_and_offline(tmp_path: Path) -> None:
    match = r"train_32x32\.mat .*get it from http://ufldl\.stanford\.edu/housenumbers and put it"
    with pytest.raises(FileNotFoundError, match=match):
        Svhn().load(tmp_path)


def test_a_download_gives_up_and_the_limit_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []

    def note(*args: object, **kwargs: object) -> None:
        limits.append(socket.getdefaulttimeout())
        raise OSError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", note)
    with pytest.raises(FileNotFoundError, match="no network"):
        Svhn().load(tmp_path)
    assert limits
    assert set(limits) == {30.0}
    assert socket.getdefaulttimeout() is None
