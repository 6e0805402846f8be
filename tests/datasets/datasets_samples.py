"""Small sources on disk, one for each data set of the registry."""

from __future__ import annotations

import hashlib
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

Source = tuple[Path, dict[str, Any]]


def save_image(
    file: Path, seed: int = 0, size: tuple[int, int] = (6, 4), mode: str = "RGB"
) -> Path:
    """A noise image; size is (width, height)."""
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels, mode if mode == "RGB" else None).save(file)
    return file


def image_folder(root: Path, classes: tuple[str, ...] = ("ant", "bee"), each: int = 3) -> Path:
    for c, name in enumerate(classes):
        for i in range(each):
            save_image(root / name / f"{i}.png", seed=10 * c + i)
    return root


def npz(file: Path, **arrays: np.ndarray) -> Path:
    values = {
        "x": np.random.default_rng(0).normal(3, 2, (20, 5)),
        "y": np.arange(20) % 3,
    } | arrays
    np.savez(file, **values)
    return file


def csv(file: Path, text: str = "a,b,label\n1,2.5,0\n3,4,1\n5,6,0\n7,8,1\n") -> Path:
    file.write_text(text)
    return file


def _md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


class TinyCifar:
    """CIFAR in the official on-disk format, ten images a file, with its md5s made the official."""

    def __init__(self, classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
        import torchvision

        self.cls = getattr(torchvision.datasets, f"CIFAR{classes}")
        self.classes = classes
        self.key = "labels" if classes == 10 else "fine_labels"
        self.patch = monkeypatch

    def files(self, root: Path) -> Path:
        """The unpacked folder."""
        folder = root / self.cls.base_folder
        folder.mkdir(parents=True)
        for first, attribute in ((0, "train_list"), (100, "test_list")):
            names = [name for name, _ in getattr(self.cls, attribute)]
            sums = [[n, self._batch(folder / n, first + i)] for i, n in enumerate(names)]
            self.patch.setattr(self.cls, attribute, sums)
        meta = self.cls.meta
        names = [f"class {i}" for i in range(self.classes)]
        self._dump(folder / meta["filename"], {meta["key"]: names})
        self.patch.setattr(self.cls, "meta", meta | {"md5": _md5(folder / meta["filename"])})
        return folder

    def archive(self, root: Path) -> Path:
        """The .tar.gz as it is downloaded, and nothing else."""
        folder = self.files(root / "unpacked")
        file = root / self.cls.filename
        with tarfile.open(file, "w:gz") as tar:
            tar.add(folder, self.cls.base_folder)
        self.patch.setattr(self.cls, "tgz_md5", _md5(file))
        return file

    def _batch(self, file: Path, seed: int) -> str:
        rows = self.classes  # every class once
        data = np.random.default_rng(seed).integers(0, 256, (rows, 3072), np.uint8)
        return self._dump(file, {"data": data, self.key: list(range(rows))})

    def _dump(self, file: Path, content: dict[str, object]) -> str:
        file.write_bytes(pickle.dumps(content, protocol=2))
        return _md5(file)


def tiny_svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from torchvision.datasets import SVHN

    root.mkdir(parents=True, exist_ok=True)
    parts = {}
    for seed, split in enumerate(("train", "test")):
        url, name, _ = SVHN.split_list[split]
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3, 12), np.uint8)
        labels = (np.arange(12, dtype=np.uint8) % 10 + 1)[:, None]  # 10 stands for the digit 0
        savemat(root / name, {"X": pixels, "y": labels})
        parts[split] = [url, name, _md5(root / name)]
    monkeypatch.setattr(SVHN, "split_list", parts)
    return root


def tiny(name: str, root: Path, patch: pytest.MonkeyPatch) -> Source:
    if name.startswith("cifar"):
        TinyCifar(int(name.removeprefix("cifar")), patch).files(root)
    elif name == "svhn":
        tiny_svhn(root, patch)
    elif name == "image_folder":
        image_folder(root)
    elif name == "npz":
        return npz(root / "own.npz"), {}
    elif name == "csv":
        return csv(root / "own.csv"), {}
    return root, {"n": 250} if name == "shoppers" else {}
