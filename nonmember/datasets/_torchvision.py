"""Data sets that torchvision downloads: train and test pooled into one array.

The CIFAR files are pickles, which run code when opened. They are the one exception to "nothing
is unpickled": torchvision compares every file's md5 with the official one first, each time, and
refuses anything else; nobody can make another file with a given md5.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nonmember.datasets._base import Arrays, Dataset
from nonmember.kinds import IMAGE

TIMEOUT = 30.0  # seconds without an answer until a download gives up


class _Downloaded(Dataset):
    """`dataset.path` is a folder; what is missing in it is downloaded there (and unpacked)."""

    files: ClassVar[str]
    page: ClassVar[str]

    def check(self, path: Path) -> list[str]:
        """Only whether `path` can be a folder: what is absent may still be downloaded."""
        if path.exists() and not path.is_dir():
            return [f"dataset.path: {path} is a file; a folder to download into is needed"]
        return []

    def fetch(self, cls: Callable[..., Any], path: Path, **part: Any) -> Any:
        """One part of a torchvision data set, checked by md5, downloaded if need be.

        Raises FileNotFoundError naming the file, where to get it and where to put it.
        """
        try:
            with _timeout():
                return cls(path, download=True, **part)
        except (OSError, RuntimeError, HTTPException) as error:
            raise FileNotFoundError(
                f"{self.files} in {path} is absent or damaged, and downloading it failed "
                f"({error}); get it from {self.page} and put it into {path}"
            ) from error


class _Cifar(_Downloaded):
    """uint8 (60000, 3, 32, 32): the 50,000 train images, then the 10,000 test images."""

    loader: ClassVar[str]
    mean: ClassVar[tuple[float, ...]]
    std: ClassVar[tuple[float, ...]]
    page = "https://www.cs.toronto.edu/~kriz/cifar.html"

    def load(self, path: Path) -> Arrays:
        from torchvision import datasets  # imports torch, which `check` need not wait for

        self.require(path)
        cls = getattr(datasets, self.loader)
        parts = [self.fetch(cls, path, train=train) for train in (True, False)]
        pixels = np.concatenate([part.data for part in parts])  # (n, 32, 32, 3)
        return Arrays(
            inputs=np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)),
            labels=np.concatenate([part.targets for part in parts]).astype(np.int64),
            class_names=list(parts[0].classes),
            mean=list(self.mean),
            std=list(self.std),
            source=f"{self.loader}, {self.page}",
            kind=IMAGE,
        )


@contextmanager
def _timeout() -> Iterator[None]:
    """Downloads have no time limit of their own, and a closed firewall never answers."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
