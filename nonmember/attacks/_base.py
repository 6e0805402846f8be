"""What every attack provides: signals in, scores out. No attack touches a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from nonmember.settings import Settings
from nonmember.views import View


class Attack:
    """One membership inference attack.

    A subclass overrides `score` and, if it learns from the attacker's own models, `fit`. `needs`
    names the signals it reads of one forward or backward pass (see extraction/signals.py),
    `queries` those that take more (see nonmember/queries), `min_shadows` the number of shadows
    below which it cannot work. From two shadows on (two pairs of them under random_half) none is
    scored by an attack fitted on it. The options of all attacks share one mapping, so an attack
    prefixes its keys with its name, or with that of a query, whose keys several attacks may have.
    """

    Options: ClassVar[type[Settings]] = Settings
    needs: ClassVar[tuple[str, ...]] = ("logits",)
    min_shadows: ClassVar[int] = 1
    options: Any

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

    def fit(self, known: Sequence[View], seed: int = 0) -> None:
        """Learn from views whose `member` is known: one a shadow model."""

    def score(self, view: View) -> np.ndarray:
        """(samples,) float64, finite; higher = more likely a member."""
        raise NotImplementedError
