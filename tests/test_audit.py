"""Scores of known models are those of an attack that does not know them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typed import sure

from nonmember import audit, compute
from nonmember.attacks import attacks
from nonmember.compute import ComputeOptions
from nonmember.evidence import Evidence
from nonmember.metrics import calibration, measure, rates, risk
from nonmember.metrics.report import Number
from nonmember.metrics.scores import ScoreSet
from nonmember.pipeline import attack
from nonmember.views import View

N, CLASSES = 300, 4


def make_noise(folder: Path, samples: int, classes: int = CLASSES) -> Evidence:
    """A target and four shadows that know nothing of their members."""
    rng = np.random.default_rng(0)
    member = np.stack([rng.permutation(samples) < samples // 2 for _ in range(5)])
    arrays = {
        "sample_ids": np.arange(samples),
        "labels": rng.integers(classes, size=samples),
        "membership": member.astype(np.int8),
        "logits": rng.normal(size=(5, samples, classes)).astype(np.float32),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", np.asarray(array))
    return Evidence(folder)


@pytest.fixture
def noise(tmp_path: Path) -> Evidence:
    return make_noise(tmp_path, N)


@pytest.fixture
def large(tmp_path: Path) -> Evidence:
    """Large enough for BLAS to share a product among threads."""
    return make_noise(tmp_path, 12_000, classes=50)


@pytest.fixture
def parrot(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attack that has memorised who was a member, model by model."""
    cls = attacks.get("nn")

    def fit(self: Any, known: Any, seed: int = 0) -> None:
        self.known = {view.logits.tobytes(): view.member for view in known}

    def score(self: Any, view: Any) -> Any:
        return np.asarray(self.known.get(view.logits.tobytes(), np.zeros(len(view))), np.float64)

    monkeypatch.setattr(cls, "fit", fit)
    monkeypatch.setattr(cls, "score", score)


def test_thresholds_do_not_rest_on_what_an_attack_was_fitted_to(
    noise: Evidence, parrot: None
) -> None:
    known = audit.score(noise, noise, {"nn": {}}, seed=0).shadows
    assert known is not None
    assert rates.auc(known.scores["nn"], known.member).value == 0.5


def test_shadows_are_scored_by_attacks_that_learned_from_two_thirds_of_them(
    noise: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fitted on a half only, their scores would be on another scale than the target's."""
    learned: list[int] = []
    monkeypatch.setattr(
        attacks.get("nn"), "fit", lambda _, known, seed=0: learned.append(len(known))
    )
    monkeypatch.setattr(attacks.get("nn"), "score", lambda _, view: np.zeros(len(view)))
    audit.score(noise, noise, {"nn": {}}, seed=0)
    assert learned == [4, 2, 3, 3]  # all four for the target, then without two, one and one


def test_partial_knowledge_scores_nobody_it_knows(noise: Evidence, parrot: None) -> None:
    scores, numbers = audit.partial(noise, {"nn": {}}, 0, 3, 1)
    assert numbers["nn"].auc.value == 0.5
    assert numbers["nn"].advantage.value == 0.0
    assert np.isfinite(scores.target.scores["nn"]).all()


def test_halves_of_partial_knowledge_are_on_one_scale(
    noise: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two fitted attacks may score on scales of their own; their ranks can be joined."""
    cls, number = attacks.get("nn"), iter(range(100))
    monkeypatch.setattr(
        cls, "fit", lambda self, known, seed=0: setattr(self, "shift", 1000 * next(number))
    )
    monkeypatch.setattr(cls, "score", lambda self, view: self.shift + view.ids.astype(float))
    scores, _ = audit.partial(noise, {"nn": {}}, 0, 1, 1)
    joined = scores.target.scores["nn"]
    assert 0 < joined.min() < 0.05
    assert 0.95 < joined.max() < 1
    assert np.corrcoef(joined, np.arange(N))[0, 1] > 0.99


def test_thresholds_of_partial_knowledge_are_fitted_to_the_right_samples(
    noise: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores that give membership away, in the order of the samples, leave nothing to guess."""
    monkeypatch.setattr(attacks.get("loss"), "score", lambda _, view: view.member.astype(float))
    _, numbers = audit.partial(noise, {"loss": {}}, 0, 2, 1)
    assert (numbers["loss"].advantage.value, numbers["loss"].auc.value) == (1.0, 1.0)


def test_canaries_are_scored_by_whoever_knows_the_first_half(
    noise: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(noise.path / "canary.npy", np.arange(N) < 20)
    cls, number = attacks.get("nn"), iter(range(100))
    monkeypatch.setattr(
        cls, "fit", lambda self, known, seed=0: setattr(self, "fit_number", next(number))
    )
    monkeypatch.setattr(cls, "score", lambda self, view: np.full(len(view), self.fit_number))
    scores, _ = audit.partial(Evidence(noise.path), {"nn": {}}, 0, 2, 1)
    assert scores.canaries is not None
    assert set(scores.canaries.scores["nn"]) == {2}  # after two on a half of the half each


def test_the_risks_of_partial_knowledge_are_those_of_the_first_split(
    noise: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, joint_risk = [], risk.joint_risk

    def record(target: Any, shadows: Any, classes: Any) -> Any:
        asked.append(len(target["loss"].scores))
        return joint_risk(target, shadows, classes)

    monkeypatch.setattr(risk, "joint_risk", record)
    scores, _ = audit.partial(noise, {"loss": {}}, 0, 3, 1)
    assert asked == [N // 2, N // 2]
    assert scores.joint is not None
    assert [len(values) for values in scores.joint] == [N, N, N]
    assert (scores.attacks, scores.shadows, scores.canaries) == (["loss"], None, None)


def arrays_of(scores: ScoreSet) -> dict[tuple[str, str], np.ndarray]:
    """Every array of the scores, by part and field or attack."""
    parts = {"target": scores.target, "shadows": scores.shadows, "canaries": scores.canaries}
    found = (
        {} if scores.joint is None else {("joint", k): v for k, v in scores.joint._asdict().items()}
    )
    for name, part in parts.items():
        if part is not None:
            truth = {"ids": part.ids, "member": part.member, "labels": part.labels}
            found |= {(name, field): values for field, values in {**truth, **part.scores}.items()}
    return found


TWO = ComputeOptions(devices="cpu", workers=2)


@pytest.mark.parametrize("way", ["shadows", "one shadow", "canaries", "half"])
def test_workers_find_what_one_process_finds(noise: Evidence, way: str) -> None:
    """Fitted on all of them, on parts, and on halves: every array, to the last bit."""
    if way == "one shadow":
        for name in ("membership", "logits"):
            np.save(noise.path / f"{name}.npy", np.load(noise.path / f"{name}.npy")[:2])
    if way == "canaries":
        np.save(noise.path / "canary.npy", np.arange(N) < 20)
    evidence = Evidence(noise.path)
    chosen = {"loss": {}, "lira": {}, "nn": {"nn_epochs": 2}}
    if way in ("one shadow", "half"):
        del chosen["lira"]  # which needs others
    if way == "half":
        here, numbers = audit.partial(evidence, chosen, 0, 2, 1)
        there, same_numbers = audit.partial(evidence, chosen, 0, 2, 1, TWO)
        assert numbers == same_numbers
    else:
        here = audit.score(evidence, evidence, chosen, 0)
        there = audit.score(evidence, evidence, chosen, 0, TWO)
        assert here.shadows is not None
        assert len(here.shadows.scores["nn"]) == len(here.shadows.member)
        assert (here.canaries is not None) == (way == "canaries")
    found, expected = arrays_of(there), arrays_of(here)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_array_equal(values, found[key])


def test_several_workers_share_the_work(noise: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or two cores would take as long as one: a unit for all shadows, one for each part."""
    handed, in_pool = [], compute.in_pool

    def record(options: Any, function: Any, calls: Any) -> Any:
        handed.append((options, len(calls)))
        return in_pool(audit.HERE, function, calls)

    monkeypatch.setattr(compute, "in_pool", record)
    audit.score(noise, noise, {"loss": {}}, 0, TWO)
    audit.partial(noise, {"loss": {}}, 0, 2, 1, TWO)
    assert handed == [(TWO, 4), (TWO, 4)]


def test_the_stage_uses_the_workers_of_params_on_the_cpu(tmp_path: Path) -> None:
    """Of a GPU's machine too: no attack needs one."""
    text = "compute: {devices: ['cuda:0'], workers: 3, backend: loky}"
    (tmp_path / "params.yaml").write_text(text)
    assert attack.workers(tmp_path) == ComputeOptions(devices="cpu", workers=3, backend="loky")


def test_the_same_to_the_last_bit_whatever_the_threads(large: Evidence) -> None:
    """In a process with two threads to use as in a worker, which has one."""
    code = (
        "import sys\n"
        "from nonmember import audit\n"
        "from nonmember.evidence import Evidence\n"
        "from nonmember.metrics import scores\n"
        "seen = Evidence(sys.argv[1])\n"
        "chosen = {'nn': {'nn_epochs': 1}, 'lira_learned': {}}\n"
        "scores.write(sys.argv[2], {'adaptive': audit.score(seen, seen, chosen, 0)})\n"
    )
    found = []
    for threads in ("1", "2"):
        env = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        out = large.path / f"threads{threads}.npz"
        subprocess.run([sys.executable, "-c", code, large.path, out], env=env, check=True)
        found.append(np.load(out))
    assert set(found[0]) == set(found[1])
    for key in found[0]:
        np.testing.assert_array_equal(found[0][key], found[1][key])


def test_a_non_adaptive_attacker_compares_with_models_of_its_own(
    noise: Evidence, tmp_path: Path
) -> None:
    """With the shadows it has, not with those that were trained like the target."""
    arrays = {path.stem: np.load(path) for path in noise.path.glob("*.npy")}
    own = tmp_path / "own"
    own.mkdir()
    for name, array in arrays.items():
        np.save(own / f"{name}.npy", 3 * array if name == "logits" else array)
    shadows = Evidence(own)
    lira = attacks.get("lira")()
    asked = replace(noise.target, reference=shadows.reference(noise.rows()))
    scores = audit.score(noise, shadows, {"lira": {}}, 0).target.scores["lira"]
    np.testing.assert_array_equal(scores, lira.score(asked))
    assert (scores != lira.score(noise.target)).any()


def test_a_worker_without_memory_is_reported_with_what_to_lower(
    noise: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry(self: Any, view: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(attacks.get("loss"), "score", hungry)
    with pytest.raises(RuntimeError, match=r"memory ran out while attacking .*compute\.workers"):
        audit.score(noise, noise, {"loss": {}}, 0)


def test_the_truth_beside_the_scores_is_that_of_the_views(noise: Evidence) -> None:
    np.save(noise.path / "canary.npy", np.arange(N) < 20)
    evidence = Evidence(noise.path)
    scores = audit.score(evidence, evidence, {"loss": {}}, 0)
    for part, views in (
        (scores.target, [evidence.target]),
        (sure(scores.shadows), list(evidence.shadows)),
        (sure(scores.canaries), [sure(evidence.canaries)]),
    ):
        for field in ("ids", "member", "labels"):
            expected = np.concatenate([getattr(view, field) for view in views])
            np.testing.assert_array_equal(getattr(part, field), expected)
        own = np.concatenate([attacks.get("loss")().score(view) for view in views])
        np.testing.assert_array_equal(part.scores["loss"], own)


def test_partial_scores_stand_beside_the_truth_of_the_target(noise: Evidence) -> None:
    scores, _ = audit.partial(noise, {"loss": {}}, 0, 1, 1)
    for field in ("ids", "member", "labels"):
        np.testing.assert_array_equal(getattr(scores.target, field), getattr(noise.target, field))


def test_partial_numbers_are_means_over_both_sides_of_every_split(
    noise: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measured AUCs are 0.1, 0.2, 0.3 and 0.4, each with its own limits."""
    attack_numbers, found = measure.attack_numbers, iter((0.1, 0.2, 0.3, 0.4))

    def numbered(*arguments: Any) -> Any:
        value = next(found)
        auc = Number(value=value, low=value / 2, high=2 * value)
        return attack_numbers(*arguments).model_copy(update={"auc": auc})

    monkeypatch.setattr(measure, "attack_numbers", numbered)
    _, numbers = audit.partial(noise, {"loss": {}}, 0, 2, 1)
    auc = numbers["loss"].auc
    assert (auc.value, auc.low, auc.high) == (0.25, 0.125, 0.5)
    assert auc.sd == pytest.approx(np.std([0.1, 0.2, 0.3, 0.4], ddof=1), abs=1e-6)
    assert (numbers["loss"].members, numbers["loss"].non_members) == (N // 4, N // 4)


def test_a_rate_of_a_half_that_is_not_supported_has_the_reason_of_that_half(
    noise: Evidence,
) -> None:
    _, numbers = audit.partial(noise, {"loss": {}}, 0, 1, 1)
    assert numbers["loss"].tpr_at_1_fpr.value is None
    assert numbers["loss"].tpr_at_1_fpr.why == "an FPR of 1 % needs 100 non-members, there are 75"


def test_numbers_are_those_of_the_target_at_the_shadows_thresholds(
    noise: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shadow that gives members away and a target that does not: AUC 0.5, advantage near 0."""
    monkeypatch.setattr(attacks.get("loss"), "score", lambda _, view: view.member.astype(float))
    scores = audit.score(noise, noise, {"loss": {}}, 0)
    found = audit.numbers(scores, CLASSES, 1)["loss"]
    assert (found.auc.value, found.advantage.value, found.class_advantage.value) == (1, 1, 1)
    assert (found.members, found.non_members) == (N // 2, N // 2)
    blind = replace(scores, target=replace(scores.target, scores={"loss": np.zeros(N)}))
    found = audit.numbers(blind, CLASSES, 1)["loss"]
    assert (found.auc.value, found.advantage.value, found.class_advantage.value) == (0.5, 0, 0)


def test_without_shadows_scores_have_no_deployed_numbers_and_no_risk(noise: Evidence) -> None:
    alone = replace(audit.score(noise, noise, {"loss": {}}, 0), shadows=None)
    found = audit.numbers(alone, CLASSES, 1)["loss"]
    assert found.auc.value is not None
    for number in (found.balanced_accuracy, found.advantage, found.class_advantage):
        assert number.why == "no model of the attacker's to fit a threshold on"
    with pytest.raises(ValueError, match="need the scores of the attacker's own models"):
        audit.with_joint_risk(alone, CLASSES)


def test_the_joint_risk_joins_the_scores_and_changes_none(noise: Evidence) -> None:
    scores = audit.score(noise, noise, {"loss": {}, "entropy": {}}, 0)
    assert scores.joint is None
    found = audit.with_joint_risk(scores, CLASSES)
    shadows = sure(scores.shadows).scored()
    expected = risk.joint_risk(scores.target.scored(), shadows, CLASSES)
    for values, right in zip(sure(found.joint), expected, strict=True):
        np.testing.assert_array_equal(values, right)
    assert found.target is scores.target


def test_canaries_have_the_numbers_of_a_ranking_and_without_them_there_are_none(
    noise: Evidence,
) -> None:
    assert audit.canary_numbers(audit.score(noise, noise, {"loss": {}}, 0), 1) is None
    np.save(noise.path / "canary.npy", np.arange(N) < 20)
    evidence = Evidence(noise.path)
    scores = audit.score(evidence, evidence, {"loss": {}}, 0)
    found = sure(audit.canary_numbers(scores, 1))["loss"]
    planted = sure(evidence.canaries)
    right = rates.auc(attacks.get("loss")().score(planted), sure(planted.member))
    assert tuple(found.auc.model_dump(include={"value", "low", "high"}).values()) == (
        pytest.approx(right, abs=1e-6)
    )
    assert "there are" in sure(found.tpr_at_1_fpr.why)


def test_a_leak_of_the_reference_set_is_measured_against_the_non_members(tmp_path: Path) -> None:
    """By hand: the model knows three of four reference samples better than any non-member."""
    knows = np.array([3, 3, 3, 0, 1, 1, 1, 2, 2], np.float32)  # logit of the true class
    arrays: dict[str, np.ndarray] = {
        "sample_ids": np.arange(9),
        "labels": np.zeros(9, np.int64),
        "membership": np.array([[2, 2, 2, 2, 0, 0, 0, 1, 1]], np.int8),
        "logits": np.stack([knows, np.full(9, 0.5, np.float32)], axis=1)[None],
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    leak = audit.reference_leak(Evidence(tmp_path))
    assert leak is not None
    assert (leak.auc.value, leak.acc, leak.samples) == (0.75, 0.75, 4)
    assert sure(leak.auc.low) < 0.75 < sure(leak.auc.high)


def test_without_a_reference_set_none_has_leaked(noise: Evidence) -> None:
    assert audit.reference_leak(noise) is None


def test_behaviour_by_hand() -> None:
    """Members answered with 0.9, non-members with 0.9, 0.8 and, wrongly, 0.6."""
    sure = np.array([0.9, 0.9, 0.9, 0.8, 0.4])
    labels = np.array([0, 1, 0, 0, 1])
    answers = np.where(np.arange(2) == labels[:, None], sure[:, None], 1 - sure[:, None])
    member = np.arange(5) < 2
    found = audit.behaviour(View(np.arange(5), labels, np.log(answers), {}, member))
    loss = -np.log(sure)
    assert (found.train_acc, found.test_acc) == (1.0, 0.666667)
    assert found.gap == pytest.approx(1 / 3, abs=1e-6)
    assert found.balanced_test_acc == 0.5  # class 0 always right, class 1 never
    for name, side in (("train", member), ("test", ~member)):
        assert getattr(found, f"{name}_loss_mean") == pytest.approx(loss[side].mean(), rel=1e-5)
        assert getattr(found, f"{name}_loss_var") == pytest.approx(loss[side].var(), rel=1e-5)
        brier = 2 * ((1 - sure[side]) ** 2).mean()
        assert getattr(found, f"{name}_brier") == pytest.approx(brier, rel=1e-5)
    assert found.train_ece == pytest.approx(0.1)
    # Confidences .9, .8 and .6 lie in bins of their own.
    assert found.test_ece == pytest.approx((0.1 + 0.2 + 0.6) / 3, rel=1e-5)
    assert (found.members, found.non_members) == (2, 3)


def test_the_calibration_of_behaviour_is_that_of_the_members_and_of_the_others(
    noise: Evidence,
) -> None:
    found, view = audit.behaviour(noise.target), noise.target
    for name, side in (("train", sure(view.member)), ("test", ~sure(view.member))):
        answers, labels = view.log_probs[side], view.labels[side]
        expected = {
            "brier": calibration.brier(answers, labels),
            "ece": calibration.expected_calibration_error(answers, labels),
        }
        for key, value in expected.items():
            assert getattr(found, f"{name}_{key}") == pytest.approx(value, rel=1e-5)


def test_behaviour_needs_to_know_who_was_a_member(noise: Evidence) -> None:
    with pytest.raises(ValueError, match="it must be known which samples"):
        audit.behaviour(replace(noise.target, member=None))
