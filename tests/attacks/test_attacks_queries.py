"""The attacks that ask more than once: which numbers they read, and what shadows teach them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import rankdata
from typed import sure

from nonmember.attacks import attacks
from nonmember.metrics import rates
from nonmember.views import View

LEVELS = 4


def view(signal: str, values: np.ndarray, member: np.ndarray | None) -> View:
    n = len(values)
    signals = {signal: values.astype(np.float32)}
    return View(np.arange(n), np.zeros(n, int), np.zeros((n, 2)), signals, member)


def noise(seed: int, best: tuple[int, int], n: int = 800) -> View:
    """Levels tell members nothing, but for one of each half, 1 … LEVELS."""
    rng = np.random.default_rng(seed)
    member = rng.random(n) < 0.5
    shares = rng.random((n, 2, LEVELS))
    for half, level in enumerate(best):
        shares[:, half, level - 1] = (shares[:, half, level - 1] + member) / 2
    return view("noise", shares.reshape(n, -1), member)


def rotations(seed: int, leak: float, n: int = 2000) -> View:
    """7 queries; of the third alone, members have log-odds higher by `leak`."""
    rng = np.random.default_rng(seed)
    member = rng.random(n) < 0.5
    odds = rng.normal(size=(n, 7))
    odds[:, 2] += leak * member
    return view("rotations", np.hstack([odds > 0, np.log1p(np.exp(-odds))]), member)


def build(name: str, options: dict[str, Any]) -> Any:
    return attacks.get(name)(**options)


@pytest.mark.parametrize(("name", "half"), [("boundary_noise", 0), ("merlin", 1)])
def test_the_level_is_chosen_on_the_shadows_only(name: str, half: int) -> None:
    """The target leaks at another level: it is scored at that of the shadows all the same."""
    attack = build(name, {"noise_levels": LEVELS})
    attack.fit([noise(seed, (2, 4)) for seed in (1, 2)])
    assert attack.level == (2, 4)[half]
    target = noise(3, (3, 1))
    shares = target.signals["noise"].reshape(-1, 2, LEVELS)
    np.testing.assert_array_equal(attack.score(target), shares[:, half, attack.level - 1])
    assert attack.level == (2, 4)[half]
    assert sure(rates.auc(attack.score(target), sure(target.member)).value) == pytest.approx(
        0.5, abs=0.06
    )
    assert (
        sure(rates.auc(attack.score(noise(4, (2, 4))), sure(noise(4, (2, 4)).member)).value) > 0.8
    )


def test_of_tied_levels_the_first_is_taken() -> None:
    member = np.array([True, False])
    attack = build("merlin", {"noise_levels": LEVELS})
    attack.fit([view("noise", np.repeat([[1.0], [0.0]], 2 * LEVELS, 1), member)])
    assert attack.level == 1


def test_a_level_that_leaks_the_wrong_way_is_not_chosen() -> None:
    """Members below non-members is an AUC of 0, not a find."""
    member = np.arange(100) % 2 == 0
    shares = np.zeros((100, 2 * LEVELS))
    shares[:, 1] = ~member
    attack = build("boundary_noise", {"noise_levels": LEVELS})
    attack.fit([view("noise", shares, member)])
    assert attack.level == 1


def test_shifts_score_is_the_share_itself() -> None:
    shares = np.array([[0.25], [1.0], [0.5]])
    attack = attacks.get("augmentation")()
    attack.fit([])
    np.testing.assert_array_equal(attack.score(view("shifts", shares, None)), [0.25, 1, 0.5])


@pytest.mark.parametrize("kind", ["correctness", "losses"])
def test_rotations_learn_which_query_tells(kind: str) -> None:
    attack = build("augmentation", {"augmentation_kind": "rotations", "augmentation_input": kind})
    attack.fit([rotations(seed, 3.0) for seed in (1, 2, 3)])
    target = rotations(9, 3.0)
    scores, odds = attack.score(target), target.signals["rotations"]
    alone = odds[:, 2] if kind == "correctness" else -odds[:, 9]
    best = sure(rates.auc(alone, sure(target.member)).value)
    assert sure(rates.auc(scores, sure(target.member)).value) == pytest.approx(best, abs=0.02)
    blind = attack.score(rotations(9, 0.0))
    assert sure(rates.auc(blind, sure(rotations(9, 0.0).member)).value) == pytest.approx(
        0.5, abs=0.04
    )
    turned = attack.score(rotations(9, -3.0))
    assert sure(rates.auc(turned, sure(rotations(9, -3.0).member)).value) < 0.3


def test_losses_reach_the_classifier_as_log_odds() -> None:
    """One query tells, the others are constant: the score orders like its log-odds, ties apart."""
    losses = np.array([1e-45, 1e-30, 1e-8, 0.7, 30.0, 2000.0])
    bits_and_losses = np.hstack([np.ones((6, 7)), np.ones((6, 6)), losses[:, None]])
    attack = build(
        "augmentation", {"augmentation_kind": "rotations", "augmentation_input": "losses"}
    )
    one = view("rotations", bits_and_losses, np.array([True] * 3 + [False] * 3))
    attack.fit([one])
    scores = attack.score(one)
    np.testing.assert_array_equal(rankdata(scores), rankdata(-losses))
    inside = attack._inputs(one)[2:5, 6]
    np.testing.assert_allclose(inside, logit(np.exp(-losses[2:5])), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["boundary_noise", "merlin"])
def test_other_levels_than_were_extracted_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"2 · attacks\.noise_levels = 20 numbers .*\(800, 8\)"):
        attacks.get(name)().fit([noise(1, (1, 1))])


def test_what_is_asked_depends_on_the_kind() -> None:
    assert attacks.get("augmentation")().queries() == {"shifts": {}}
    asked = attacks.get("augmentation")(augmentation_kind="rotations", augmentation_pixels=2)
    assert asked.queries() == {"rotations": {"augmentation_degrees": 4.0, "augmentation_pixels": 2}}
    assert attacks.get("merlin")().queries() == attacks.get("boundary_noise")().queries()
