"""What every data source provides."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nonmember.kinds import Kind, Outline, largest
from nonmember.notices import Notice
from nonmember.settings import Settings


@dataclass(frozen=True)
class Arrays:
    """A whole data set in memory.

    inputs: (n, …) uint8 or float32; byte images are uint8 (n, channels, height, width), 0–255;
        token ids are int32 (n, length), padded with 0.
    labels: (n,) int64, every class 0 … classes − 1 present.
    class_names: one string a class, in the order of the labels.
    mean, std: the normalisation, one number a channel (images, after dividing by 255) or a
        feature (tables), or one for all; a model sees (inputs·scale − mean) / std.
    source: where the data came from, for people.
    kind: what the inputs are (see nonmember.kinds).
    vocabulary: how many token ids there are, the padding among them; None unless tokens.
    ids: what each record is called where it came from; None: by its row.
    groups: (n,) int64, equal for records that belong together (one person's); None: each alone.
    columns: what features are called, of a table with names; None: by their place.
    skipped: what of the source was left out, a sentence each. notices: what looks odd.
    """

    inputs: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    mean: list[float] = field(default_factory=lambda: [0.0])
    std: list[float] = field(default_factory=lambda: [1.0])
    source: str = ""
    kind: Kind = field(kw_only=True)
    vocabulary: int | None = None
    ids: list[str] | None = None
    groups: np.ndarray | None = None
    columns: list[str] | None = None
    skipped: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    @property
    def scale(self) -> float:
        """What `inputs` are multiplied by before `mean` and `std` apply."""
        return 1 / self.kind.divisor(self.inputs)

    @property
    def outline(self) -> Outline:
        """The size of the data."""
        shape = self.inputs.shape[1:]
        return Outline(
            len(self.labels), len(self.class_names), shape, self.kind, self.vocabulary,
            largest(self.groups),
        )  # fmt: skip


class Dataset:
    """One data source. A subclass overrides `load` (and `check`).

    Its settings are a class `Options`, declared as its own by `options: Options`.
    group: params.yaml's `split.group`, which says where the source finds the groups; group_is: what
    that is for this source ("a column"), empty if it has none. accept: names of findings that are
    let pass.
    """

    Options: ClassVar[type[Settings]] = Settings
    group_is: ClassVar[str] = ""
    options: Settings

    def __init__(
        self,
        options: Settings | None = None,
        group: str | None = None,
        accept: Collection[str] = (),
        **values: Any,
    ) -> None:
        self.options = options if options is not None else self.Options(**values)
        self.group = group
        self.accept = accept

    def check(self, path: Path) -> list[str]:
        """What is wrong with the source, one line a problem, found without reading it all."""
        return []

    def outline(self, path: Path) -> Outline:
        """The size of the data, found as cheaply as the source allows; default: by loading it."""
        return self.load(path).outline

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
