"""An attacker's scores: every attack on the target, on the attacker's own models, on canaries.

Scores are float64 and higher for likelier members. One `.npz` holds those of all attackers of an
arm, an array a key; only this file knows the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nonmember import files
from nonmember.metrics.rates import Scored
from nonmember.metrics.risk import Joint

_PARTS = ("target", "shadows", "canaries")


@dataclass(frozen=True, eq=False)
class Part:
    """Samples with the truth about them and every attack's scores.

    ids: (n,) int64, rows of the prepared data. member: (n,) bool. labels: (n,) int64.
    scores: attack -> (n,) float64.
    """

    ids: np.ndarray
    member: np.ndarray
    labels: np.ndarray
    scores: Mapping[str, np.ndarray]

    def scored(self) -> dict[str, Scored]:
        """Attack -> its scores with the truth."""
        return {name: Scored(s, self.member, self.labels) for name, s in self.scores.items()}


@dataclass(frozen=True, eq=False)
class ScoreSet:
    """One attacker's scores.

    target: the samples the attacker is judged by. shadows: what thresholds are fitted on; None
    where only ranks were kept. canaries: None where none were planted. joint: each of the target's
    samples' risk by all attacks together; None before it was computed.
    """

    target: Part
    shadows: Part | None = None
    canaries: Part | None = None
    joint: Joint | None = None

    @property
    def attacks(self) -> list[str]:
        """The attacks, in the order of params.yaml."""
        return list(self.target.scores)


def write(path: str | Path, attackers: Mapping[str, ScoreSet]) -> None:
    """Attacker -> its scores, as one `.npz`."""
    arrays: dict[str, np.ndarray] = {}
    for attacker, scores in attackers.items():
        for name in _PARTS:
            part: Part | None = getattr(scores, name)
            if part is not None:
                arrays |= {f"{attacker}/{name}/{field}": getattr(part, field) for field in _TRUTH}
                arrays |= {f"{attacker}/{name}/score/{a}": s for a, s in part.scores.items()}
        if scores.joint is not None:
            arrays |= {f"{attacker}/joint/{f}": v for f, v in scores.joint._asdict().items()}
    files.write_arrays(path, arrays)


def read(path: str | Path) -> dict[str, ScoreSet]:
    """What `write` wrote; ValueError naming the file if it is damaged."""
    arrays = files.read_arrays(path)
    try:
        return _score_sets(arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not the scores of an arm ({error}); run `dvc repro`") from error


def _score_sets(arrays: Mapping[str, np.ndarray]) -> dict[str, ScoreSet]:
    sets: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for key, array in arrays.items():
        attacker, part, field = key.split("/", 2)
        sets.setdefault(attacker, {}).setdefault(part, {})[field] = array
    return {attacker: _score_set(parts) for attacker, parts in sets.items()}


_TRUTH = ("ids", "member", "labels")


def _score_set(parts: Mapping[str, Mapping[str, np.ndarray]]) -> ScoreSet:
    made = {name: _part(parts[name]) for name in _PARTS if name in parts}
    joint = Joint(**parts["joint"]) if "joint" in parts else None
    return ScoreSet(**made, joint=joint)


def _part(arrays: Mapping[str, np.ndarray]) -> Part:
    scores = {
        key.removeprefix("score/"): array
        for key, array in arrays.items()
        if key.startswith("score/")
    }
    return Part(**{field: arrays[field] for field in _TRUTH}, scores=scores)
