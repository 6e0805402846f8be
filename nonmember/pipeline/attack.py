"""Score one arm's target with every attack, and measure the scores."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import nonmember
from nonmember import audit, files, fingerprint
from nonmember.compute import ComputeOptions
from nonmember.evidence import Evidence
from nonmember.metrics import measure, scores
from nonmember.metrics.report import Attacker, AttackerName, AuditReport, ClassNumbers, EpsilonBound
from nonmember.metrics.scores import ScoreSet
from nonmember.metrics.stamp import Stamp
from nonmember.notices import Notice, accepted, found
from nonmember.params import read_compute
from nonmember.pipeline.origin import read_origin

FEW = 10  # members or non-members of a class below which it has no numbers of its own
DELTA = 1e-5  # of the epsilon bounds, or less, where training had no delta of its own


def attack(place: Path, arm: str) -> None:
    """data/signals -> data/scores/ARM.npz and metrics/ARM/report.json, all under `place`."""
    config = files.read_json(place / "data/config/attacks.json")
    trained = files.read_json(place / f"models/{arm}/target.json")
    target = Evidence(place / f"data/signals/{arm}")
    attackers = _attackers(place, arm, target, config)
    primary = next(iter(attackers))
    primary_scores = attackers[primary][0]
    delta = trained["facts"].get("delta", min(DELTA, 0.1 / int((target.membership[0] == 1).sum())))
    bounds = _bounds(primary_scores, config["seed"], delta)
    report = AuditReport(
        stamp=make_stamp(place, arm, trained["fingerprint"], config["attacks"]),
        arm=arm,
        defense=files.read_json(place / f"data/config/{arm}.json")["defense"]["name"],
        model=audit.behaviour(target.target),
        defense_facts=trained["facts"],
        attackers={name: numbers for name, (_, numbers) in attackers.items()},
        reference_leak=audit.reference_leak(target),
        duplicates=files.read_json(place / "data/split/report.json")["duplicates"],
        notices=_notices(place, config["accept"], primary_scores, target.classes),
        epsilon=bounds["epsilon"],
        epsilon_canaries=bounds.get("epsilon_canaries"),
        epsilon_one_run=measure.one_run_bound(
            primary_scores.target.scores, primary_scores.target.member, delta, config["seed"]
        ),
        classes=_worst_classes(primary_scores, target.classes),
        reliability=[]
        if primary_scores.joint is None
        else measure.reliability(primary_scores.joint.risk, primary_scores.target.member),
    )
    kept: dict[str, ScoreSet] = {name: scored for name, (scored, _) in attackers.items()}
    scores.write(place / f"data/scores/{arm}.npz", kept)
    report.write(place / f"metrics/{arm}/report.json")


def _attackers(
    place: Path, arm: str, target: Evidence, config: dict[str, Any]
) -> dict[AttackerName, tuple[ScoreSet, Attacker]]:
    """Attacker -> its scores and numbers, who knows most first."""
    chosen, seed, pool = config["attacks"], config["seed"], workers(place)
    least = config["metrics"]["min_false_positives"]
    if config["knowledge"] == "partial":
        splits = config["partial_splits"]
        score_set, numbers = audit.partial(target, chosen, seed, splits, least, pool)
        canaries = audit.canary_numbers(score_set, least)
        return {"partial": (score_set, Attacker(attacks=numbers, canaries=canaries))}
    shadows: dict[AttackerName, Evidence] = {"adaptive": target}
    if arm == "defended":
        shadows["non_adaptive"] = Evidence(place / "data/signals/undefended")
    made: dict[AttackerName, tuple[ScoreSet, Attacker]] = {}
    for name, own in shadows.items():
        score_set = audit.with_joint_risk(
            audit.score(target, own, chosen, seed, pool), target.classes
        )
        numbers = audit.numbers(score_set, target.classes, least)
        made[name] = (
            score_set,
            Attacker(attacks=numbers, canaries=audit.canary_numbers(score_set, least)),
        )
    return made


def _bounds(own: ScoreSet, seed: int, delta: float) -> dict[str, EpsilonBound]:
    """The bound on epsilon and, where there are canaries, a second one from them."""
    parts = {"epsilon": own.target}
    if own.canaries is not None:
        parts["epsilon_canaries"] = own.canaries
    return {
        name: measure.epsilon_bound(part.scores, part.member, delta, seed)
        for name, part in parts.items()
    }


def _worst_classes(own: ScoreSet, classes: int) -> dict[str, list[ClassNumbers]]:
    """Attack -> the classes whose members it finds most easily."""
    part = own.target
    return {
        name: measure.worst_classes(
            measure.class_numbers(values, part.member, part.labels, classes)
        )
        for name, values in part.scores.items()
    }


def _notices(place: Path, accept: list[str], own: ScoreSet, classes: int) -> list[Notice]:
    """What `prepare` found, and the classes without numbers of their own."""
    data = files.read_json(place / "data/prepared/dataset.json")
    notices = [Notice(**one) for one in data["notices"]]
    part = own.target
    counts = [np.bincount(part.labels[part.member == side], minlength=classes) for side in (1, 0)]
    few = np.flatnonzero(np.minimum(*counts) < FEW)
    if len(few):
        named = ", ".join(data["class_names"][c] for c in few[:10]) + (
            ", …" if len(few) > 10 else ""
        )
        says = f"classes with fewer than {FEW} members or non-members, not listed apart"
        notices.append(found("unlisted_classes", f"{says}: {len(few)} of {classes} ({named})"))
    return accepted(notices, accept)


def make_stamp(place: Path, arm: str, model: str, chosen: Iterable[str]) -> Stamp:
    """What the numbers of an arm are of. model: the target's fingerprint; chosen: the attacks."""
    modules = [__name__, *(f"nonmember.attacks.{name}" for name in chosen)]
    return Stamp(
        **read_origin(place, arm).model_dump(),
        versions={
            "nonmember": nonmember.__version__,
            **{name: version(name) for name in ("torch", "numpy")},
        },
        model=model,
        code=fingerprint.of_code(modules),
    )


def workers(place: Path) -> ComputeOptions:
    """Those of params.yaml on this machine's CPU: the signals lie here, and need no GPU."""
    here = read_compute(place / "params.yaml").on_this_machine()
    return here.model_copy(update={"devices": "cpu"})
