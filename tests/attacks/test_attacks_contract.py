"""What every attack promises, over the registry."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from typed import sure

from nonmember.attacks import Attack, attacks
from nonmember.metrics import rates
from nonmember.queries import queries
from nonmember.settings import Settings
from nonmember.views import Models, View

NORMS = ("grad_x_l1", "grad_x_l2", "grad_w_l1", "grad_w_l2")
SHADOWS = 4
LEARNING: list[tuple[str, dict[str, Any]]] = [
    (name, {}) for name, attack in attacks if attack().learns
]
LEARNING += [("augmentation", {"augmentation_kind": "rotations"})]


def model(seed: int, labels: np.ndarray, leak: float, share: float = 0.5, **more: Any) -> View:
    """One model on samples of `labels`: members, a share of them, are known better by `leak`.

    With a negative leak the non-members are, by −leak logits.
    """
    rng = np.random.default_rng(seed)
    n, classes = len(labels), labels.max() + 1
    member = rng.permutation(n) < share * n
    logits = rng.normal(0, 1, (n, classes)).astype(np.float32)
    gain = abs(leak) * (member if leak > 0 else ~member)
    logits[np.arange(n), labels] += 1 + gain
    signals = {name: rng.exponential(np.exp(-gain)) for name in NORMS}
    shares = expit(rng.normal(gain[:, None], 1, (n, 21)))
    signals |= {"noise": shares[:, :20], "shifts": shares[:, 20:]}
    signals["rotations"] = np.repeat(gain[:, None], 14, axis=1)
    signals = {name: values.astype(np.float32) for name, values in signals.items()}
    inputs = rng.normal(size=(n, 3)).astype(np.float32)
    return View(np.arange(n), labels, logits, signals, member, inputs=inputs, **more)


def make_views(
    leak: float, shadow_leak: float | None = None, n: int = 600
) -> tuple[View, list[View]]:
    """A target and its shadows, all on the same samples, so that each can be a reference."""
    labels = np.random.default_rng(99).integers(5, size=n)
    shadows = [
        model(i, labels, leak if shadow_leak is None else shadow_leak) for i in range(SHADOWS)
    ]
    shadows = [
        dataclasses.replace(one, reference=Models([v for v in shadows if v is not one]))
        for one in shadows
    ]
    public = model(51, labels, leak, share=0)
    target = model(50, labels, leak, reference=Models(shadows), read_public=lambda: public)
    return target, shadows


def fitted_scores(name: str, target: View, shadows: list[View]) -> np.ndarray:
    attack = attacks.get(name)()
    attack.fit(shadows, seed=1)
    return attack.score(target)


@pytest.mark.parametrize("name", attacks.names())
def test_scores_are_finite_float64_one_a_sample_and_repeatable(name: str) -> None:
    target, shadows = make_views(3.0)
    scores = fitted_scores(name, target, shadows)
    assert scores.shape == (len(target),)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, fitted_scores(name, *make_views(3.0)))


@pytest.mark.parametrize("name", attacks.names())
def test_a_leak_scores_members_higher(name: str) -> None:
    target, shadows = make_views(3.0)
    assert sure(rates.auc(fitted_scores(name, target, shadows), sure(target.member)).low) > 0.6


@pytest.mark.parametrize("name", attacks.names())
def test_without_a_leak_the_auc_is_a_half(name: str) -> None:
    target, shadows = make_views(0.0, n=2000)
    value, low, high = rates.auc(fitted_scores(name, target, shadows), sure(target.member))
    assert sure(low) < 0.5 + 0.02
    assert sure(high) > 0.5 - 0.02
    assert value == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("name", attacks.names())
def test_a_reversed_leak_is_below_a_half(name: str) -> None:
    """The target does the opposite of what the attack expects: no attack may look at `member`."""
    target, shadows = make_views(-3.0, shadow_leak=3.0)
    assert sure(rates.auc(fitted_scores(name, target, shadows), sure(target.member)).high) < 0.4


@pytest.mark.parametrize("name", attacks.names())
def test_scores_do_not_depend_on_the_targets_membership_or_the_order(name: str) -> None:
    target, shadows = make_views(3.0)
    scores = fitted_scores(name, target, shadows)
    order = np.random.default_rng(0).permutation(len(target))

    def pick(view: View, **more: Any) -> View:
        signals = {k: v[order] for k, v in view.signals.items()}
        more |= {"inputs": sure(view.inputs)[order], "read_public": view.read_public}
        return View(view.ids[order], view.labels[order], view.logits[order], signals, **more)

    references = Models([pick(v, member=sure(v.member)[order]) for v in shadows])
    blind = fitted_scores(name, pick(target, reference=references), shadows)
    np.testing.assert_allclose(blind, scores[order], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", attacks.names())
def test_extreme_logits_stay_finite(name: str) -> None:
    target, shadows = make_views(3.0)
    extreme = dataclasses.replace(target, logits=target.logits * 2000)
    assert np.isfinite(fitted_scores(name, extreme, shadows)).all()


@pytest.mark.parametrize("name", attacks.names())
def test_what_is_checked_for_all_is_left_to_the_base(name: str) -> None:
    attack = attacks.get(name)
    assert (attack.fit, attack.score) == (Attack.fit, Attack.score)
    assert attack().name == name


@pytest.mark.parametrize(("name", "options"), LEARNING)
def test_an_attack_that_learns_must_be_fitted_before_it_scores(name: Any, options: Any) -> None:
    target, shadows = make_views(3.0, n=100)
    attack = attacks.get(name)(**options)
    message = f"attack {name} must be fitted on shadows before it scores"
    with pytest.raises(RuntimeError, match=message):
        attack.score(target)
    attack.fit(shadows)
    attack.score(target)
    with pytest.raises(ValueError, match=f"attack {name} needs a shadow to learn from, got 0"):
        attack.fit([])
    with pytest.raises(RuntimeError, match=message):  # what it learned before is not used
        attack.score(target)


@pytest.mark.parametrize(("name", "options"), LEARNING)
def test_an_attack_learns_only_where_membership_is_known(name: Any, options: Any) -> None:
    _, shadows = make_views(3.0, n=100)
    shadows[1] = dataclasses.replace(shadows[1], member=None)
    message = f"attack {name} learns from shadows whose membership is known: that of shadow 1"
    with pytest.raises(ValueError, match=message):
        attacks.get(name)(**options).fit(shadows)


@pytest.mark.parametrize("name", sorted(set(attacks.names()) - {name for name, _ in LEARNING[:-1]}))
def test_any_other_attack_needs_no_fit(name: str) -> None:
    target, _ = make_views(3.0)
    unfitted, fitted = attacks.get(name)(), attacks.get(name)()
    fitted.fit([])
    np.testing.assert_array_equal(unfitted.score(target), fitted.score(target))


class Scores(Attack):
    """Returns what it was made with."""

    def __init__(self, scores: np.ndarray) -> None:
        super().__init__()
        self.scores = scores

    def _score(self, view: View) -> np.ndarray:
        return self.scores


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((9, 1)), r"must score \(9,\) float64, got \(9, 1\) float64"),
        (np.zeros(8), r"must score \(9,\) float64, got \(8,\) float64"),
        (np.zeros(9, np.float32), r"must score \(9,\) float64, got \(9,\) float32"),
        (np.r_[np.zeros(7), np.inf, np.nan], "must be finite: 2 of 9 are not, .*sample 7"),
    ],
)
def test_scores_that_are_none_are_refused(scores: Any, message: str) -> None:
    view = model(0, np.arange(9) % 3, 0.0)
    with pytest.raises(ValueError, match=message):
        Scores(scores).score(view)
    np.testing.assert_array_equal(Scores(np.arange(9.0)).score(view), np.arange(9))


@pytest.mark.parametrize("name", attacks.names())
def test_options_are_settings_with_descriptions_and_known_keys_only(name: str) -> None:
    options = attacks.get(name).Options
    assert issubclass(options, Settings)
    assert all(field.description for field in options.model_fields.values())
    prefixes = (name.split("_")[0], *attacks.get(name)().queries())
    assert all(key.startswith(prefixes) for key in options.model_fields)
    with pytest.raises(ValueError, match="nonsense"):
        attacks.get(name)(nonsense=1)


def test_options_of_all_attacks_fit_into_one_mapping() -> None:
    """Attacks that have a key in common have the same class of options."""
    owner: dict[str, type[Settings]] = {}
    for _, attack in attacks:
        for key in attack.Options.model_fields:
            assert owner.setdefault(key, attack.Options) is attack.Options, key


def test_needs_name_known_signals() -> None:
    for _, attack in attacks:
        assert set(attack.needs) <= {"logits", "inputs", *NORMS}


@pytest.mark.parametrize("name", attacks.names())
def test_what_an_attack_asks_is_a_query_with_valid_options(name: str) -> None:
    for query, options in attacks.get(name)().queries().items():
        assert queries.get(query)(**options).width > 0
