"""One model as an attacker sees it, and several without holding all of them in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import overload

import numpy as np

from nonmember import statistics

BLOCK = 2**23  # logits whose log-probabilities are held at a time: 64 MiB


@dataclass(frozen=True, eq=False)
class View:
    """One model as an attacker sees it, on n samples.

    ids: (n,) int64; labels: (n,) int64.
    logits: (n, classes) float32.
    signals: signal name -> (n,), for example `grad_x_l2`, or (n, width), for example `noise`.
    member: (n,) bool where the attacker (or the evaluation) knows it, else None.
    reference: other models on the same n samples, each with `member` telling what it was trained
        on, for attacks that compare models; else None.
    inputs: (n, TYPICAL + d) float32 or None (see signal_files.py).
    read_public: reads `public` when it is asked for; None if there is nothing to read.
    read_logits: reads the logits of some of the n samples, (k,) positions -> (k, classes), from
        where they lie, so that whoever needs them later need not keep them.
    """

    ids: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    signals: Mapping[str, np.ndarray] = field(default_factory=dict)
    member: np.ndarray | None = None
    reference: Models | None = None
    inputs: np.ndarray | None = None
    read_public: Callable[[], View] | None = None
    read_logits: Callable[[np.ndarray], np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def log_probs(self) -> np.ndarray:
        """(n, classes) float64 log-probabilities, computed once for all attacks.

        Of a large view `of` asks for a statistic without ever holding all of them.
        """
        return statistics.log_softmax(self.logits)

    def of(self, statistic: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        """(n, …) a statistic of (log-probabilities, labels) that looks at each sample alone."""
        if self.logits.size <= BLOCK:
            return statistic(self.log_probs, self.labels)
        rows = max(BLOCK // self.logits.shape[1], 1)
        parts = [slice(begin, begin + rows) for begin in range(0, len(self), rows)]
        return np.concatenate(
            [statistic(statistics.log_softmax(self.logits[p]), self.labels[p]) for p in parts]
        )

    @cached_property
    def log_odds(self) -> np.ndarray:
        """(n,) float64 log-odds of the true class, computed once for all attacks."""
        odds = self.of(statistics.log_odds)
        odds.flags.writeable = False  # some attack's scores are these very numbers
        return odds

    @cached_property
    def public(self) -> View | None:
        """The same model on samples that it is known not to have trained on; None without any.

        It is not evaluated on them, though other models may be. The target's reference set is left
        out: some defenses train on it.
        """
        return self.read_public() if self.read_public else None


def seen_beside(view: View, reference: Callable[[View], Models]) -> View:
    """The view, and what is `public` of it, with other reference models: `reference` of each."""
    read = view.read_public

    def read_public() -> View:
        assert read is not None
        public = read()
        return replace(public, reference=reference(public))

    return replace(
        view, reference=reference(view), read_public=None if read is None else read_public
    )


Statistic = Callable[[View], np.ndarray]  # of labels and logits, sample by sample: (n,)


class Chosen(Sequence[View]):
    """Views that are built when indexed, so that memory holds one model and not all.

    build: number of a model -> its view; numbers: the models, in this order.
    """

    def __init__(self, build: Callable[[int], View], numbers: Sequence[int]) -> None:
        self._build, self._numbers = build, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> View: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[View]: ...
    def __getitem__(self, index: int | slice) -> View | Sequence[View]:
        if isinstance(index, slice):
            return Chosen(self._build, self._numbers[index])
        return self._build(self._numbers[index])


class Models(Sequence[View]):
    """Several models on the same n samples, each knowing what it was trained on."""

    def __init__(self, views: Sequence[View]) -> None:
        self._views = views

    def __len__(self) -> int:
        return len(self._views)

    @overload
    def __getitem__(self, index: int) -> View: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[View]: ...
    def __getitem__(self, index: int | slice) -> View | Sequence[View]:
        return self._views[index]

    def of_each(self, statistic: Statistic) -> np.ndarray:
        """(models, n) float64: one number a sample from each view, one view in memory at a time."""
        return np.stack([statistic(view) for view in self])

    def trained_on(self) -> np.ndarray:
        """(models, n) bool: `member` of each view. ValueError if a view has none."""
        members = [view.member for view in self]
        if any(member is None for member in members):
            raise ValueError("it must be known what each model was trained on")
        return np.stack([np.asarray(member) for member in members])
