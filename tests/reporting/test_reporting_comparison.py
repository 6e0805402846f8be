"""Rows of defenses: means over the seeds, dashes where a seed has none, paired tests, the csv."""

from __future__ import annotations

import pytest
import runs
from runs import attack_numbers, attackers, behaviour

from nonmember.metrics.report import AttackNumbers
from nonmember.reporting import comparison
from nonmember.reporting.comparison import FIELDS, HEAD, failed, gaps, point, records, row


def cells(*values: str) -> dict[str, str]:
    assert len(values) == len(HEAD)
    return dict(zip(HEAD, values, strict=True))


def test_a_row_of_one_seed_is_its_report() -> None:
    found = cells(*row("crl", [runs.report("defended")], [2.04]))
    assert found["defense"] == "crl"
    assert (found["train"], found["test"], found["gap"]) == ("100.0", "75.0", "25.0")
    assert (found["AUC nn"], found["AUC entropy"]) == ("61.1", "–")  # no such attack
    assert (found["AUC, max"], found["attack"]) == ("61.1", "nn")
    assert (found["adv. adaptive"], found["adv. non-adaptive"]) == ("25.0", "25.0")
    assert found["P1"] == "75.0"
    assert found["time"] == "2.0×"


def test_nobody_is_less_adaptive_than_the_controls_attacker() -> None:
    found = cells(*row("none", [runs.report("undefended")], [None]))
    assert (found["adv. non-adaptive"], found["time"]) == ("–", "–")


def test_a_row_of_several_seeds_is_their_mean() -> None:
    """What one seed does not support, the mean does not."""
    other = attackers(adaptive={"loss": attack_numbers(0.7, tpr_at_1_fpr=runs.UNSUPPORTED)})
    reports = [
        runs.report("defended", model=behaviour(0.7)),
        runs.report("defended", model=behaviour(0.8), attackers=other),
    ]
    found = cells(*row("crl", reports, [1.0, 2.0]))
    assert (found["test"], found["time"]) == ("75.0", "1.5×")
    assert found["AUC, max"] == "65.5"  # 61.1 and 70.0, rounded to even
    assert found["attack"] == "nn, loss"
    assert found["AUC nn"] == "–"
    assert found["TPR at 1 %, max"] == "–"


def test_a_row_that_failed_says_why_and_is_as_wide() -> None:
    found = cells(*failed("advreg", "needs a reference set"))
    assert list(found.values())[:2] == ["advreg", "needs a reference set"]
    assert set(list(found.values())[2:]) == {""}


def test_the_csv_has_a_line_an_attack_with_every_interval() -> None:
    lines = list(records("crl", 7, runs.report("defended")))
    assert [(line["attacker"], line["attack"]) for line in lines] == [
        ("adaptive", "loss"), ("adaptive", "nn"),
        ("non_adaptive", "loss"), ("non_adaptive", "nn"),
    ]  # fmt: skip
    for line in lines:
        assert set(line) == set(FIELDS)
        assert (line["defense"], line["seed"], line["train_loss_var"]) == ("crl", 7, 0.02)
        assert line["auc_low"] < line["auc"] < line["auc_high"]


def test_gaps_are_paired_tests_against_the_control() -> None:
    """The same gap at every seed is a gap beyond doubt; one that changes sign is none."""
    sure = [runs.report("defended", model=behaviour(test)) for test in (0.70, 0.741, 0.78)]
    control = [runs.report("undefended", model=behaviour(test)) for test in (0.75, 0.79, 0.83)]
    gap = gaps(sure, control)["test_acc"]
    assert gap["value"] == pytest.approx(-0.0497, abs=1e-4)
    assert gap["low"] < gap["value"] < gap["high"] < 0
    assert gap["p_lower"] < 0.01
    unsure = [runs.report("defended", model=behaviour(test)) for test in (0.70, 0.84, 0.83)]
    assert gaps(unsure, control)["test_acc"]["p_lower"] > 0.2
    assert set(gaps(sure, control)) == {"test_acc", "worst_auc"}


def test_a_point_of_the_picture_is_the_mean_with_its_interval() -> None:
    reports = [runs.report("defended", model=behaviour(test)) for test in (0.7, 0.8)]
    found = point("crl alpha_rce=0.6", "crl", reports)
    assert (found.name, found.family) == ("crl alpha_rce=0.6", "crl")
    assert found.test_acc == pytest.approx(0.75)
    assert (found.auc_low, found.auc, found.auc_high) == pytest.approx((0.601, 0.611, 0.621))
    assert found.loss_var == 0.02


def test_the_columns_that_no_list_has_are_named_once() -> None:
    assert len(set(HEAD)) == len(HEAD)
    assert len(set(FIELDS)) == len(FIELDS)
    assert set(comparison.NUMBERS) == set(AttackNumbers.model_fields) - {
        "members",
        "non_members",
    }
