"""The few numbers of an arm: which attacker they are of, and what DVC can read of them."""

from __future__ import annotations

import pytest
import runs
from runs import attack_numbers, attackers, number

from nonmember.reporting.headline import headline, p1_of


def test_the_highest_auc_is_that_of_any_attacker() -> None:
    """A row's worst attack may be a non-adaptive one."""
    found = attackers(
        adaptive={"loss": attack_numbers(0.6)},
        non_adaptive={"lira": attack_numbers(0.7, class_advantage=number(0.3))},
    )
    report = runs.report("defended", attackers=found, model=runs.behaviour(0.8))
    values = headline(report)
    assert report.strongest[0] == ("non_adaptive", "lira")
    assert (values["worst_auc"], values["worst_auc_attack"]) == (0.7, "lira")
    assert values["worst_auc_attacker"] == "non_adaptive"
    assert values["worst_advantage"] == pytest.approx(0.3)
    assert values["p1"] == pytest.approx(2 * 0.8 * 0.7 / 1.5, abs=1e-6)


def test_an_adaptive_attacker_wins_a_tie() -> None:
    same = {"loss": attack_numbers(0.6)}
    report = runs.report("defended", attackers=attackers(non_adaptive=same, adaptive=same))
    assert headline(report)["worst_auc_attacker"] == "adaptive"


def test_p1_takes_no_profit_from_an_advantage_below_zero() -> None:
    """A threshold that accuses the wrong ones tells nothing: P1 is then 2 acc / (1 + acc)."""
    less = attack_numbers(0.5, advantage=number(-0.2), class_advantage=number(-0.1))
    report = runs.report("defended", attackers=attackers(adaptive={"loss": less}))
    assert report.highest_advantage == -0.1
    assert p1_of(report) == pytest.approx(2 * 0.75 / 1.75)


def test_it_is_flat_and_says_what_it_is_of() -> None:
    """DVC compares numbers and text, and nothing deeper."""
    report = runs.report("undefended")
    values = headline(report)
    assert all(isinstance(value, (int, float, str)) for value in values.values())
    assert values["stamp"] == report.stamp.key()
    assert (values["test_acc"], values["test_brier"], values["test_ece"]) == (0.8, 0.271, 0.042)
    assert (values["members"], values["non_members"]) == (500, 400)
