"""Everything the pictures show of one arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nonmember.views import View


@dataclass(frozen=True, eq=False)
class Arm:
    """One arm's model and the attacks on it.

    name: `undefended` or `defended`; defense: its name, `none` for plain cross-entropy.
    audit: metrics/<arm>/attacks.json.
    scores: attack -> scores of the target's samples, (n,), higher = member; those of `attacks`.
    view: the target on those n samples, with `member` known.
    curve: one mapping an epoch with `epoch`, `loss` and `accuracy` on the training batches.
    risk: the samples' privacy risk, (n,) in [0, 1], as `risk.worst_risk` gives it; None where it
        was not measured.
    canaries: `members` and `canaries` -> the numbers of `metrics.report` of the strongest attack
        on ordinary members and on planted ones; None where none were planted.
    class_names: what the labels stand for; None shows the labels.
    """

    name: str
    defense: str
    audit: Mapping[str, Any]
    scores: Mapping[str, np.ndarray]
    view: View
    curve: Sequence[Mapping[str, float]]
    risk: np.ndarray | None = None
    canaries: Mapping[str, Mapping[str, Any]] | None = None
    class_names: Sequence[str] | None = None

    @property
    def label(self) -> str:
        """The arm in a legend, such as `defended (crl)`."""
        return self.name if self.name == "undefended" else f"{self.name} ({self.defense})"

    @property
    def attacks(self) -> Mapping[str, Mapping[str, Any]]:
        """Attack -> its numbers, of the attacker who knows most: adaptive shadows, or a half."""
        found: Mapping[str, Mapping[str, Any]] = self.audit.get("adaptive") or self.audit["partial"]
        return found

    @property
    def member(self) -> np.ndarray:
        """(n,) bool. Raises ValueError where the view does not know."""
        if self.view.member is None:
            raise ValueError(f"{self.name}: the view's member must be known, got None")
        return self.view.member

    @property
    def strongest(self) -> str:
        """The attack with the highest AUC; of equal ones the first."""
        return max(self.attacks, key=lambda name: self.attacks[name]["auc"])
