"""Every attack on one arm: signals in, scores and numbers out.

Where the attacker knows shadows, an attack that learns is fitted on them twice over: *adaptive*, on
shadows trained with the same defense as the target, and *non_adaptive*, on undefended ones. Where
the attacker knows half of the target's members and non-members (*partial*), it is fitted on that
half and scored on the other. Thresholds come from what the attack was fitted on.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from nonmember import compute, statistics
from nonmember.attacks import Attack, attacks
from nonmember.compute import ComputeOptions
from nonmember.evidence import Evidence
from nonmember.metrics import epsilon, rates
from nonmember.metrics import risk as risks
from nonmember.metrics.membership import random_half
from nonmember.metrics.rates import Scored
from nonmember.signal_files import TARGET
from nonmember.views import Chosen, Models, View

Scores = dict[str, np.ndarray]
KINDS = ("adaptive", "non_adaptive", "partial")
HERE = ComputeOptions(devices="cpu", workers=1, backend="sequential")  # in the process that asks
FOLDS = 3  # of the shadows, to score them with attacks that learned from the others


def primary(report: Mapping[str, Any]) -> str:
    """The kind of attacker whose numbers are the headline: it knows most."""
    return "adaptive" if "adaptive" in report else "partial"


def score(
    target: Evidence,
    shadows: Evidence,
    chosen: Mapping[str, Mapping[str, Any]],
    seed: int,
    options: ComputeOptions = HERE,
) -> Scores:
    """Scores of every attack on the target and, for the thresholds, on the shadows themselves.

    Keys: `<attack>.target` (n,), `<attack>.shadows` (all shadows' samples in a row) and, where the
    target has canaries, `<attack>.canaries`; float64. The same whatever the workers of `options`.

    An attack that learns does better on what it has learned from, so the shadows are cut into
    parts, and each is scored by the attack fitted on the others; with a single part there is no
    other. Fewer than FOLDS would leave the scores on another scale than the target's, whose attack
    learned from all.
    """
    parts = shadows.shadow_parts(FOLDS)
    single = len(parts) == 1
    works = [functools.partial(_of_target, target, shadows, chosen, seed, single)]
    works += [
        functools.partial(_of_part, shadows.shadows, part, chosen, seed)
        for part in ([] if single else parts)
    ]
    scores, *of_parts = _side_by_side(works, options)
    return scores | _joined(of_parts)


def _of_target(
    target: Evidence,
    shadows: Evidence,
    chosen: Mapping[str, Mapping[str, Any]],
    seed: int,
    and_shadows: bool,
) -> Scores:
    """By attacks that learned from all shadows: the target, and if asked the shadows too."""
    fitted = _fitted(chosen, shadows.shadows, seed)
    scores = _joined([_scored(fitted, view) for view in shadows.shadows] if and_shadows else [])
    for part, asked in (("target", target.target), ("canaries", target.canaries)):
        if asked is not None:
            seen = dataclasses.replace(asked, reference=_reference(target, shadows, asked))
            scores |= {f"{name}.{part}": attack.score(seen) for name, attack in fitted.items()}
    return scores


def _of_part(
    views: Sequence[View],
    part: np.ndarray,
    chosen: Mapping[str, Mapping[str, Any]],
    seed: int,
) -> Scores:
    """`<attack>.shadows` of the models of a part, by attacks that learned from the others."""
    rest = Chosen(views.__getitem__, [i for i in range(len(views)) if i not in part])
    fitted = _fitted(chosen, rest, seed)
    return _joined([_scored(fitted, views[number]) for number in part])


def _fitted(
    chosen: Mapping[str, Mapping[str, Any]], known: Sequence[View], seed: int
) -> dict[str, Attack]:
    built = {name: attacks.get(name)(**options) for name, options in chosen.items()}
    for attack in built.values():
        attack.fit(known, seed)
    return built


def _scored(fitted: Mapping[str, Attack], view: View) -> Scores:
    return {f"{name}.shadows": attack.score(view) for name, attack in fitted.items()}


def _joined(found: Sequence[Scores]) -> Scores:
    """The scores of several, in a row."""
    keys = found[0] if found else ()
    return {key: np.concatenate([scores[key] for scores in found]) for key in keys}


def _side_by_side(works: Sequence[Callable[[], Any]], options: ComputeOptions) -> list[Any]:
    """What each of `works` returns, in their order; each may run in a process of its own."""
    with compute.naming_deaths("attacking"):
        found = dict(compute.in_pool(options, _numbered, list(enumerate(works))))
    return [found[number] for number in range(len(works))]


def _numbered(number: int, work: Callable[[], Any]) -> tuple[int, Any]:
    with threadpool_limits(1):  # the last digits of a product depend on how many threads share it
        return number, work()


def partial(
    target: Evidence,
    chosen: Mapping[str, Mapping[str, Any]],
    seed: int,
    splits: int,
    options: Mapping[str, Any],
    workers: ComputeOptions = HERE,
) -> tuple[Scores, dict[str, dict[str, Any]]]:
    """The attacker that knows half of the target's members and non-members: scores and numbers.

    Each of `splits` random halves serves both ways. A number is the mean over the 2 · splits, its
    limits the mean of theirs (those of half of the samples, so rather too wide), `<key>_sd` the
    deviation between them. Scores, from the first split:
    `<attack>.target`, (n,), each sample's rank among those scored by the same fitted attack,
    which did not know it; `<attack>.canaries`, where there are any; and the fields of `Joint`.
    The same whatever the `workers`.
    """
    member = target.membership[TARGET, target.rows()] == 1
    halves = [
        (number, known)
        for number in range(splits)
        for half in [random_half(member, np.random.default_rng([seed, 5, number]))]
        for known in (half, ~half)
    ]
    works = [
        functools.partial(_of_half, target, known, chosen, seed, number) for number, known in halves
    ]
    scores: Scores = {}
    folds: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    for (number, known), (asked, learnt, planted) in zip(
        halves, _side_by_side(works, workers), strict=True
    ):
        for name in chosen:
            least = options["min_false_positives"]
            found = rates.report(asked[name], learnt[name], target.classes, least)
            folds[name].append(found)
        if number == 0:
            ranks = {
                f"{k}.target": rankdata(v.scores) / (len(v.scores) + 1) for k, v in asked.items()
            }
            joint = risks.joint_risk(asked, learnt, target.classes)._asdict()
            for key, values in {**ranks, **joint}.items():
                scores.setdefault(key, np.empty(len(member), values.dtype))[~known] = values
            if known is halves[0][1]:
                scores |= planted
    return scores, {name: _mean(found) for name, found in folds.items()}


def _of_half(
    target: Evidence,
    known: np.ndarray,
    chosen: Mapping[str, Mapping[str, Any]],
    seed: int,
    number: int,
) -> tuple[dict[str, Scored], dict[str, Scored], Scores]:
    """By attacks that know the samples `known` of the target: the others, those, the canaries.

    The known are scored by attacks that learned from one half of them only, the other half.
    """
    rows = target.rows()
    member = target.membership[TARGET, rows] == 1
    inner = random_half(member[known], np.random.default_rng([seed, 6, number]))
    views = [target.view(TARGET, part) for part in (rows[known][inner], rows[known][~inner])]
    of_known = _joined([_of_part(views, np.array([i]), chosen, seed) for i in (0, 1)])
    truth = np.concatenate([np.asarray(view.member) for view in views])
    labels = np.concatenate([view.labels for view in views])
    fitted = _fitted(chosen, [target.view(TARGET, rows[known])], seed)
    asking, canaries = target.view(TARGET, rows[~known]), target.canaries
    asked = {
        name: Scored(attack.score(asking), member[~known], asking.labels)
        for name, attack in fitted.items()
    }
    learnt = {name: Scored(of_known[f"{name}.shadows"], truth, labels) for name in fitted}
    if canaries is None or number > 0:
        return asked, learnt, {}
    return asked, learnt, {f"{k}.canaries": attack.score(canaries) for k, attack in fitted.items()}


def _mean(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Reports on several splits as one; a number that one of them does not support is none."""
    merged: dict[str, Any] = {}
    for key in reports[0]:
        values = [report[key] for report in reports]
        if rates.NOT_SUPPORTED in values:
            merged[key] = rates.NOT_SUPPORTED
        elif key in ("members", "non_members"):
            merged[key] = values[0]
        else:
            merged[key] = round(float(np.mean(values)), 6)
            if not key.endswith(("_low", "_high")):
                merged[f"{key}_sd"] = round(float(np.std(values, ddof=1)), 6)
    return merged


def _reference(target: Evidence, shadows: Evidence, view: View) -> Models:
    """The attacker's shadows on the target's samples in `view`."""
    if not np.array_equal(target.ids, shadows.ids):
        raise ValueError(f"{target.path} and {shadows.path} hold different samples; extract again")
    return shadows.reference(np.searchsorted(shadows.ids, view.ids))


def truth(evidence: Evidence) -> Scores:
    """Membership and labels behind the scores, by the same keys: `member.target`, …"""
    rows = [evidence.rows(model) for model in range(evidence.models)]
    member = [evidence.membership[model, own] == 1 for model, own in enumerate(rows)]
    labels = [np.array(evidence.labels[own]) for own in rows]
    planted = evidence.canaries
    canaries = {} if planted is None else {"member.canaries": np.asarray(planted.member)}
    return {
        **canaries,
        "ids.target": np.array(evidence.ids[rows[TARGET]]),
        "member.target": member[TARGET],
        "labels.target": labels[TARGET],
        "member.shadows": np.concatenate(member[1:]),
        "labels.shadows": np.concatenate(labels[1:]),
    }


def numbers(
    scores: Scores, target: Scores, shadows: Scores, classes: int, options: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Any]], Scores]:
    """Attack name -> its numbers, and the fields of `Joint`, (n,) of the target's samples.

    `target` and `shadows` are what `truth` returned for each.
    """
    asked, known = (
        {
            name: Scored(scores[f"{name}.{part}"], side[f"member.{part}"], side[f"labels.{part}"])
            for name in names(scores, "target")
        }
        for part, side in (("target", target), ("shadows", shadows))
    )
    least = options["min_false_positives"]
    reports = {name: rates.report(asked[name], known[name], classes, least) for name in asked}
    return reports, risks.joint_risk(asked, known, classes)._asdict()


def names(scores: Scores, part: str) -> list[str]:
    """The attacks that `scores` has a `part` of: target, shadows or canaries."""
    return [key.removesuffix(f".{part}") for key in scores if key.endswith(f".{part}")]


def exposure(
    scores: Scores, target: Scores, classes: int, seed: int, delta: float
) -> dict[str, Any]:
    """Who is worst off: epsilon bound, worst classes by attack, most exposed samples.

    scores: with `.target` and the fields of `Joint`; target: from `truth`. epsilon is at least
    what its bound says, at 95 % confidence; where there are canaries, they give a second bound.
    """
    member, labels = target["member.target"], target["labels.target"]
    by_attack = {name: scores[f"{name}.target"] for name in names(scores, "target")}
    joint = risks.Joint(*(scores[field] for field in risks.Joint._fields))
    bounds = {"epsilon": (by_attack, member)}
    if planted := {name: scores[f"{name}.canaries"] for name in names(scores, "canaries")}:
        bounds["epsilon_canaries"] = (planted, target["member.canaries"])
    return {
        **{
            key: {k: _plain(v) for k, v in _bound(*pair, delta, seed).items()}
            for key, pair in bounds.items()
        },
        "classes": {
            name: risks.worst_classes(risks.per_class(values, member, labels, classes))
            for name, values in by_attack.items()
        },
        "samples": risks.most_exposed(target["ids.target"], labels, member, joint),
        "reliability": risks.reliability(joint.risk, member),
    }


def _bound(scores: Scores, member: np.ndarray, delta: float, seed: int) -> dict[str, float | str]:
    return epsilon.epsilon_lower_bound(scores, member, delta, seed)._asdict()


def _plain(value: float | str) -> float | str | None:
    """For JSON: 6 digits; None for a threshold that accuses all or none."""
    if isinstance(value, str):
        return value
    return round(value, 6) if np.isfinite(value) else None


def canary_numbers(
    scores: Scores, view: View, min_false_positives: int
) -> dict[str, dict[str, Any]]:
    """Attack name -> AUC and TPRs on the canaries, which need no threshold."""
    assert view.member is not None
    return {
        name: rates.ranking(scores[f"{name}.canaries"], view.member, min_false_positives)
        for name in names(scores, "canaries")
    }


def inference_leak(target: Evidence) -> dict[str, float | int]:
    """Whether the inference set has leaked: it may, if the defense trains on it (PAST, Fig. 8).

    AUC of the modified entropy between it and the non-members, with interval, and its accuracy;
    empty without an inference set. 0.5: the target treats it like any non-member.
    """
    view = target.inference
    if view is None:
        return {}
    assert view.member is not None
    score = -statistics.log_modified_entropy(view.log_probs, view.labels)
    right = statistics.correct(view.log_probs, view.labels)[view.member]
    auc = dict(zip(("auc", "auc_low", "auc_high"), rates.auc(score, view.member), strict=True))
    found = {key: round(float(value), 6) for key, value in auc.items() if value is not None}
    return {**found, "acc": round(float(right.mean()), 6), "samples": len(right)}


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
    return {**{key: float(f"{value:.6g}") for key, value in values.items()}, **counts}


def kinds(audit: Mapping[str, Any]) -> list[str]:
    """The kinds of attacker an audit has, who knows most first."""
    return [kind for kind in KINDS if kind in audit]


def worst(audit: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and name of the attack with the highest AUC; of equals the first."""
    found = [(kind, name) for kind in kinds(audit) for name in audit[kind]]
    return max(found, key=lambda place: float(audit[place[0]][place[1]]["auc"]))


def headline(audit: Mapping[str, Any]) -> dict[str, Any]:
    """The few numbers of an arm for `dvc exp show`: the largest over all attacks and attackers.

    An adaptive attacker may well do what a non-adaptive one does.
    """
    model = audit["model"]
    kind, strongest = worst(audit)
    advantage = max(
        max(found["advantage"], found["class_advantage"])
        for attacker in kinds(audit)
        for found in audit[attacker].values()
    )
    return {
        "train_acc": model["train_acc"],
        "test_acc": model["test_acc"],
        "worst_auc": audit[kind][strongest]["auc"],
        "worst_auc_attack": strongest,
        "worst_auc_kind": kind,
        "worst_advantage": advantage,
        "p1": round(rates.p1(model["test_acc"], max(advantage, 0.0)), 6),
        "members": model["members"],
        "non_members": model["non_members"],
    }
