"""Risks of samples and classes: closed form, slow twins, calibration, ties, bad inputs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from nonmember.metrics import rates, risk
from nonmember.metrics.rates import Scored
from nonmember.metrics.risk import Bin

CLASSES = 4


def scored(seed: int, shift: float = 2.0, n: int = 4000, step: float = 3.0) -> Scored:
    """Normal scores, members `shift` higher, each class `step` above the one before; 30 % in."""
    rng = np.random.default_rng(seed)
    member, labels = rng.random(n) < 0.3, rng.integers(CLASSES, size=n)
    return Scored(rng.normal(size=n) + shift * member + step * labels, member, labels)


def risks(target: Scored, shadows: Scored, **options: int) -> np.ndarray:
    return risk.risk_scores(target.scores, target.labels, shadows, CLASSES, **options)


def test_gaussian_risk_is_the_closed_form() -> None:
    """log of the two densities' ratio: shift · (score − class mean) − shift² / 2."""
    target = scored(0)
    truth = expit(2 * (target.scores - 3 * target.labels) - 2)
    assert np.abs(risks(target, scored(1, n=200_000)) - truth).mean() < 0.02
    shared = risks(target, scored(1, n=200_000), min_class_samples=10**6)
    assert np.abs(shared - truth).mean() > 0.2  # one distribution for all classes knows less


def test_it_counts_shadow_scores_bin_by_bin() -> None:
    target, shadow = scored(0, n=50), scored(1, n=300)
    got = risks(target, shadow, bins=4, min_class_samples=10, min_bin_samples=20)
    for label in range(CLASSES):
        rows = shadow.labels == label
        known, member = shadow.scores[rows], shadow.member[rows]
        count = min(4, len(known) // 20)
        edges = [-np.inf, *(np.sort(known)[i * len(known) // count] for i in range(1, count))]
        for i in np.flatnonzero(target.labels == label):
            start = max(edge for edge in edges if edge <= target.scores[i])
            end = min((edge for edge in edges if edge > start), default=np.inf)
            here = (known >= start) & (known < end)
            inside, outside = (
                ((here & kind).sum() + 0.5) / (kind.sum() + count / 2) for kind in (member, ~member)
            )
            assert got[i] == pytest.approx(inside / (inside + outside))


def test_a_monotone_change_of_the_scores_changes_no_risk() -> None:
    target, shadow = scored(0), scored(1)
    bent = [Scored(np.exp(s.scores / 3), s.member, s.labels) for s in (target, shadow)]
    np.testing.assert_array_equal(risks(*bent), risks(target, shadow))


def test_right_and_wrong_alone_give_two_risks() -> None:
    """Scores of 0 and 1, as of the attack correctness: equal scores share a bin."""
    rng = np.random.default_rng(0)
    member = np.arange(2000) < 1000
    scores = (rng.random(2000) < np.where(member, 0.9, 0.6)).astype(float)
    one = Scored(scores, member, np.zeros(2000, int))
    got = risks(one, one)
    right = scores[member].sum(), scores[~member].sum()
    wrong = 1000 - right[0], 1000 - right[1]
    for value, (inside, outside) in ((1, right), (0, wrong)):
        expected = (inside + 0.5) / (inside + outside + 1)
        assert got[scores == value] == pytest.approx(expected)


def test_without_a_leak_the_risk_is_a_half_and_turned_round_it_is_mirrored() -> None:
    assert np.abs(risks(scored(0, 0.0), scored(1, 0.0, 100_000)) - 0.5).max() < 0.1
    target, shadow = scored(0), scored(1)
    turned = Scored(shadow.scores, ~shadow.member, shadow.labels)
    np.testing.assert_allclose(risks(target, turned), 1 - risks(target, shadow))


def test_a_class_with_too_few_shadow_samples_shares_the_others_distribution() -> None:
    target, shadow = scored(0), scored(1)
    few = Scored(shadow.scores, shadow.member & (shadow.labels != 2), shadow.labels)
    mixed = risks(target, few)
    shared = risks(target, few, min_class_samples=10**6)
    np.testing.assert_array_equal(mixed[target.labels == 2], shared[target.labels == 2])
    assert (mixed != shared)[target.labels != 2].mean() > 0.9


def covered(row: Bin) -> bool:
    _, low, high = row.share
    return low <= row.risk <= high


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_nine_in_ten_means_nine_in_ten(share: float) -> None:
    """Risks that are right lie in nearly all intervals, and doubled odds do not."""
    rng = np.random.default_rng(0)
    member = rng.random(40_000) < share
    right = expit(2 * (rng.normal(size=40_000) + 2 * member) - 2)
    rows = risk.reliability(right, member)
    assert sum(covered(row) for row in rows) >= 8
    wrong = 2 * right / (1 + right)
    rows = risk.reliability(wrong, member)
    assert sum(covered(row) for row in rows) <= 2


def test_shadows_give_risks_that_hold_on_the_target() -> None:
    target = scored(0, n=40_000)
    for row in risk.reliability(risks(target, scored(1, n=40_000)), target.member):
        assert row.share[0] == pytest.approx(row.risk, abs=0.05)


def test_reliability_by_hand() -> None:
    member = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0])
    values = np.array([0.95, 1.0, 0.05, 0.9, 0.0, 0.0, 0.05, 0.0, 0.0])
    low, high = risk.reliability(values, member)
    assert (low.low, low.high, low.members, low.non_members) == (0, 0.1, 1, 5)
    assert (high.low, high.high, high.members, high.non_members) == (0.9, 1, 2, 1)
    assert high.risk == pytest.approx(0.95)
    # A member counts as two non-members: 2 · 2 / (2 · 2 + 1).
    assert (low.share[0], high.share[0]) == pytest.approx((2 / 7, 4 / 5), abs=1e-6)
    assert high.share[1] < 0.8 < high.share[2]


def side(seed: int, attacks: int, n: int, shift: float = 0.0) -> dict[str, Scored]:
    """Scores of the same samples by several attacks, independent but for the membership."""
    rng = np.random.default_rng(seed)
    member, labels = rng.random(n) < 0.5, rng.integers(CLASSES, size=n)
    return {
        str(i): Scored(rng.normal(size=n) + shift * member, member, labels) for i in range(attacks)
    }


def test_the_joint_risk_of_one_attack_is_its_own() -> None:
    target, shadows = side(0, 1, 4000, 2.0), side(1, 1, 40_000, 2.0)
    joint = risk.joint_risk(target, shadows, CLASSES)
    alone = risks(target["0"], shadows["0"])
    np.testing.assert_array_equal(joint.highest, alone)
    assert set(joint.attack) == {"0"}
    assert np.abs(joint.risk - alone).mean() < 0.02


def test_a_handful_of_shadow_samples_has_a_joint_risk() -> None:
    """Two members, wherever they stand: whichever is asked, one of each kind is left."""
    for member in (np.arange(4) % 2 > 0, np.arange(10) % 5 == 0):
        n = len(member)
        few = {"0": Scored(np.arange(float(n)), member, np.zeros(n, int))}
        assert np.isfinite(risk.joint_risk(few, few, 1).risk).all()


def test_the_attack_named_is_the_one_with_the_highest_risk() -> None:
    target, shadows = side(0, 3, 500, 2.0), side(1, 3, 5000, 2.0)
    joint = risk.joint_risk(target, shadows, CLASSES)
    each = np.stack([risks(target[name], shadows[name]) for name in target])
    np.testing.assert_array_equal(joint.highest, each.max(axis=0))
    np.testing.assert_array_equal(joint.attack, each.argmax(axis=0).astype(str))


def test_without_a_leak_the_joint_risk_is_a_half_where_the_highest_is_above() -> None:
    joint = risk.joint_risk(side(0, 9, 10_000), side(1, 9, 30_000), CLASSES)
    assert joint.risk.mean() == pytest.approx(0.5, abs=0.01)
    assert joint.highest.mean() > 0.54
    # Shadows whose samples counted for themselves would look leaky: .07.
    assert np.abs(joint.risk - 0.5).mean() < 0.05


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_the_joint_risk_of_many_attacks_is_a_probability(shift: float) -> None:
    """The highest of nine is not."""
    target, shadows = side(0, 9, 10_000, shift), side(1, 9, 30_000, shift)
    joint = risk.joint_risk(target, shadows, CLASSES)
    member = target["0"].member

    def off(values: np.ndarray) -> float:
        rows = risk.reliability(values, member)
        many = [(row.risk - row.share[0], row.members + row.non_members) for row in rows]
        gaps, weights = np.abs([gap for gap, _ in many]), [count for _, count in many]
        return float(np.average(gaps, weights=weights))

    assert off(joint.risk) < 0.03
    assert off(joint.highest) > 0.15


def test_the_most_exposed_are_sorted_and_equal_ones_by_the_attacks_own_then_by_id() -> None:
    ids, values = np.array([7, 3, 5, 1, 0]), np.array([0.5, 0.9, 0.5, 0.1, 0.5])
    names = np.array(["x", "y", "z", "x", "y"])
    joint = risk.Joint(values, np.array([0.6, 0.9, 0.6, 0.1, 0.55]), names)
    rows = risk.most_exposed(ids, ids % 2, ids > 4, joint, count=4)
    assert [row.id for row in rows] == [3, 5, 7, 0]
    assert rows[1] == risk.Exposed(id=5, label=1, member=True, risk=0.5, attack="z")
    assert [type(value) for value in rows[1]] == [int, int, bool, float, str]  # fit for JSON


def test_per_class_is_each_class_alone() -> None:
    one = scored(0, n=400)
    rows = risk.per_class(one.scores, one.member, one.labels, CLASSES + 1)
    for label in range(CLASSES):
        mine = one.labels == label
        row = rows[label]
        assert (row.label, row.auc) == (label, rates.auc(one.scores[mine], one.member[mine]))
        assert (row.members, row.non_members) == (
            one.member[mine].sum(),
            (~one.member[mine]).sum(),
        )
    assert rows[CLASSES] == risk.OneClass(CLASSES, None, 0, 0)


def test_a_class_with_too_few_of_either_kind_has_no_auc() -> None:
    member = np.arange(30) % 3 > 0  # 20 members, 10 non-members of one class
    scores, labels = np.arange(30.0), np.zeros(30, int)
    for least, known in ((10, True), (11, False)):
        [row] = risk.per_class(scores, member, labels, 1, least)
        assert (row.auc is not None) == known
        assert (row.members, row.non_members) == (20, 10)


def test_bad_inputs() -> None:
    one = scored(0, n=100)
    nothing = Scored(np.empty(0), np.empty(0, bool), np.empty(0, int))
    with pytest.raises(ValueError, match="shadow scores need members and non-members, got 0 and 0"):
        risk.risk_scores(one.scores, one.labels, nothing, CLASSES)
    with pytest.raises(ValueError, match="shadow scores need members and non-members, got 100"):
        risks(one, Scored(one.scores, np.ones(100, bool), one.labels))
    with pytest.raises(ValueError, match="scores must be finite, got 100 that are not"):
        risks(Scored(one.scores * np.nan, one.member, one.labels), one)
    with pytest.raises(ValueError, match=r"labels must be \(100,\) in 0 … 1"):
        risk.risk_scores(one.scores, one.labels, one, 2)
    with pytest.raises(ValueError, match=r"risk must be in \[0, 1\], got .* to 1.5"):
        risk.reliability(np.where(one.member, 1.5, 0.5), one.member)
    with pytest.raises(ValueError, match="one attack or more, got none"):
        risk.joint_risk({}, {}, CLASSES)
