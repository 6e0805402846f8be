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
from nonmember.metrics import calibration, measure, rates
from nonmember.metrics import risk as risks
from nonmember.metrics.membership import random_half
from nonmember.metrics.rates import Scored
from nonmember.metrics.report import AttackNumbers, Behaviour, Leak, Number, Ranking
from nonmember.metrics.scores import Part, ScoreSet
from nonmember.signal_files import TARGET
from nonmember.views import Chosen, Models, View, seen_beside

Scores = dict[str, np.ndarray]  # attack -> (n,) float64
Options = Mapping[str, Mapping[str, Any]]  # attack -> its options
HERE = ComputeOptions(devices="cpu", workers=1, backend="sequential")  # in the process that asks
FOLDS = 3  # of the shadows, to score them with attacks that learned from the others


def score(
    target: Evidence,
    shadows: Evidence,
    chosen: Options,
    seed: int,
    options: ComputeOptions = HERE,
) -> ScoreSet:
    """Scores of every attack on the target and, for the thresholds, on the shadows themselves.

    The same whatever the workers of `options`.

    An attack that learns does better on what it has learned from, so the shadows are cut into
    parts, and each is scored by the attack fitted on the others; with a single part there is no
    other. Fewer than FOLDS would leave the scores on another scale than the target's, whose attack
    learned from all.
    """
    parts = shadows.shadow_parts(FOLDS)
    single = len(parts) == 1
    works: list[Callable[[], dict[str, Scores]]]
    works = [functools.partial(_of_target, target, shadows, chosen, seed, single)]
    works += [
        functools.partial(_of_part, shadows.shadows, part, chosen, seed)
        for part in ([] if single else parts)
    ]
    scores, *of_parts = _side_by_side(works, options)
    planted = target.canaries
    return ScoreSet(
        target=_part([target.target], scores["target"]),
        shadows=_part(
            list(shadows.shadows), _joined([part["shadows"] for part in of_parts or [scores]])
        ),
        canaries=None if planted is None else _part([planted], scores["canaries"]),
    )


def _part(views: Sequence[View], scores: Scores) -> Part:
    """Scores with the truth about the samples of some views, in their order."""
    return Part(
        ids=np.concatenate([view.ids for view in views]),
        member=np.concatenate([np.asarray(view.member) for view in views]),
        labels=np.concatenate([view.labels for view in views]),
        scores=scores,
    )


def _of_target(
    target: Evidence, shadows: Evidence, chosen: Options, seed: int, and_shadows: bool
) -> dict[str, Scores]:
    """By attacks that learned from all shadows: the target, and if asked the shadows too."""
    fitted = _fitted(chosen, shadows.shadows, seed)
    scores: dict[str, Scores] = {}
    if and_shadows:
        scores["shadows"] = _joined([_scored(fitted, view) for view in shadows.shadows])
    for part, asked in (("target", target.target), ("canaries", target.canaries)):
        if asked is not None:
            seen = seen_beside(asked, functools.partial(_reference, target, shadows))
            scores[part] = _scored(fitted, seen)
    return scores


def _of_part(
    views: Sequence[View], part: np.ndarray, chosen: Options, seed: int
) -> dict[str, Scores]:
    """Scores of the models of a part, by attacks that learned from the others."""
    rest = Chosen(views.__getitem__, [i for i in range(len(views)) if i not in part])
    fitted = _fitted(chosen, rest, seed)
    return {"shadows": _joined([_scored(fitted, views[number]) for number in part])}


def _fitted(chosen: Options, learnt_from: Sequence[View], seed: int) -> dict[str, Attack]:
    built = {name: attacks.get(name)(**options) for name, options in chosen.items()}
    for attack in built.values():
        attack.fit(learnt_from, seed)
    return built


def _scored(fitted: Mapping[str, Attack], view: View) -> Scores:
    return {name: attack.score(view) for name, attack in fitted.items()}


def _joined(parts: Sequence[Scores]) -> Scores:
    """The scores of several, in a row."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _side_by_side(works: Sequence[Callable[[], Any]], options: ComputeOptions) -> list[Any]:
    """What each of `works` returns, in their order; each may run in a process of its own."""
    with compute.naming_deaths("attacking"):
        done = dict(compute.in_pool(options, _numbered, list(enumerate(works))))
    return [done[number] for number in range(len(works))]


def _numbered(number: int, work: Callable[[], Any]) -> tuple[int, Any]:
    with threadpool_limits(1):  # the last digits of a product depend on how many threads share it
        return number, work()


def _reference(target: Evidence, shadows: Evidence, view: View) -> Models:
    """The attacker's shadows on the target's samples in `view`."""
    if not np.array_equal(target.ids, shadows.ids):
        raise ValueError(f"{target.path} and {shadows.path} hold different samples; extract again")
    return shadows.reference(np.searchsorted(shadows.ids, view.ids))


def numbers(scores: ScoreSet, classes: int, least: int) -> dict[str, AttackNumbers]:
    """Attack -> its numbers on the target, with thresholds from the shadows.

    least: false positives below which a TPR is not supported.
    """
    asked = scores.target.scored()
    learnt = {} if scores.shadows is None else scores.shadows.scored()
    return {
        name: measure.attack_numbers(asked[name], learnt.get(name), classes, least)
        for name in asked
    }


def with_joint_risk(scores: ScoreSet, classes: int) -> ScoreSet:
    """The scores with each target sample's risk by all attacks together; needs the shadows'."""
    if scores.shadows is None:
        raise ValueError("risks need the scores of the attacker's own models")
    joint = risks.joint_risk(scores.target.scored(), scores.shadows.scored(), classes)
    return dataclasses.replace(scores, joint=joint)


def canary_numbers(scores: ScoreSet, least: int) -> dict[str, Ranking] | None:
    """Attack -> AUC and TPRs on the canaries, which need no threshold; None without canaries."""
    planted = scores.canaries
    if planted is None:
        return None
    return {name: measure.ranking(s, planted.member, least) for name, s in planted.scores.items()}


@dataclasses.dataclass(frozen=True)
class Half:
    """What the attacker of partial knowledge knows in one round: (n,) bool, and the split's number.

    A split is a random half of the members and non-members; it and its complement are two rounds.
    """

    split: int
    known: np.ndarray


@dataclasses.dataclass(frozen=True)
class Round:
    """What was found in one round: scores of the samples asked about, of the known, of canaries."""

    half: Half
    asked: dict[str, Scored]
    learnt: dict[str, Scored]
    canaries: Scores | None


def partial(
    target: Evidence,
    chosen: Options,
    seed: int,
    splits: int,
    least: int,
    workers: ComputeOptions = HERE,
) -> tuple[ScoreSet, dict[str, AttackNumbers]]:
    """The attacker that knows half of the target's members and non-members: scores and numbers.

    Each of `splits` random halves serves both ways. A number is the mean over the 2 · splits, its
    limits the mean of theirs (each of half of the samples, so wider than need be), `sd` the
    standard deviation between them. Scores, from the first split: each sample's rank among those
    scored by the same fitted attack, which did not know it; and its risk. The same whatever the
    `workers`.
    """
    halves = _halves(target.membership[TARGET, target.rows()] == 1, seed, splits)
    works = [functools.partial(_round, target, half, chosen, seed) for half in halves]
    rounds: list[Round] = _side_by_side(works, workers)
    numbers_of = {
        name: measure.mean_numbers(
            [
                measure.attack_numbers(r.asked[name], r.learnt[name], target.classes, least)
                for r in rounds
            ]
        )
        for name in chosen
    }
    return _of_first_split(target, rounds[:2], chosen), numbers_of


def _halves(member: np.ndarray, seed: int, splits: int) -> list[Half]:
    """Both sides of each split, in order."""
    drawn = [
        random_half(member, np.random.default_rng([seed, 5, number])) for number in range(splits)
    ]
    return [Half(n, side) for n, half in enumerate(drawn) for side in (half, ~half)]


def _of_first_split(target: Evidence, rounds: Sequence[Round], chosen: Options) -> ScoreSet:
    """Every sample's rank and risk, each from the round that did not know it."""
    view = target.target
    ranks = {name: np.empty(len(view)) for name in chosen}
    risk, highest = np.empty(len(view)), np.empty(len(view))
    attack = np.empty(len(view), f"U{max(map(len, chosen))}")
    for each in rounds:
        asked = ~each.half.known
        for name, scored in each.asked.items():
            ranks[name][asked] = rankdata(scored.scores) / (len(scored.scores) + 1)
        joint = risks.joint_risk(each.asked, each.learnt, target.classes)
        risk[asked], highest[asked], attack[asked] = joint
    planted, scores = target.canaries, rounds[0].canaries
    return ScoreSet(
        target=_part([view], ranks),
        canaries=None if planted is None or scores is None else _part([planted], scores),
        joint=risks.Joint(risk, highest, attack),
    )


def _round(target: Evidence, half: Half, chosen: Options, seed: int) -> Round:
    """By attacks that know half of the target's samples: the others, those, the canaries.

    The known are scored by attacks that learned from one half of them only, the other half.
    """
    rows, known = target.rows(), half.known
    member = target.membership[TARGET, rows] == 1
    inner = random_half(member[known], np.random.default_rng([seed, 6, half.split]))
    views = [target.view(TARGET, part) for part in (rows[known][inner], rows[known][~inner])]
    of_known = _joined([_of_part(views, np.array([i]), chosen, seed)["shadows"] for i in (0, 1)])
    fitted = _fitted(chosen, [target.view(TARGET, rows[known])], seed)
    asking, canaries = target.view(TARGET, rows[~known]), target.canaries
    return Round(
        half=half,
        asked=_part([asking], _scored(fitted, asking)).scored(),
        learnt=_part(views, of_known).scored(),
        canaries=None if canaries is None or half.split > 0 else _scored(fitted, canaries),
    )


def reference_leak(target: Evidence) -> Leak | None:
    """Whether the reference set has leaked: it may, if the defense trains on it (PAST, Fig. 8).

    By the modified entropy between it and the non-members; None without a reference set.
    """
    view = target.inference
    if view is None:
        return None
    inside = _member(view)
    value = -view.of(statistics.log_modified_entropy)
    right = view.of(statistics.correct)[inside]
    auc = Number.of(rates.auc(value, inside))
    return Leak(auc=auc, acc=round(float(right.mean()), 6), samples=len(right))


def behaviour(view: View) -> Behaviour:
    """How the released answers do on members and non-members."""
    member = _member(view)
    loss = view.of(statistics.cross_entropy)
    right = view.of(statistics.correct)
    sides = {"train": member, "test": ~member}
    values: dict[str, float] = {}
    for name, side in sides.items():
        answers, labels = view.log_probs[side], view.labels[side]
        values |= {
            f"{name}_acc": right[side].mean(),
            f"{name}_loss_mean": loss[side].mean(),
            f"{name}_loss_var": loss[side].var(),
            f"{name}_brier": calibration.brier(answers, labels),
            f"{name}_ece": calibration.expected_calibration_error(answers, labels),
        }
    values["gap"] = right[member].mean() - right[~member].mean()
    values["balanced_test_acc"] = calibration.balanced_accuracy(
        view.log_probs[~member], view.labels[~member]
    )
    rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
    counts = {"members": int(member.sum()), "non_members": int((~member).sum())}
    return Behaviour.model_validate({**rounded, **counts})


def _member(view: View) -> np.ndarray:
    if view.member is None:
        raise ValueError("it must be known which samples the model was trained on")
    return np.asarray(view.member)
