"""What every data source provides."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from nonmember.settings import Settings


@dataclass(frozen=True)
class Arrays:
    """A whole data set in memory.

    inputs: (n, …) uint8 or float32; images are uint8 (n, channels, height, width), 0–255.
    labels: (n,) int64, every class 0 … classes − 1 present.
    class_names: one string a class, in the order of the labels.
    mean, std: the normalisation, one number a channel (images, after dividing by 255) or a
        feature (tables), or one for all; a model sees (inputs·scale − mean) / std, where scale
        is 1/255 for uint8 images and 1 for anything else.
    source: where the data came from, for people.
    """

    inputs: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    mean: list[float] = field(default_factory=lambda: [0.0])
    std: list[float] = field(default_factory=lambda: [1.0])
    source: str = ""

    @property
    def scale(self) -> float:
        """What `inputs` are multiplied by before `mean` and `std` apply."""
        is_image = self.inputs.ndim == 4 and self.inputs.dtype == np.uint8
        return 1 / 255 if is_image else 1.0


class Outline(NamedTuple):
    """The size of a data set: samples, classes, and the shape of one input."""

    n: int
    classes: int
    shape: tuple[int, ...]


class Dataset:
    """One data source. A subclass overrides `load` (and `check`).

    Its settings are a class `Options`, declared as its own by `options: Options`.
    """

    Options: ClassVar[type[Settings]] = Settings
    options: Settings

    def __init__(self, options: Settings | None = None, **values: Any) -> None:
        self.options = options if options is not None else self.Options(**values)

    def check(self, path: Path) -> list[str]:
        """What is wrong with the source, one line a problem, found without reading it all."""
        return []

    def outline(self, path: Path) -> Outline:
        """The size of the data, found as cheaply as the source allows; default: by loading it."""
        arrays = self.load(path)
        return Outline(len(arrays.labels), len(arrays.class_names), arrays.inputs.shape[1:])

    def load(self, path: Path) -> Arrays:
        """Read (or make, or download) the data. `path` is params.yaml's `dataset.path`.

        Raises FileNotFoundError or ValueError for whatever `check` finds.
        """
        raise NotImplementedError

    def require(self, path: Path) -> None:
        """Raise what `check` finds: FileNotFoundError if `path` is missing, else ValueError."""
        problems = self.check(path)
        if problems:
            raise (ValueError if path.exists() else FileNotFoundError)("\n".join(problems))
