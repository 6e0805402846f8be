"""What an attacker has seen: the signals of the target and of the shadows, and who was a member.

Reads the folder that stage `extract` writes, `data/signals/<arm>/`:

    sample_ids.npy   (samples,) int64    row of the prepared data
    labels.npy       (samples,) int64
    membership.npy   (models, samples) int8   1 member, 0 non-member, 2 inference set, -1 neither;
                                              model 0 is the target, model 1 + i is shadow i
    logits.npy       (models, samples, classes) float32
    <signal>.npy     (models, samples) or (models, samples, width) float32, NaN where membership
                                              is -1
    canary.npy       (samples,) bool     optional: labels.npy has a wrong label, as in training
    inputs.npy       (samples, 2 + d) float32  optional: how typical of its class a sample is (low:
                                              very), and what it looks like, in few numbers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np

from nonmember import statistics

TARGET = 0
INFERENCE = 2
TYPICAL = 2  # columns of inputs.npy before what a sample looks like
_SHAPES = {  # file: (dtype, dimensions)
    "sample_ids": (np.dtype(np.int64), ("samples",)),
    "labels": (np.dtype(np.int64), ("samples",)),
    "membership": (np.dtype(np.int8), ("models", "samples")),
    "logits": (np.dtype(np.float32), ("models", "samples", "classes")),
}
_OPTIONAL = {
    "canary": (np.dtype(np.bool_), ("samples",)),
    "inputs": (np.dtype(np.float32), ("samples", "d")),
}
_SIGNAL = (np.dtype(np.float32), ("models", "samples"))


@dataclass(frozen=True, eq=False)
class View:
    """One model as an attacker sees it, on n samples.

    ids: (n,) int64; labels: (n,) int64.
    logits: (n, classes) float32.
    signals: signal name -> (n,), for example `grad_x_l2`, or (n, width), for example `noise`.
    member: (n,) bool where the attacker (or the evaluation) knows it, else None.
    reference: other models on the same n samples, each with `member` telling what it was trained
        on, for attacks that compare models; else None.
    inputs: (n, TYPICAL + d) float32 or None.
    public: at most one view: the same model on samples that it is known not to have trained on and
        that it is not evaluated on (other models may be). Without the target's inference set, so
        that under random_half, where the target has none, the shadows have none.
    """

    ids: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    signals: Mapping[str, np.ndarray] = field(default_factory=dict)
    member: np.ndarray | None = None
    reference: Sequence[View] | None = None
    inputs: np.ndarray | None = None
    public: Sequence[View] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def log_probs(self) -> np.ndarray:
        """(n, classes) float64 log-probabilities, computed once for all attacks."""
        return statistics.log_softmax(self.logits)

    @cached_property
    def log_odds(self) -> np.ndarray:
        """(n,) float64 log-odds of the true class, computed once for all attacks."""
        odds = statistics.log_odds(self.log_probs, self.labels)
        odds.flags.writeable = False  # some attack's scores are these very numbers
        return odds


class Evidence:
    """The signals folder, memory-mapped; a view reads one model's rows when it is asked for.

    Raises FileNotFoundError for a missing file and ValueError, naming file, rule and value, for
    files whose shapes, dtypes or contents do not fit together.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._place = self.path.resolve()
        arrays = {name: self._load(f"{name}.npy") for name in _SHAPES}
        extra = {p.stem: self._load(p.name) for p in sorted(self.path.glob("*.npy"))}
        arrays |= {name: array for name, array in extra.items() if name in _OPTIONAL}
        self.signals = {name: array for name, array in extra.items() if name not in arrays}
        self.ids, self.labels = arrays["sample_ids"], arrays["labels"]
        self.membership, self.logits = arrays["membership"], arrays["logits"]
        self.inputs = arrays.get("inputs")
        self._check_shapes({**arrays, **self.signals})
        self.canary = np.array(arrays.get("canary", np.zeros(len(self.ids), np.bool_)))
        self._check_values()
        self._known: dict[Callable[[View], np.ndarray], dict[int, np.ndarray]] = {}

    def __reduce__(self) -> tuple[type[Evidence], tuple[Path]]:
        """Goes to another process as its path, and is opened there."""
        return Evidence, (self._place,)

    @property
    def models(self) -> int:
        """How many models: the target and the shadows."""
        return self.logits.shape[0]

    @property
    def classes(self) -> int:
        return self.logits.shape[2]

    @property
    def target(self) -> View:
        """The model under test on its members and non-members; the shadows are its reference."""
        return self.view(TARGET)

    @property
    def canaries(self) -> View | None:
        """The target on its canaries, whose labels are wrong; None if there are none."""
        rows = np.flatnonzero(self._evaluated(TARGET) & self.canary)
        return self.view(TARGET, rows) if len(rows) else None

    @property
    def inference(self) -> View | None:
        """The target on its inference set (`member` True) and non-members; None without one.

        Signals other than the logits are NaN on the inference set.
        """
        known = self.membership[TARGET]
        if not (known == INFERENCE).any():
            return None
        rows = np.flatnonzero(((known == 0) | (known == INFERENCE)) & ~self.canary)
        return self._read(TARGET, rows, member=known[rows] == INFERENCE)

    @property
    def shadows(self) -> Sequence[View]:
        """The shadows on their own members and non-members, each read when it is indexed."""
        return Chosen(self.view, range(1, self.models))

    def view(self, model: int, rows: np.ndarray | None = None) -> View:
        """One model on `rows`, positions in the files; default: `rows(model)`.

        `member` is None if one of the rows is neither. `reference` holds all shadows but `model`.
        """
        if rows is None:
            rows = self.rows(model)
        known = self.membership[model, rows]
        others = (self.membership[model] == -1) & (self.membership[TARGET] != INFERENCE)
        public = np.flatnonzero(others & ~self.canary)
        return self._read(
            model,
            rows,
            member=known == 1 if np.isin(known, (0, 1)).all() else None,
            reference=self.reference(rows, model),
            public=_References(self, [model] if len(public) else [], public),
        )

    def rows(self, model: int = TARGET) -> np.ndarray:
        """Positions of a model's members and non-members, canaries left out."""
        return np.flatnonzero(self._evaluated(model) & ~self.canary)

    def _evaluated(self, model: int) -> np.ndarray:
        return np.isin(self.membership[model], (0, 1))

    def reference(self, rows: np.ndarray, model: int = TARGET) -> Sequence[View]:
        """All shadows but `model` and its complement on `rows`, each read when it is indexed.

        Under random_half a shadow's complement was trained on exactly what it was not. Without
        either, each sample has as many models with it as without, as the target's samples have:
        otherwise these counts alone would tell a shadow's members from its non-members.

        `member` is there for every row: whether that shadow was trained on it, −1 meaning no.
        """
        others = [i for i in range(1, self.models) if i != model]
        return _References(self, [i for i in others if not self._complements(i, model)], rows)

    def shadow_parts(self, count: int) -> list[np.ndarray]:
        """The shadows, 0 …, in at most `count` parts; a shadow and its complement are in the same.

        What one of them was trained on tells what the other was not.
        """
        units: list[list[int]] = []
        for shadow in range(self.models - 1):
            if units and self._complements(1 + units[-1][-1], 1 + shadow):
                units[-1].append(shadow)
            else:
                units.append([shadow])
        parts = np.array_split(np.arange(len(units)), min(count, len(units)))
        return [np.array([shadow for unit in part for shadow in units[unit]]) for part in parts]

    def _all(self, statistic: Callable[[View], np.ndarray], model: int) -> np.ndarray:
        """A statistic of one model on all samples, (samples,), kept."""
        known = self._known.setdefault(statistic, {})
        if model not in known:
            seen = View(self.ids, self.labels, np.array(self.logits[model]))
            known[model] = statistic(seen)
        return known[model]

    def _complements(self, one: int, other: int) -> bool:
        a, b = self.membership[one], self.membership[other]
        known = self._evaluated(one)
        opposite = np.array_equal(known, self._evaluated(other))
        return opposite and bool((a[known] + b[known] == 1).all())

    def _read(
        self,
        model: int,
        rows: np.ndarray,
        member: np.ndarray | None,
        reference: Sequence[View] | None = None,
        public: Sequence[View] = (),
    ) -> View:
        return View(
            ids=np.array(self.ids[rows]),
            labels=np.array(self.labels[rows]),
            logits=np.array(self.logits[model, rows]),
            signals={name: np.array(array[model, rows]) for name, array in self.signals.items()},
            member=member,
            reference=reference,
            inputs=None if self.inputs is None else np.array(self.inputs[rows]),
            public=public,
        )

    def _load(self, name: str) -> np.ndarray:
        file = self.path / name
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; run the stage extract")
        try:
            return np.load(file, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:  # cut short, empty, or no array
            raise ValueError(f"{file} is damaged ({error}); run the stage extract") from error

    def _check_shapes(self, arrays: Mapping[str, np.ndarray]) -> None:
        sizes: dict[str, tuple[int, str]] = {}
        for name, array in arrays.items():
            dtype, dims = {**_SHAPES, **_OPTIONAL}.get(name, _SIGNAL)
            free = name in self.signals  # the last dimension may be there, of any size
            if array.dtype != dtype or array.ndim not in (len(dims), len(dims) + free):
                raise ValueError(
                    f"{self.path / name}.npy must be ({', '.join(dims)}{'[, width]' * free}) "
                    f"{dtype}, got {array.shape} {array.dtype}"
                )
            for dim, size in zip(dims, array.shape, strict=not free):
                expected, source = sizes.setdefault(dim, (size, name))
                if size != expected:
                    raise ValueError(
                        f"{self.path / name}.npy has {size} {dim} but {source}.npy has "
                        f"{expected}; extract the signals again"
                    )

    def _check_values(self) -> None:
        if len(np.unique(self.ids)) != len(self.ids):
            raise ValueError(f"{self.path}/sample_ids.npy must not repeat an id")
        if ((self.labels < 0) | (self.labels >= self.classes)).any():
            raise ValueError(
                f"{self.path}/labels.npy must be in 0 … {self.classes - 1} (logits.npy has "
                f"{self.classes} classes), got {self.labels.min()} … {self.labels.max()}"
            )
        if not np.isin(self.membership, (-1, 0, 1, INFERENCE)).all():
            raise ValueError(f"{self.path}/membership.npy must hold only 1, 0, {INFERENCE} and -1")
        for model, row in enumerate(self.membership):
            if not ((row == 1).any() and (row == 0).any()):
                raise ValueError(
                    f"{self.path}/membership.npy: model {model} needs members (1) and "
                    "non-members (0), it has only one of them"
                )


def of_each(views: Sequence[View], statistic: Callable[[View], np.ndarray]) -> np.ndarray:
    """(models, n) float64: one number a sample from each view, one model in memory at a time.

    statistic: a function of labels and logits, sample by sample. Of an Evidence's own models it is
    computed once, however many models are compared with them.
    """
    if isinstance(views, _References):
        return views.of_each(statistic)
    return np.stack([statistic(view) for view in views])


def trained_on(views: Sequence[View]) -> np.ndarray:
    """(models, n) bool: `member` of each view. ValueError if a view has none."""
    if isinstance(views, _References):
        return views.trained_on()
    if any(view.member is None for view in views):
        raise ValueError("it must be known what each model was trained on")
    return np.stack([np.asarray(view.member) for view in views])


class Chosen(Sequence[View]):
    """Views of some models, built when indexed: memory grows with one model, not with all."""

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


class _References(Chosen):
    """Models of an Evidence on given rows; `member` says for each row whether it was trained on."""

    def __init__(self, evidence: Evidence, models: Sequence[int], rows: np.ndarray) -> None:
        super().__init__(self._on_rows, models)
        self._evidence, self._rows = evidence, rows

    def _on_rows(self, model: int) -> View:
        member = self._evidence.membership[model, self._rows] == 1
        return self._evidence._read(model, self._rows, member)

    def of_each(self, statistic: Callable[[View], np.ndarray]) -> np.ndarray:
        known = [self._evidence._all(statistic, model)[self._rows] for model in self._numbers]
        return np.stack(known)

    def trained_on(self) -> np.ndarray:
        return self._evidence.membership[list(self._numbers)][:, self._rows] == 1
