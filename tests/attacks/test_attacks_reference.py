"""Attacks that compare with other models: what they gain, their edges, missing reference models."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from typed import sure

from nonmember import statistics
from nonmember.attacks import attacks
from nonmember.attacks.lira_learned import LearnedLikelihoodRatio
from nonmember.metrics import rates
from nonmember.views import Models, View

N, CLASSES = 120, 5


def model(seed: int, share: float = 0.5, **more: Any) -> View:
    """Samples differ much in difficulty and every model a little; members gain 1.5 logits."""
    labels = np.random.default_rng(1).integers(CLASSES, size=N)
    hard = np.random.default_rng(2).normal(0, 3, size=N)
    rng = np.random.default_rng(seed)
    member = rng.random(N) < share
    logits = rng.normal(0, 0.3, (N, CLASSES)).astype(np.float32)
    logits[np.arange(N), labels] += hard + 1.5 * member
    return View(np.arange(N), labels, logits, {}, member, **more)


def target(count: int, share: float = 0.5) -> View:
    return model(0, reference=Models([model(10 + k, share) for k in range(count)]))


def table(
    view: View, statistic: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    values = np.stack([statistic(v.log_probs, v.labels) for v in sure(view.reference)])
    return values, np.stack([sure(v.member) for v in sure(view.reference)])


@pytest.mark.parametrize("name", ["lira", "rmia", "calibration"])
def test_it_beats_the_loss_where_samples_differ_in_difficulty(name: str) -> None:
    view = target(8)
    scores = [attacks.get(attack)().score(view) for attack in (name, "loss")]
    assert rates.delong_paired(scores[0], scores[1], sure(view.member)).low > 0.02


@pytest.mark.parametrize("name", ["lira", "rmia"])
def test_online_uses_the_models_with_the_sample(name: str) -> None:
    view, options = target(16), {f"{name}_mode": "online"}
    cls: Any = attacks.get(name)
    online = cls(**options).score(view)
    assert sure(rates.auc(online, sure(view.member)).value) > 0.95
    with pytest.raises(ValueError, match="no reference model was trained on any"):
        cls(**options).score(target(4, share=0.0))


def test_a_sample_every_model_was_trained_on_borrows_the_mean_of_the_others() -> None:
    view = target(12)
    for other in sure(view.reference):
        sure(other.member)[3] = True
    values, inside = table(view, statistics.cross_entropy)
    means = [values[~inside[:, i], i].mean() for i in range(N) if i != 3]
    loss = statistics.cross_entropy(view.log_probs, view.labels)
    score = attacks.get("calibration")().score(view)[3]
    assert score == pytest.approx(np.mean(means) - loss[3])
    assert np.isfinite(attacks.get("lira")().score(view)).all()


@pytest.mark.parametrize("name", ["lira", "rmia", "calibration"])
@pytest.mark.parametrize("reference", [None, Models([])])
def test_no_reference_model_is_an_error(name: str, reference: Any) -> None:
    with pytest.raises(ValueError, match=f"attack {name} .*no reference model; set shadows.count"):
        attacks.get(name)().score(model(0, reference=reference))


def test_lira_needs_two_models_for_a_variance() -> None:
    with pytest.raises(ValueError, match=r"lira needs two differing .*shadows\.count to 3 or more"):
        attacks.get("lira")().score(target(1, share=0.0))


def test_reference_models_must_say_what_they_trained_on() -> None:
    unknown = View(np.arange(N), model(1).labels, model(1).logits)
    with pytest.raises(ValueError, match="rmia must know what its reference models trained on"):
        attacks.get("rmia")().score(model(0, reference=Models([unknown])))


def lines(n: int, seed: int, slope: float, shift: float, others: int = 3) -> View:
    """Log-odds of members: slope · difficulty + shift; of non-members: difficulty. Little noise."""
    hard = np.random.default_rng(99).normal(0, 3, size=n)
    labels, rng = np.zeros(n, int), np.random.default_rng(seed)

    def one(member: np.ndarray, **more: Any) -> View:
        odds = np.where(member, slope * hard + shift, hard) + rng.normal(0, 1, size=n)
        logits = np.stack([odds, np.zeros(n)], axis=1)
        return View(np.arange(n), labels, logits.astype(np.float32), {}, member, **more)

    reference = Models([one(np.zeros(n, bool)) for _ in range(others)])
    return one(rng.random(n) < 0.5, reference=reference)


def test_learned_lira_finds_the_lines_and_their_likelihood_ratio() -> None:
    """A flat line for members, as of an overfit model: offline LiRA is misled, this one is not."""
    shadows, view = [lines(4000, seed, 0.25, 4.0) for seed in (1, 2)], lines(4000, 3, 0.25, 4.0)
    attack = LearnedLikelihoodRatio()
    attack.fit(shadows)
    inside, outside = attack._lines
    # The mean of three noisy models stands for the difficulty: slopes are 27/28 of the true ones.
    assert (inside.slope, inside.intercept) == pytest.approx((0.25 * 27 / 28, 4), abs=0.05)
    assert (outside.slope, outside.intercept) == pytest.approx((27 / 28, 0), abs=0.05)
    assert (inside.variance, outside.variance) == pytest.approx((1.02, 1.33), abs=0.08)
    odds = statistics.log_odds(view.log_probs, view.labels)
    mean = np.mean(
        [statistics.log_odds(v.log_probs, v.labels) for v in sure(view.reference)], axis=0
    )
    ratio = [
        stats.norm.logpdf(odds, line.slope * mean + line.intercept, line.variance**0.5)
        for line in (inside, outside)
    ]
    np.testing.assert_allclose(attack.score(view), ratio[0] - ratio[1], atol=1e-9)
    learned, offline = attack.score(view), attacks.get("lira")().score(view)
    assert sure(rates.delong_paired(learned, offline, sure(view.member)).low) > 0.03


def test_learned_lira_compares_with_models_that_did_not_see_the_sample() -> None:
    view = lines(200, 3, 1.0, 5.0)
    seen = sure(lines(200, 4, 1.0, 5.0).reference)[0]
    odd = View(seen.ids, seen.labels, seen.logits * 50, {}, np.ones(200, bool))
    more = dataclasses.replace(view, reference=Models([*sure(view.reference), odd]))
    attack = attacks.get("lira_learned")()
    attack.fit([view])
    np.testing.assert_allclose(attack.score(more), attack.score(view))
