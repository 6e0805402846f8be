"""Score one arm's target with every attack, and measure the scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nonmember import audit, files
from nonmember.compute import ComputeOptions
from nonmember.evidence import Evidence
from nonmember.params import read_compute

DELTA = 1e-5  # of the epsilon bound, where training had no delta of its own


def attack(place: Path, arm: str) -> None:
    config = files.read_json(place / "data/config/attacks.json")
    target = Evidence(place / f"data/signals/{arm}")
    facts = files.read_json(place / f"models/{arm}/target.json")["facts"]
    report: dict[str, Any] = {
        "model": {**audit.behaviour(target.target), **facts},
        "inference": audit.inference_leak(target),
        "duplicates": files.read_json(place / "data/split/report.json")["duplicates"],
    }
    saved = audit.truth(target)
    if config["knowledge"] == "partial":
        found = {"partial": with_half(target, config, report, workers(place))}
    else:
        attackers = {"adaptive": target}
        if arm == "defended":
            attackers["non_adaptive"] = Evidence(place / "data/signals/undefended")
        found = {
            k: with_shadows(k, target, v, config, report, workers(place))
            for k, v in attackers.items()
        }
    strongest = found[audit.primary(report)]
    exposure = audit.exposure(
        strongest, saved, target.classes, config["seed"], facts.get("delta", DELTA)
    )
    for kind, scores in found.items():
        saved |= {f"{kind}.{name}": values for name, values in scores.items()}
    files.write_arrays(place / f"data/scores/{arm}.npz", saved)
    files.write_json(place / f"metrics/{arm}/exposure.json", exposure)
    files.write_json(place / f"metrics/{arm}/attacks.json", report)


def with_shadows(
    kind: str,
    target: Evidence,
    shadows: Evidence,
    config: Any,
    report: dict[str, Any],
    pool: ComputeOptions,
) -> audit.Scores:
    """Scores by an attacker with these shadows; the numbers go into `report`."""
    options = config["metrics"]
    scores = audit.score(target, shadows, config["attacks"], config["seed"], pool)
    report[kind], risks = audit.numbers(
        scores, audit.truth(target), audit.truth(shadows), target.classes, options
    )
    if target.canaries is not None:
        report[f"{kind}_canaries"] = audit.canary_numbers(
            scores, target.canaries, options["min_false_positives"]
        )
    return {**scores, **risks}


def with_half(
    target: Evidence, config: Any, report: dict[str, Any], pool: ComputeOptions
) -> audit.Scores:
    """Scores by an attacker who knows half of the samples; the numbers go into `report`."""
    options = config["metrics"]
    scores, report["partial"] = audit.partial(
        target, config["attacks"], config["seed"], config["partial_splits"], options, pool
    )
    if target.canaries is not None:
        report["partial_canaries"] = audit.canary_numbers(
            scores, target.canaries, options["min_false_positives"]
        )
    return scores


def workers(place: Path) -> ComputeOptions:
    """Those of params.yaml on the CPU: no attack needs a GPU."""
    return read_compute(place / "params.yaml").model_copy(update={"devices": "cpu"})
