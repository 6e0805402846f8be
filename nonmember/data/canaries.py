"""Canaries: samples with a wrong label, for whoever trains on them.

Mislabelled members are the hardest to hide: a model fits them by memory alone (Aerni et al. 2024,
https://arxiv.org/abs/2404.17399).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nonmember import files


@dataclass(frozen=True)
class Canaries:
    """rows (k,) int64, sorted, and their wrong labels (k,) int64."""

    rows: np.ndarray
    labels: np.ndarray

    @classmethod
    def none(cls) -> Canaries:
        """No canaries."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64))

    @classmethod
    def load(cls, path: str | Path) -> Canaries:
        """What `save` wrote."""
        return cls(**files.read_arrays(path))

    def save(self, path: str | Path) -> None:
        """Write one `.npz`."""
        files.write_arrays(path, {"rows": self.rows, "labels": self.labels})

    def among(self, rows: np.ndarray) -> np.ndarray:
        """Which of `rows`, (k,), are canaries: (k,) bool."""
        return np.isin(rows, self.rows)

    def within(self, rows: np.ndarray) -> Canaries:
        """The canaries that are among `rows`."""
        inside = np.isin(self.rows, rows)
        return Canaries(self.rows[inside], self.labels[inside])

    def relabel(self, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """`labels` of `rows`, both (k,), with the wrong ones where a row is a canary."""
        planted = self.among(rows)
        labels = np.array(labels)
        labels[planted] = self.labels[np.searchsorted(self.rows, rows[planted])]
        return labels
