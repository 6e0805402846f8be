"""What an attacker has seen: the signals of the target and of the shadows, and who was a member.

Views of the folder that signal_files.py describes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from nonmember.signal_files import INFERENCE, TARGET, open_folder
from nonmember.views import BLOCK, Chosen, Models, Statistic, View


class Evidence:
    """The signals folder, memory-mapped; a view reads one model's rows when it is asked for.

    Raises FileNotFoundError and ValueError as `open_folder` does.
    """

    def __init__(self, path: Path | str) -> None:
        opened = open_folder(Path(path))
        self.path, self._place = opened.path, opened.path.resolve()
        self.ids, self.labels, self.canary = opened.ids, opened.labels, opened.canary
        self.membership, self.logits = opened.membership, opened.logits
        self.inputs, self.signals = opened.inputs, opened.signals
        self._kept: dict[Statistic, dict[int, np.ndarray]] = {}

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
        """The target on its reference set (`member` True) and non-members; None without one.

        Signals other than the logits are NaN on the reference set.
        """
        role = self.membership[TARGET]
        if not (role == INFERENCE).any():
            return None
        rows = np.flatnonzero(((role == 0) | (role == INFERENCE)) & ~self.canary)
        return self._read(TARGET, rows, member=role[rows] == INFERENCE)

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
        role = self.membership[model, rows]
        return self._read(
            model,
            rows,
            member=role == 1 if np.isin(role, (0, 1)).all() else None,
            reference=self.reference(rows, model),
            read_public=self._public(model),
        )

    def rows(self, model: int = TARGET) -> np.ndarray:
        """Positions of a model's members and non-members, canaries left out."""
        return np.flatnonzero(self._evaluated(model) & ~self.canary)

    def _evaluated(self, model: int) -> np.ndarray:
        return np.isin(self.membership[model], (0, 1))

    def _public(self, model: int) -> Callable[[], View] | None:
        """Reads `View.public`; None if there is no such sample."""
        neither = (self.membership[model] == -1) & (self.membership[TARGET] != INFERENCE)
        rows = np.flatnonzero(neither & ~self.canary)
        if not len(rows):
            return None
        nobody, others = np.zeros(len(rows), np.bool_), self.reference(rows, model)
        return partial(self._read, model, rows, nobody, reference=others)

    def reference(self, rows: np.ndarray, model: int = TARGET) -> Models:
        """All shadows but `model` and its complement on `rows`, each read when it is indexed.

        Under random_half a shadow's complement was trained on exactly what it was not. Without
        either, each sample has as many models with it as without, as the target's samples have:
        otherwise these counts alone would tell a shadow's members from its non-members.

        `member` is there for every row: whether that shadow was trained on it, −1 meaning no. A
        statistic of each is computed once, however many models are compared with them.
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

    def _all(self, statistic: Statistic, model: int) -> np.ndarray:
        """A statistic of one model on all samples, (samples,), kept."""
        kept = self._kept.setdefault(statistic, {})
        if model not in kept:
            rows = max(BLOCK // self.classes, 1)
            parts = [slice(begin, begin + rows) for begin in range(0, len(self.ids), rows)]
            kept[model] = np.concatenate(
                [
                    statistic(View(self.ids[p], self.labels[p], np.array(self.logits[model, p])))
                    for p in parts
                ]
            )
        return kept[model]

    def _complements(self, one: int, other: int) -> bool:
        a, b = self.membership[one], self.membership[other]
        rows = self._evaluated(one)
        opposite = np.array_equal(rows, self._evaluated(other))
        return opposite and bool((a[rows] + b[rows] == 1).all())

    def _read(
        self,
        model: int,
        rows: np.ndarray,
        member: np.ndarray | None,
        reference: Models | None = None,
        read_public: Callable[[], View] | None = None,
    ) -> View:
        return View(
            ids=np.array(self.ids[rows]),
            labels=np.array(self.labels[rows]),
            logits=np.array(self.logits[model, rows]),
            signals={name: np.array(array[model, rows]) for name, array in self.signals.items()},
            member=member,
            reference=reference,
            inputs=None if self.inputs is None else np.array(self.inputs[rows]),
            read_public=read_public,
            read_logits=partial(self._logits_of, model, rows),
        )

    def _logits_of(self, model: int, rows: np.ndarray, which: np.ndarray) -> np.ndarray:
        return np.asarray(self.logits[model, rows[which]])


class _References(Models):
    """Models of an Evidence on given rows; `member` says for each row whether it was trained on."""

    def __init__(self, evidence: Evidence, models: Sequence[int], rows: np.ndarray) -> None:
        super().__init__(Chosen(self._on_rows, models))
        self._evidence, self._models, self._rows = evidence, models, rows

    def _on_rows(self, model: int) -> View:
        member = self._evidence.membership[model, self._rows] == 1
        return self._evidence._read(model, self._rows, member)

    def of_each(self, statistic: Statistic) -> np.ndarray:
        return np.stack([self._evidence._all(statistic, i)[self._rows] for i in self._models])

    def trained_on(self) -> np.ndarray:
        return self._evidence.membership[list(self._models)][:, self._rows] == 1
