"""Views: what is computed once, what is built when asked for, what several models say."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import Mock

import numpy as np
import pytest

from nonmember import statistics, views
from nonmember.views import Chosen, Models, View


def view(seed: int, member: list[bool] | None = None) -> View:
    logits = np.random.default_rng(seed).normal(size=(3, 4)).astype(np.float32)
    known = None if member is None else np.array(member)
    return View(np.arange(3), np.array([2, 0, 1]), logits, member=known)


def test_views_are_frozen() -> None:
    with pytest.raises(AttributeError, match="labels"):
        view(0).labels = np.zeros(1)  # type: ignore[misc]


def test_log_odds_are_those_of_the_softmax_and_kept() -> None:
    one = view(0)
    p = np.exp(one.logits.astype(float))
    p = (p / p.sum(axis=1, keepdims=True))[np.arange(3), one.labels]
    np.testing.assert_allclose(one.log_odds, np.log(p / (1 - p)), rtol=1e-9)
    assert one.log_odds is one.log_odds
    assert one.log_probs is one.log_probs


def test_public_is_read_once_and_when_it_is_asked_for() -> None:
    read = Mock(return_value=view(1))
    one = View(np.zeros(1), np.zeros(1), np.zeros(1), read_public=read)
    read.assert_not_called()
    assert one.public is one.public
    read.assert_called_once_with()
    assert view(0).public is None


def test_chosen_views_are_built_when_they_are_indexed_and_not_kept() -> None:
    build = Mock(side_effect=view)
    chosen = Chosen(build, [7, 5, 9])
    assert len(chosen) == 3
    build.assert_not_called()
    np.testing.assert_array_equal(chosen[1].logits, view(5).logits)
    build.assert_called_once_with(5)
    assert [one.logits.tolist() for one in chosen[1:]] == [view(k).logits.tolist() for k in (5, 9)]
    assert chosen[0] is not chosen[0]
    with pytest.raises(IndexError):
        chosen[3]


def test_models_say_a_statistic_and_what_each_was_trained_on() -> None:
    views = [view(0, [True, False, True]), view(1, [False, False, True])]
    models = Models(views)
    slow = [[statistics.log_odds(v.log_probs, v.labels)[i] for i in range(3)] for v in views]
    np.testing.assert_array_equal(models.of_each(lambda v: v.log_odds), slow)
    np.testing.assert_array_equal(models.trained_on(), [v.member for v in views])
    assert (len(models), models[1], list(models)) == (2, views[1], views)


def test_a_statistic_needs_one_model_in_memory_at_a_time() -> None:
    alive = []

    def build(number: int) -> View:
        alive.append(number)
        return view(number)

    def statistic(one: View) -> np.ndarray:
        assert alive.pop() is not None
        assert not alive
        return one.log_odds

    assert Models(Chosen(build, range(4))).of_each(statistic).shape == (4, 3)


def test_models_must_say_what_they_were_trained_on() -> None:
    with pytest.raises(ValueError, match="must be known what each model was trained on"):
        Models([view(0, [True] * 3), view(1)]).trained_on()


@pytest.mark.parametrize("statistic", [statistics.log_odds, statistics.cross_entropy])
def test_a_large_view_is_asked_in_blocks_and_says_the_same(
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = view(0).of(statistic)
    monkeypatch.setattr(views, "BLOCK", 8)  # two of the three samples
    large = view(0)
    np.testing.assert_array_equal(large.of(statistic), whole)
    assert "log_probs" not in vars(large)  # never held together
