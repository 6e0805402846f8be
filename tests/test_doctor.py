"""The doctor finds nothing wrong with what is right, and every sabotage of what is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reports

from nonmember import doctor
from nonmember.attacks import attacks
from nonmember.data.prepared import Prepared
from nonmember.data.splits import Rows
from nonmember.doctor import Lab
from nonmember.evidence import Evidence
from nonmember.extraction import signals
from nonmember.metrics import measure, rates
from nonmember.metrics.intervals import Interval
from nonmember.metrics.rates import Scored
from nonmember.metrics.report import Attacker, AttackNumbers, Number
from nonmember.task import Task
from nonmember.training import train
from nonmember.training.train import Trained
from nonmember.views import View


@pytest.fixture(scope="module")
def found() -> list[doctor.Finding]:
    said: list[str] = []
    findings = []
    for finding in doctor.examine():
        findings.append(finding)
        said.append(finding.words)
    return findings


def test_all_is_well(found: list[doctor.Finding]) -> None:
    assert [finding for finding in found if not finding.well] == []


def test_every_attack_on_tables_meets_both_controls(found: list[doctor.Finding]) -> None:
    """`augmentation` asks about images; everything else is there."""
    names = set(attacks.names()) - {"augmentation"}
    for control in ("positive control", "null model"):
        assert {f.check.partition(", ")[2] for f in found if f.check.startswith(control)} == names


def test_defenses_of_the_answers_alone_are_told(found: list[doctor.Finding]) -> None:
    words = {f.check.partition(", ")[2]: f.words for f in found if f.check.startswith("hidden")}
    assert "hides its scores only" in words["memguard"]
    assert "hides its scores only" in words["hamp"]
    assert "hides its scores only" not in words["past"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab whose attacks are three, for sabotage."""
    lab = Lab(tmp_path_factory.mktemp("doctor"), random_labels=True)
    every = lab.attacks
    lab.attacks = lambda names=(): every(names or ("loss", "entropy", "grad_x_l2"))  # type: ignore[method-assign]
    return lab


@pytest.fixture(scope="module")
def known(lab: Lab) -> Evidence:
    return lab.extract("known", lab.tasks, lab.weights, lab.rows)


def failed(findings: Iterator[doctor.Finding]) -> dict[str, str]:
    return {finding.check: finding.words for finding in findings if not finding.well}


def test_a_score_that_points_the_wrong_way(
    lab: Lab, known: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = attacks.get("loss")
    right = loss.score
    monkeypatch.setattr(loss, "score", lambda self, view: -right(self, view))
    assert failed(doctor.positive_control(lab, known)) == {
        "positive control, loss": "AUC 0.000; its scores point the wrong way"
    }


def test_an_attack_that_finds_nothing(
    lab: Lab, known: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attacks.get("entropy"), "score", lambda self, view: 0.0 * view.ids)
    assert set(failed(doctor.positive_control(lab, known))) == {"positive control, entropy"}


def test_an_attack_that_looks_at_membership(
    lab: Lab, known: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    def peek(self: object, view: View) -> np.ndarray:
        return np.asarray(view.member, np.float64)

    monkeypatch.setattr(attacks.get("loss"), "score", peek)
    assert failed(doctor.null_model(lab, known)) == {
        "null model, loss": "its scores depend on who is a member"
    }


def test_intervals_that_are_too_short(
    lab: Lab, known: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rates.auc

    def short(scores: np.ndarray, member: np.ndarray) -> Interval:
        value, low, high = np.array(whole(scores, member), np.float64)
        return Interval(value, value - (value - low) / 3, value + (high - value) / 3)

    monkeypatch.setattr(rates, "auc", short)
    halves = np.array_split(np.random.default_rng(0).permutation(lab.rows[0].test), 2)
    strangers = Rows(np.sort(halves[0]), np.sort(halves[1]), np.empty(0, np.int64))
    null = lab.extract("null", lab.tasks, lab.weights, [strangers, *lab.rows[1:]])
    assert set(failed(doctor.null_model(lab, null))) == {
        f"null model, {name}" for name in ("loss", "entropy", "grad_x_l2")
    }


def test_a_net_scored_in_training_mode(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    import contextlib

    monkeypatch.setattr(signals, "_evaluating", lambda model: contextlib.nullcontext())
    assert not doctor.eval_mode(lab).well


def test_target_and_shadows_trained_differently(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlike(task: Task, data: Prepared) -> Trained:
        seed = task.seed + ("shadow" in task.name)
        return train.train(dataclasses.replace(task, seed=seed), data)

    assert doctor.same_training(lab).well
    monkeypatch.setattr(doctor, "train", unlike)
    assert not doctor.same_training(lab).well


def test_numbers_that_depend_on_the_order(known: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure.attack_numbers

    def first_fifty(target: Scored, *rest: Any) -> AttackNumbers:
        auc = Number(value=float(target.scores[:50].mean()))
        return whole(target, *rest).model_copy(update={"auc": auc})

    assert doctor.ties(known).well
    monkeypatch.setattr(measure, "attack_numbers", first_fifty)
    assert not doctor.ties(known).well


def test_duplicates_are_counted() -> None:
    inputs = np.array([[1, 2], [3, 4], [1, 2]])
    rows = Rows(np.array([0]), np.array([1, 2]), np.empty(0, np.int64))
    finding = doctor.duplicates(inputs, rows, "your run")
    assert (finding.well, finding.words[:1]) == (False, "1")


def numbers(auc: float) -> AttackNumbers:
    """Those of an attack with this AUC, known to 0.01."""
    return reports.numbers(auc=Number(value=auc, low=auc - 0.01, high=auc + 0.01))


def test_a_run_is_looked_at(tmp_path: Path) -> None:
    """Its defense is said to hide its scores where only labels and gradients tell."""
    for hard, words in ((0.6, "hides its scores only"), (0.53, "scores tell as much")):
        found = Attacker(attacks={"loss": numbers(0.52), "correctness": numbers(hard)})
        # What the other attacker finds does not count: it knows less.
        other = Attacker(attacks={"loss": numbers(0.9), "correctness": numbers(0.4)})
        report = reports.report(attackers={"adaptive": found, "non_adaptive": other})
        report.write(tmp_path / "metrics/defended/report.json")
        [finding] = doctor.of_run(tmp_path)
        assert finding.words.startswith(words)


def test_a_run_with_attacks_of_one_kind_only_is_not_judged(tmp_path: Path) -> None:
    report = reports.report(attackers={"adaptive": Attacker(attacks={"loss": numbers(0.52)})})
    report.write(tmp_path / "metrics/defended/report.json")
    assert list(doctor.of_run(tmp_path)) == []
    assert list(doctor.of_run(tmp_path / "nowhere")) == []


def test_one_failure_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [doctor.Finding(c, c != "b", "w", note=c == "c") for c in "abc"]
    monkeypatch.setattr(doctor, "examine", lambda folder: iter(findings))
    said: list[str] = []
    assert not doctor.run(None, said.append)
    assert said == ["ok   a: w", "FAIL b: w", "note c: w", "3 checks, 1 failed: b"]
