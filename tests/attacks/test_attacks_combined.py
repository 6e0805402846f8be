"""The attack combined: each of the things it looks at counts; it does without those that lack."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from typed import sure

from nonmember.attacks import Attack, attacks
from nonmember.attacks._view import class_means
from nonmember.attacks.combined import Combined
from nonmember.metrics import rates
from nonmember.views import Models, View

N, CLASSES = 3000, 6
LABELS = np.arange(N) % CLASSES


def model(
    seed: int,
    odds: np.ndarray,
    inputs: np.ndarray | None = None,
    others: np.ndarray | None = None,
    **more: Any,
) -> View:
    """Half of the samples are members. odds, others: (n,) added to non-members' and members'."""
    rng = np.random.default_rng(seed)
    n = len(odds)
    member = rng.permutation(n) < n // 2
    logits = np.zeros((n, CLASSES), np.float32)
    if others is not None:
        logits[:, :] = np.where(member[:, None], others, 0) + rng.normal(size=(n, CLASSES))
    logits[np.arange(n), LABELS[:n]] = odds + np.where(member, 1.0, 0.0) + rng.normal(0, 0.5, n)
    if inputs is None:
        inputs = np.zeros((n, 2), np.float32)
    return View(np.arange(n), LABELS[:n], logits, {}, member, inputs=inputs, **more)


def strength(target: View, shadows: Sequence[View], **options: Any) -> float:
    attack = attacks.get("combined")(**options)
    attack.fit(shadows, 0)
    return sure(rates.auc(attack.score(target), sure(target.member)).value)


def shifted(seed: int, public: bool = True) -> View:
    """Each model has its own level for each class, which says nothing of members."""
    level = np.random.default_rng(seed).normal(0, 5, CLASSES)[LABELS]
    known = model(seed + 100, level)
    known = dataclasses.replace(
        known, logits=known.logits - sure(known.member)[:, None] * np.eye(CLASSES)[LABELS]
    )
    return model(seed, level, read_public=(lambda: known) if public else None)


def test_it_looks_at_what_its_model_says_of_a_class() -> None:
    """A defense that moves whole classes does not hide members from it: other models know nothing
    of that, nor do the classes of the shadows."""
    with_levels = strength(shifted(1), [shifted(2), shifted(3)])
    without = strength(shifted(1, public=False), [shifted(2, False), shifted(3, False)])
    assert with_levels > without + 0.2
    assert with_levels > 0.85


def test_it_looks_at_other_models_and_at_typicality() -> None:
    """What is hard is told by either; without them members are lost among easy samples."""
    hard = np.random.default_rng(0).normal(0, 5, N)
    columns = np.column_stack([hard, np.zeros(N)]).astype(np.float32)

    def one(seed: int, inputs: bool, reference: bool) -> View:
        none = np.zeros(N, bool)
        others = [dataclasses.replace(model(seed + 50, hard), member=none)] if reference else []
        return model(seed, hard, columns if inputs else None, reference=Models(others))

    found = {
        (inputs, reference): strength(
            one(1, inputs, reference), [one(seed, inputs, reference) for seed in (2, 3)]
        )
        for inputs, reference in ((False, False), (True, False), (False, True))
    }
    assert found[False, False] < 0.6
    assert found[True, False] > 0.8
    assert found[False, True] > 0.75


def test_it_looks_at_the_other_classes() -> None:
    """Noise in an answer that leaves the true class alone is seen (MemGuard)."""
    wide = np.random.default_rng(0).normal(0, 3, (N, CLASSES))
    views = [model(seed, np.full(N, 9.0), others=wide) for seed in (1, 2, 3)]
    flat = [model(seed, np.full(N, 9.0), others=0 * wide) for seed in (1, 2, 3)]
    assert strength(views[0], views[1:]) > strength(flat[0], flat[1:]) + 0.05


def test_online_it_looks_at_models_with_the_sample() -> None:
    """A member is like the models that trained on it, whatever training on it did."""
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 3, N)
    effect = rng.normal(0, 3, N)  # of training on a sample: as often down as up

    def one(seed: int) -> View:
        view = model(seed, hard)
        logits = view.logits.copy()
        logits[np.arange(N), LABELS] += np.where(sure(view.member), effect, 0)
        return dataclasses.replace(view, logits=logits)

    online = [one(seed) for seed in range(10, 22)]
    shadows = [
        dataclasses.replace(v, reference=Models([u for u in online if u is not v])) for v in online
    ]
    target = dataclasses.replace(one(1), reference=Models(online))
    assert strength(target, shadows, combined_mode="online") == strength(target, shadows)
    assert strength(target, shadows) > strength(target, shadows, combined_mode="offline") + 0.05


def test_models_that_saw_the_sample_do_not_tell_how_hard_it_is() -> None:
    """Offline, whatever they say; where all of them saw it, nothing is said."""
    hard = np.random.default_rng(0).normal(0, 5, N)

    def one(seed: int, said: float) -> View:
        others = [model(seed * 10 + i, hard) for i in range(2)]
        shifted = [
            dataclasses.replace(
                v,
                logits=v.logits
                + np.float32(said) * sure(v.member)[:, None] * np.eye(CLASSES)[LABELS],
            )
            for v in others
        ]
        return model(seed, hard, reference=Models(shifted))

    def scores(said: float) -> np.ndarray:
        attack = attacks.get("combined")()
        attack.fit([one(2, said), one(3, said)], 0)
        return attack.score(one(1, said))

    np.testing.assert_array_equal(scores(0.0), scores(7.0))


def test_where_all_other_models_saw_the_sample_nothing_is_made_up() -> None:
    """No sample of the target is like that: the trees must not learn from an invented number."""
    others = [model(seed, np.zeros(N)) for seed in (5, 6)]
    told = Combined()._told(model(1, np.zeros(N), reference=Models(others)))
    all_saw_it = sure(others[0].member) & sure(others[1].member)
    np.testing.assert_array_equal(np.isnan(told["models without it"]), all_saw_it)


@pytest.mark.parametrize("column", [0, 1])
def test_both_numbers_of_typicality_count(column: int) -> None:
    hard = np.random.default_rng(0).normal(0, 5, N)
    inputs = np.zeros((N, 2), np.float32)
    inputs[:, column] = hard
    views = [model(seed, hard, inputs) for seed in (1, 2, 3)]
    assert strength(views[0], views[1:]) > 0.8


def test_it_learns_from_few_samples() -> None:
    few = [
        View(
            v.ids[:60],
            v.labels[:60],
            v.logits[:60],
            {},
            sure(v.member)[:60],
            inputs=sure(v.inputs)[:60],
        )
        for v in (model(seed, np.zeros(N)) for seed in (1, 2))
    ]
    assert strength(few[0], few[1:]) > 0.8


def test_what_only_one_side_has_is_left_out() -> None:
    """Shadows may have known non-members where the target has none, and the other way."""
    full, bare = shifted(1), shifted(1, public=False)
    shadows, plain = [shifted(2), shifted(3)], [shifted(2, False), shifted(3, False)]
    expected = strength(bare, plain)
    assert strength(bare, shadows) == expected
    assert strength(full, [shadows[0], plain[1]]) == expected
    assert strength(full, plain) == expected


def test_a_score_does_not_depend_on_who_else_is_asked_about() -> None:
    attack, view = attacks.get("combined")(), shifted(1)
    attack.fit([shifted(2)], 0)
    few = View(view.ids[:7], view.labels[:7], view.logits[:7], inputs=sure(view.inputs)[:7])
    few = dataclasses.replace(few, read_public=view.read_public)
    np.testing.assert_array_equal(attack.score(few), attack.score(view)[:7])


def test_class_means_are_pulled_to_the_overall_mean_as_by_one_sample() -> None:
    found = class_means(np.array([1.0, 3, 8]), np.array([0, 0, 1]), 3)
    np.testing.assert_allclose(found, [(1 + 3 + 4) / 3, (8 + 4) / 2, 4])


def test_one_shadow_is_enough() -> None:
    assert strength(shifted(1), [shifted(2)]) > 0.8


@pytest.mark.parametrize("leaves", [2, 8])
def test_one_tree_tells_no_more_apart_than_it_has_leaves(leaves: int) -> None:
    attack: Attack = attacks.get("combined")(combined_trees=1, combined_leaves=leaves)
    attack.fit([shifted(2)], 0)
    assert len(np.unique(attack.score(shifted(1)))) == leaves


def test_missing_inputs_are_named() -> None:
    attack, view = attacks.get("combined")(), shifted(1)
    with pytest.raises(ValueError, match="'inputs' was not extracted; the attack combined needs"):
        attack.fit([dataclasses.replace(view, inputs=None)])
