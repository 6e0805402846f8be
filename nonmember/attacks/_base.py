"""What every attack provides: signals in, scores out. No attack touches a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np

from nonmember.settings import Settings
from nonmember.views import Chosen, View


class Attack:
    """One membership inference attack.

    Its settings are a class `Options`, declared as its own by `options: Options`.
    A subclass writes `_score` and, if it learns from the attacker's own models, `_learn`; callers
    use `score` and `fit`, which check what goes in and what comes out. `self.seed` is there for
    both. `needs` names the signals it reads of one forward or backward pass (see
    extraction/signals.py), `queries` those that take more (see nonmember/queries), `min_shadows`
    the number of shadows below which it cannot work. From two shadows on (two pairs of them under
    random_half) none is scored by an attack fitted on it. The options of all attacks share one
    mapping, so an attack prefixes its keys with its name, or with that of a query, whose keys
    several attacks may have.
    """

    Options: ClassVar[type[Settings]] = Settings
    needs: ClassVar[tuple[str, ...]] = ("logits",)
    min_shadows: ClassVar[int] = 1
    options: Settings

    def __init__(self, options: Settings | None = None, **values: Any) -> None:
        self.options = options if options is not None else self.Options(**values)

    def check(self, assignment: str = "split") -> list[str]:
        """What is impossible about the options: `attacks.key: problem` lines.

        assignment: `shadows.assignment`, which decides what the shadows saw.
        """
        return []

    def queries(self) -> dict[str, dict[str, Any]]:
        """Name of a query, which is the name of its signal too -> the query's options."""
        return {}

    seed: int = 0  # of the last `fit`
    _fitted = False

    @property
    def name(self) -> str:
        """The name of its file, by which params.yaml calls it."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def learns(self) -> bool:
        """Whether `score` needs a `fit` before it: there is a `_learn`."""
        return type(self)._learn is not Attack._learn

    @final
    def fit(self, known: Sequence[View], seed: int = 0) -> None:
        """Learn from views whose `member` is known: one a shadow model.

        Raises ValueError if the attack learns and there is no view or one without `member`.
        """
        self.seed, self._fitted = seed, False
        if not self.learns:
            return
        if not known:
            raise ValueError(
                f"attack {self.name} needs a shadow to learn from, got 0; set more shadows"
            )
        self._learn(Chosen(lambda number: self._with_members(known, number), range(len(known))))
        self._fitted = True

    @final
    def score(self, view: View) -> np.ndarray:
        """(n,) float64, finite; higher = more likely a member.

        Raises RuntimeError before `fit` if the attack learns; ValueError if the view lacks what it
        reads, or if its scores are of another shape or dtype, or not finite.
        """
        if self.learns and not self._fitted:
            raise RuntimeError(f"attack {self.name} must be fitted on shadows before it scores")
        scores = self._score(view)
        if scores.shape != (len(view),) or scores.dtype != np.float64:
            raise ValueError(
                f"attack {self.name} must score ({len(view)},) float64, got {scores.shape} "
                f"{scores.dtype}"
            )
        bad = np.flatnonzero(~np.isfinite(scores))
        if len(bad):
            raise ValueError(
                f"scores of attack {self.name} must be finite: {len(bad)} of {len(scores)} are "
                f"not, the first is of sample {view.ids[bad[0]]}"
            )
        return scores

    def _learn(self, views: Sequence[View]) -> None:
        """Learn from at least one view; each is read when it is indexed, and has `member`."""

    def _score(self, view: View) -> np.ndarray:
        """What `score` returns, which checks it."""
        raise NotImplementedError

    def _with_members(self, views: Sequence[View], number: int) -> View:
        view = views[number]
        if view.member is None:
            raise ValueError(
                f"attack {self.name} learns from shadows whose membership is known: that of "
                f"shadow {number} is not"
            )
        return view
