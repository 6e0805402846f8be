"""The rules between sections: each is asked when what it looks at is there, and only then."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest

from nonmember import rules
from nonmember.attacks import attacks
from nonmember.data.splits import SplitOptions
from nonmember.datasets import Outline
from nonmember.kinds import TABLE
from nonmember.params import AttackerOptions, ShadowOptions
from nonmember.rules import RULES, Setup
from nonmember.task import TrainOptions

NOTHING = Setup(
    **{field.name: None for field in dataclasses.fields(Setup) if field.name != "attacks"},
    attacks={},
)
ODD_HALVES = ShadowOptions(count=5, assignment="random_half")


def setup(**changes: Any) -> Setup:
    return dataclasses.replace(NOTHING, **changes)


def test_every_function_that_is_a_rule_is_in_the_list() -> None:
    written = [
        value
        for name, value in vars(rules).items()
        if inspect.isfunction(value)
        and value.__module__ == rules.__name__
        and not name.startswith("_")
        and get_type_hints(value)["return"] == list[str]
        and value is not rules.problems_between
    ]
    assert set(RULES) == set(written)
    assert len(RULES) == len(written)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_looks_at_attributes_of_the_setup_by_their_type(
    rule: Callable[..., list[str]],
) -> None:
    has = get_type_hints(Setup) | {"members": get_type_hints(vars(Setup)["members"].fget)["return"]}
    for name, wanted in get_type_hints(rule).items():
        if name != "return":
            assert has[name] in (wanted, wanted | None), name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_says_why_in_one_line(rule: Callable[..., list[str]]) -> None:
    assert rule.__doc__
    assert "\n" not in rule.__doc__


def test_where_nothing_is_known_nothing_is_asked() -> None:
    assert rules.problems_between(NOTHING) == []


def test_a_rule_is_asked_once_all_it_looks_at_is_there() -> None:
    part = setup(shadows=ODD_HALVES)
    assert [line.partition(" with")[0] for line in rules.problems_between(part)] == [
        "shadows.count: must be even"
    ]
    share = SplitOptions(scheme="crl", inference_share=0.2)
    both = setup(shadows=ODD_HALVES, split=share)
    assert {line.partition(":")[0] for line in rules.problems_between(both)} == {
        "shadows.count", "split.inference_share",
    }  # fmt: skip


def test_members_are_those_of_one_training_set() -> None:
    split = SplitOptions(scheme="crl", inference_share=0.25)
    assert setup(split=split, outline=Outline(400, 2, (3,), TABLE)).members == 75
    assert setup(split=split, outline=Outline(3, 2, (3,), TABLE)).members is None
    assert setup(split=split).members is None


def test_a_split_that_is_too_large_is_said_once() -> None:
    small = setup(
        split=SplitOptions(size=300),
        outline=Outline(1000, 2, (3,), TABLE),
        attacker=AttackerOptions(),
        train=TrainOptions(),
    )
    [line] = rules.problems_between(small)
    assert line.startswith("split.size: scheme past needs 6 sets of 300")


@pytest.mark.parametrize(("assignment", "least"), [("split", 3), ("random_half", 6)])
def test_under_random_half_an_attack_needs_twice_as_many_shadows(
    assignment: Any, least: int
) -> None:
    chosen = {"lira": attacks.get("lira")()}
    enough = ShadowOptions(count=least, assignment=assignment)
    assert rules.enough_shadows(chosen, enough) == []
    [line] = rules.enough_shadows(chosen, enough.model_copy(update={"count": least - 1}))
    assert line == f"shadows.count: attack lira needs at least {least}, found {least - 1}"


def test_attacks_share_a_query_and_the_first_says_how_it_is_made() -> None:
    chosen = {
        name: attacks.get(name)(noise_copies=copies)
        for name, copies in (("merlin", 7), ("boundary_noise", 8))
    }
    assert rules.asked_queries(chosen)["noise"]["noise_copies"] == 7
    assert rules.attacks_agree_on_queries(chosen) == [
        "attacks.noise_copies: merlin and boundary_noise ask the query noise with different "
        "values, 7 and 8"
    ]
