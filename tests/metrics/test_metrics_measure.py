"""From scores to the numbers of a report: right, rounded, in no order, with reasons for gaps."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from nonmember.metrics import measure, rates, risk
from nonmember.metrics.epsilon import epsilon_lower_bound
from nonmember.metrics.one_run import one_run_bound
from nonmember.metrics.rates import Scored
from nonmember.metrics.report import AttackNumbers, ClassNumbers, Number
from nonmember.metrics.thresholds import fit_class_thresholds, fit_threshold

CLASSES = 4
RATES = [name for name in AttackNumbers.model_fields if name not in ("members", "non_members")]


def scored(seed: int, shift: float, n: int = 2000, digits: int = 9) -> Scored:
    """Normal scores, the members' mean `shift` higher; fewer digits make ties."""
    rng = np.random.default_rng(seed)
    member = np.arange(n) < n // 2
    scores = (rng.normal(size=n) + shift * member).round(digits)
    return Scored(scores, member, rng.integers(CLASSES, size=n))


def shuffled(s: Scored) -> Scored:
    order = np.random.default_rng(0).permutation(len(s.scores))
    return Scored(s.scores[order], s.member[order], s.labels[order])


def together(*parts: Scored) -> Scored:
    return Scored(
        *(np.concatenate([getattr(p, f) for p in parts]) for f in ("scores", "member", "labels"))
    )


def limits(number: Number) -> tuple[float, float, float]:
    assert number.value is not None
    assert number.low is not None
    assert number.high is not None
    return number.value, number.low, number.high


def test_an_attacks_numbers_are_json_and_right() -> None:
    shadows = together(scored(1, 1.0), scored(2, 1.0))
    found = measure.attack_numbers(scored(0, 1.0), shadows, CLASSES)
    text = json.dumps(found.model_dump(mode="json"), allow_nan=False)
    assert AttackNumbers.model_validate_json(text) == found
    assert found.auc.value == pytest.approx(0.76, abs=0.03)
    assert found.advantage.value == pytest.approx(0.383, abs=0.05)
    advantage, _, _ = limits(found.advantage)
    assert found.balanced_accuracy.value == pytest.approx((1 + advantage) / 2, abs=1e-6)
    for key in ("auc", "balanced_accuracy", "advantage", "class_advantage", "tpr_at_1_fpr"):
        value, low, high = limits(getattr(found, key))
        assert low < value < high
    for key, needed in (
        ("tpr_at_01_fpr", "0.1 % needs 10000"),
        ("tpr_at_001_fpr", "0.01 % needs 100000"),
    ):
        number = getattr(found, key)
        assert (number.value, number.low, number.high, number.sd) == (None, None, None, None)
        assert number.why == f"an FPR of {needed} non-members, there are 1000"
    assert (found.members, found.non_members) == (1000, 1000)


def test_an_attacks_numbers_are_those_of_rates_at_the_thresholds_of_the_shadows() -> None:
    target, shadow = scored(0, 1.0), scored(1, 1.0)
    found = measure.attack_numbers(target, shadow, CLASSES)
    threshold = fit_threshold(shadow.scores, shadow.member)
    by_class = fit_class_thresholds(shadow.scores, shadow.member, shadow.labels, CLASSES)
    one, many = (
        rates.deployed(target.scores, target.member, limit)
        for limit in (threshold, by_class[target.labels])
    )
    expected = {
        "auc": rates.auc(target.scores, target.member),
        "tpr_at_1_fpr": rates.tpr_at_fpr(target.scores, target.member, 0.01),
        "balanced_accuracy": one.balanced_accuracy,
        "advantage": one.advantage,
        "class_advantage": many.advantage,
    }
    for key, interval in expected.items():
        assert limits(getattr(found, key)) == tuple(round(float(v or 0), 6) for v in interval)


def test_numbers_of_a_reversed_leak_have_the_shadows_direction() -> None:
    found = measure.attack_numbers(scored(0, -1.0), scored(1, 1.0), CLASSES)
    assert limits(found.auc)[2] < 0.3
    assert limits(found.advantage)[2] < -0.2


def test_numbers_ignore_order_and_dtype() -> None:
    target, shadow = scored(0, 0.5, digits=1), scored(1, 0.5, digits=1)
    found = measure.attack_numbers(target, shadow, CLASSES)
    assert measure.attack_numbers(shuffled(target), shuffled(shadow), CLASSES) == found
    as_ints = [
        Scored((s.scores * 10).round().astype(np.int32), s.member.astype(np.int8), s.labels)
        for s in (target, shadow)
    ]
    assert measure.attack_numbers(as_ints[0], as_ints[1], CLASSES) == found


def test_without_shadows_there_are_no_deployed_numbers_but_a_reason() -> None:
    found = measure.attack_numbers(scored(0, 1.0), None, CLASSES)
    for number in (found.advantage, found.class_advantage, found.balanced_accuracy):
        assert (number.value, number.low, number.high) == (None, None, None)
        assert number.why == "no model of the attacker's to fit a threshold on"
    assert limits(found.auc)[0] > 0.7


@pytest.mark.parametrize(("which", "name"), [(0, "target scores"), (1, "shadow scores")])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_named(which: int, name: str, value: float) -> None:
    pair = [scored(0, 1.0), scored(1, 1.0)]
    pair[which].scores[7] = value
    with pytest.raises(ValueError, match=f"{name} must be finite: 1 of 2000.*position 7"):
        measure.attack_numbers(pair[0], pair[1], CLASSES)


def by_class(seed: int) -> Scored:
    """Two classes, each told apart perfectly at 0 or at 10, not by one threshold for both."""
    labels = np.arange(400) % 2
    member = np.arange(400) % 4 < 2
    noise = np.random.default_rng(seed).random(400)
    return Scored(10 * labels + np.where(member, noise, -noise), member, labels)


def test_class_advantage_is_that_of_a_threshold_a_class() -> None:
    found = measure.attack_numbers(by_class(0), by_class(1), 2)
    assert found.class_advantage.value == pytest.approx(1, abs=0.03)
    assert found.advantage.value == pytest.approx(0.5, abs=0.03)
    assert found.higher_advantage == found.class_advantage.value


def test_too_few_samples_of_a_class_leave_it_the_common_threshold() -> None:
    found = measure.attack_numbers(by_class(0), by_class(1), 2, min_class_samples=101)
    assert found.class_advantage == found.advantage
    assert limits(found.advantage)[0] < 0.6


def test_a_ranking_is_auc_and_the_low_rates() -> None:
    one = scored(0, 1.0, n=2000)
    found = measure.ranking(one.scores, one.member, 1)
    assert limits(found.auc) == pytest.approx(rates.auc(one.scores, one.member), abs=1e-6)
    for key, fpr in (("tpr_at_1_fpr", 0.01), ("tpr_at_01_fpr", 0.001)):
        expected = rates.tpr_at_fpr(one.scores, one.member, fpr, 1)
        assert limits(getattr(found, key)) == pytest.approx(expected, abs=1e-6)
    assert found.tpr_at_001_fpr.why == "an FPR of 0.01 % needs 10000 non-members, there are 1000"


@pytest.mark.parametrize("least", [1, 3, 7, 10])
def test_the_non_members_that_the_reason_asks_for_are_enough_and_one_fewer_are_not(
    least: int,
) -> None:
    member = np.arange(100 * least + 5) < 5
    scores = np.arange(float(len(member)))
    assert measure.ranking(scores, member, least).tpr_at_1_fpr.value is not None
    missing = measure.ranking(scores[:-1], member[:-1], least).tpr_at_1_fpr
    assert missing.why == (
        f"an FPR of 1 % needs {100 * least} non-members, there are {100 * least - 1}"
    )


def test_the_mean_over_splits_by_hand() -> None:
    parts = [measure.attack_numbers(scored(i, 1.0), scored(9, 1.0), CLASSES) for i in range(3)]
    found = measure.mean_numbers(parts)
    for key in ("auc", "balanced_accuracy", "advantage", "class_advantage", "tpr_at_1_fpr"):
        rows = [limits(getattr(part, key)) for part in parts]
        assert limits(getattr(found, key)) == pytest.approx(np.mean(rows, axis=0), abs=1e-6)
        sd = np.std([row[0] for row in rows], ddof=1)
        assert getattr(found, key).sd == pytest.approx(sd, abs=1e-6)
    assert (found.members, found.non_members) == (1000, 1000)


def test_the_mean_of_a_number_that_one_split_lacks_is_none_with_that_splits_reason() -> None:
    parts = [measure.attack_numbers(scored(i, 1.0), scored(9, 1.0), CLASSES) for i in range(3)]
    parts[1] = parts[1].model_copy(update={"auc": Number(value=None, why="of the second")})
    found = measure.mean_numbers(parts)
    assert found.auc == Number(value=None, why="of the second")
    assert found.tpr_at_01_fpr.why == parts[0].tpr_at_01_fpr.why
    assert found.advantage.value is not None


@pytest.mark.parametrize("shadows", [True, False])
def test_every_number_without_a_value_has_its_reason(shadows: bool) -> None:
    found = measure.attack_numbers(scored(0, 1.0, 20), scored(1, 1.0) if shadows else None, CLASSES)
    for part in (found, measure.mean_numbers([found, found])):
        numbers = {name: getattr(part, name) for name in RATES}
        assert all((number.value is None) == bool(number.why) for number in numbers.values())
        assert sum(number.value is None for number in numbers.values()) == (3 if shadows else 6)


def test_the_epsilon_bound_is_rounded_and_says_how_it_was_found() -> None:
    one = scored(0, 2.0)
    scores = {"blind": np.zeros(2000), "loss": one.scores}
    raw = epsilon_lower_bound(scores, one.member, 1e-5, 3)
    found = measure.epsilon_bound(scores, one.member, 1e-5, 3)
    assert found.epsilon == round(raw.epsilon, 6) > 0.5
    assert found.threshold == round(raw.threshold, 6)
    assert (found.attack, found.direction) == ("loss", raw.direction)
    assert (found.confidence, found.delta) == (0.95, 1e-5)


def test_a_bound_of_nothing_can_be_written() -> None:
    found = measure.epsilon_bound({"loss": np.zeros(300)}, np.arange(300) < 150, 1e-5, 0)
    assert found.epsilon == 0.0
    json.dumps(found.model_dump(), allow_nan=False)


def test_class_numbers_are_rounded_rows_of_per_class() -> None:
    one = scored(0, 1.0, n=400)
    found = measure.class_numbers(one.scores, one.member, one.labels, CLASSES + 1, 20)
    rows = risk.per_class(one.scores, one.member, one.labels, CLASSES + 1, 20)
    assert [row.label for row in found] == list(range(CLASSES + 1))
    for got, row in zip(found[:CLASSES], rows, strict=False):
        assert row.auc is not None
        assert limits(got.auc) == pytest.approx(row.auc, abs=1e-6)
        assert (got.members, got.non_members) == (row.members, row.non_members)
    empty = found[CLASSES]
    assert (empty.auc.value, empty.members, empty.non_members) == (None, 0, 0)
    assert empty.auc.why == "fewer than 20 members or non-members of the class"


def test_the_worst_classes_are_the_highest_supported_of_ties_the_lower_label() -> None:
    values = [0.7, None, 0.9, 0.7]
    rows = [
        ClassNumbers(
            label=label,
            auc=Number(value=value, why=None if value else "too few"),
            members=9,
            non_members=9,
        )
        for label, value in enumerate(values)
    ]
    assert [row.label for row in measure.worst_classes(rows)] == [2, 0, 3]
    assert [row.label for row in measure.worst_classes(rows, 2)] == [2, 0]


def test_reliability_is_rounded_rows_of_risks_own() -> None:
    rng = np.random.default_rng(0)
    values, member = rng.random(500) / 2, rng.random(500) < 0.4
    found, rows = measure.reliability(values, member), risk.reliability(values, member)
    assert len(found) == len(rows) == 5  # no sample above 1/2
    for got, row in zip(found, rows, strict=True):
        assert (got.low, got.high) == (row.low, row.high)
        assert math.isclose(got.risk, row.risk, abs_tol=1e-6)
        assert limits(got.share) == pytest.approx(row.share, abs=1e-6)
        assert (got.members, got.non_members) == (row.members, row.non_members)


def test_the_bound_of_one_run_is_rounded_and_says_how_it_was_found() -> None:
    one = scored(0, 2.0)
    raw = one_run_bound({"loss": one.scores}, one.member, 1e-5, 3)
    found = measure.one_run_bound({"loss": one.scores}, one.member, 1e-5, 3)
    assert found.epsilon == round(raw.epsilon, 6) > 0.5
    assert found.model_dump(exclude={"epsilon"}) == {
        key: value for key, value in raw._asdict().items() if key != "epsilon"
    }
