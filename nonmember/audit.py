"""Every attack on one arm: signals in, scores and numbers out.

An attack that learns is fitted on the attacker's shadows twice over: *adaptive*, on shadows trained
with the same defense as the target, and *non_adaptive*, on undefended ones. Thresholds come from
the same shadows as the attack.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nonmember import metrics, statistics
from nonmember.attacks import attacks
from nonmember.evidence import Evidence, View
from nonmember.metrics import Scored

Scores = dict[str, np.ndarray]


def score(
    target: Evidence,
    shadows: Evidence,
    chosen: Mapping[str, Mapping[str, Any]],
    seed: int,
) -> Scores:
    """Scores of every attack on the target and, for the thresholds, on the shadows themselves.

    Keys: `<attack>.target` (n,) and `<attack>.shadows` (all shadows' samples in a row), float64.
    """
    built = {name: attacks.get(name)(**options) for name, options in chosen.items()}
    for attack in built.values():
        attack.fit(shadows.shadows, seed)
    found: dict[str, list[np.ndarray]] = {f"{name}.shadows": [] for name in built}
    for view in shadows.shadows:
        for name, attack in built.items():
            found[f"{name}.shadows"].append(attack.score(view))
    view = dataclasses.replace(target.target, reference=_reference(target, shadows))
    scores = {f"{name}.target": attack.score(view) for name, attack in built.items()}
    return {**scores, **{name: np.concatenate(parts) for name, parts in found.items()}}


def _reference(target: Evidence, shadows: Evidence) -> Sequence[View]:
    """The attacker's shadows on the target's members and non-members."""
    if not np.array_equal(target.ids, shadows.ids):
        raise ValueError(f"{target.path} and {shadows.path} hold different samples; extract again")
    return shadows.reference(np.flatnonzero(target.membership[0] >= 0))


def truth(evidence: Evidence) -> Scores:
    """Membership and labels behind the scores, by the same keys: `member.target`, …"""
    views = list(evidence.shadows)
    target = evidence.target
    assert target.member is not None
    return {
        "ids.target": target.ids,
        "member.target": target.member,
        "labels.target": target.labels,
        "member.shadows": np.concatenate([np.asarray(view.member) for view in views]),
        "labels.shadows": np.concatenate([view.labels for view in views]),
    }


def numbers(
    scores: Scores, target: Scores, shadows: Scores, classes: int, options: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Attack name -> its numbers. `target` and `shadows` are what `truth` returned for each."""
    names = [key.removesuffix(".target") for key in scores if key.endswith(".target")]
    return {
        name: metrics.report(
            Scored(scores[f"{name}.target"], target["member.target"], target["labels.target"]),
            Scored(scores[f"{name}.shadows"], shadows["member.shadows"], shadows["labels.shadows"]),
            classes,
            options["min_false_positives"],
        )
        for name in names
    }


def behaviour(view: View) -> dict[str, float | int]:
    """How the target does on its members and non-members: accuracy, loss mean and variance."""
    assert view.member is not None
    right = statistics.correct(view.log_probs, view.labels)
    loss = statistics.cross_entropy(view.log_probs, view.labels)
    inside = view.member
    values = {
        "train_acc": right[inside].mean(),
        "test_acc": right[~inside].mean(),
        "gap": right[inside].mean() - right[~inside].mean(),
        "train_loss_mean": loss[inside].mean(),
        "train_loss_var": loss[inside].var(),
        "test_loss_mean": loss[~inside].mean(),
        "test_loss_var": loss[~inside].var(),
    }
    counts = {"members": int(inside.sum()), "non_members": int((~inside).sum())}
    return {**{key: round(float(value), 6) for key, value in values.items()}, **counts}


def headline(audit: Mapping[str, Any]) -> dict[str, Any]:
    """The few numbers of an arm for `dvc exp show`: the largest over the adaptive attacks."""
    model, adaptive = audit["model"], audit["adaptive"]
    strongest = max(adaptive, key=lambda name: adaptive[name]["auc"])
    advantage = max(
        max(found["advantage"], found["class_advantage"]) for found in adaptive.values()
    )
    return {
        "train_acc": model["train_acc"],
        "test_acc": model["test_acc"],
        "worst_auc": adaptive[strongest]["auc"],
        "worst_auc_attack": strongest,
        "worst_advantage": advantage,
        "p1": round(metrics.p1(model["test_acc"], max(advantage, 0.0)), 6),
        "members": model["members"],
        "non_members": model["non_members"],
    }
