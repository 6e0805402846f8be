"""What every kind of query provides: changed copies of samples in, numbers about the answers out.

A query never sees the model: it gets a function that answers raw inputs as a user would be
answered, with the defense's release applied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from nonmember import statistics
from nonmember.kinds import Kind, Outline
from nonmember.settings import Settings

Answer = Callable[[Tensor], np.ndarray]  # raw inputs (k, …) -> released logits (k, classes) float32


@dataclass(frozen=True)
class Samples:
    """n samples to ask about.

    inputs: (n, …) raw, as stored: uint8 or float32. labels: (n,) int64.
    ids: (n,) int64, rows of the prepared data.
    kind: what the inputs are.
    std: the data set's standard deviations, one a channel or feature, or one for all.
    """

    inputs: Tensor
    labels: np.ndarray
    ids: np.ndarray
    kind: Kind
    std: tuple[float, ...]


class Query:
    """One kind of query. A subclass overrides `measure` and `width`.

    Its settings are a class `Options`, declared as its own by `options: Options`.
    Options bear the names of the keys in params.yaml's `attacks`, from where attacks hand them on.
    What `measure` says of a sample may depend on nothing but the model, the sample, its id, the
    options and the seed: not on the other samples in hand, nor on their number.
    """

    Options: ClassVar[type[Settings]] = Settings
    options: Settings

    def __init__(self, options: Settings | None = None, **values: Any) -> None:
        self.options = options if options is not None else self.Options(**values)

    def check(self, data: Outline) -> list[str]:
        """Why such data cannot be asked about: `attacks.key: problem` lines."""
        return []

    @property
    def width(self) -> int:
        """How many numbers a sample."""
        raise NotImplementedError

    def measure(self, answer: Answer, samples: Samples, seed: int) -> np.ndarray:
        """(n, width) of any real dtype. seed: of the random choices, if there are any."""
        raise NotImplementedError

    def ask(self, answer: Answer, samples: Samples, seed: int) -> np.ndarray:
        """(n, width) float32, finite. ValueError if the model answers with NaN or infinity."""

        def checked(raw: Tensor) -> np.ndarray:
            logits = answer(raw)
            if not np.isfinite(logits).all():
                raise ValueError(
                    "the model answers a query with NaN or infinity; did the training diverge?"
                )
            return logits

        return self.measure(checked, samples, seed).astype(np.float32)


def log_odds(answer: Answer, raw: Tensor, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each raw input: is it answered right, (k,) bool, and its log-odds, (k,) float64."""
    log_p = statistics.log_softmax(answer(raw))
    return statistics.correct(log_p, labels), statistics.log_odds(log_p, labels)


def image_problems(query: str, data: Outline) -> list[str]:
    """The `check` of a query that moves images about."""
    if data.kind.is_image:
        return []
    return [
        f"attacks.augmentation_kind: {query} needs images, the data are {data.kind.word}; take "
        "augmentation out of attacks.names"
    ]
