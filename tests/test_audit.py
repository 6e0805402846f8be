"""Scores of known models are those of an attack that does not know them."""

from __future__ import annotations

import numpy as np
import pytest

from nonmember import audit, metrics
from nonmember.attacks import attacks
from nonmember.compute import ComputeOptions
from nonmember.evidence import Evidence

N, CLASSES = 300, 4


@pytest.fixture
def noise(tmp_path):
    """A target and four shadows that know nothing of their members."""
    rng = np.random.default_rng(0)
    member = np.stack([rng.permutation(N) < N // 2 for _ in range(5)])
    arrays = {
        "sample_ids": np.arange(N),
        "labels": rng.integers(CLASSES, size=N),
        "membership": member.astype(np.int8),
        "logits": rng.normal(size=(5, N, CLASSES)).astype(np.float32),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    return Evidence(tmp_path)


@pytest.fixture
def parrot(monkeypatch):
    """An attack that has learned by heart who was a member, model by model."""
    cls = attacks.get("nn")

    def fit(self, known, seed=0):
        self.known = {view.logits.tobytes(): view.member for view in known}

    def score(self, view):
        return np.asarray(self.known.get(view.logits.tobytes(), np.zeros(len(view))), np.float64)

    monkeypatch.setattr(cls, "fit", fit)
    monkeypatch.setattr(cls, "score", score)


def test_thresholds_do_not_rest_on_what_an_attack_was_fitted_to(noise, parrot):
    scores = audit.score(noise, noise, {"nn": {}}, seed=0)
    truth = audit.truth(noise)
    assert metrics.auc(scores["nn.shadows"], truth["member.shadows"]).value == 0.5


def test_shadows_are_scored_by_attacks_that_learned_from_two_thirds_of_them(noise, monkeypatch):
    """Fitted on a half only, their scores would be on another scale than the target's."""
    learned: list[int] = []
    monkeypatch.setattr(
        attacks.get("nn"), "fit", lambda _, known, seed=0: learned.append(len(known))
    )
    monkeypatch.setattr(attacks.get("nn"), "score", lambda _, view: np.zeros(len(view)))
    audit.score(noise, noise, {"nn": {}}, seed=0)
    assert learned == [4, 2, 3, 3]  # all four for the target, then without two, one and one


def test_partial_knowledge_scores_nobody_it_knows(noise, parrot):
    scores, numbers = audit.partial(noise, {"nn": {}}, 0, 3, {"min_false_positives": 1})
    assert numbers["nn"]["auc"] == 0.5
    assert numbers["nn"]["advantage"] == 0.0
    assert np.isfinite(scores["nn.target"]).all()


def test_halves_of_partial_knowledge_are_on_one_scale(noise, monkeypatch):
    """Two fitted attacks may score on scales of their own; their ranks can be joined."""
    cls, number = attacks.get("nn"), iter(range(100))
    monkeypatch.setattr(
        cls, "fit", lambda self, known, seed=0: setattr(self, "shift", 1000 * next(number))
    )
    monkeypatch.setattr(cls, "score", lambda self, view: self.shift + view.ids.astype(float))
    scores, _ = audit.partial(noise, {"nn": {}}, 0, 1, {"min_false_positives": 1})
    joined = scores["nn.target"]
    assert 0 < joined.min() < 0.05
    assert 0.95 < joined.max() < 1
    assert np.corrcoef(joined, np.arange(N))[0, 1] > 0.99


def test_thresholds_of_partial_knowledge_are_fitted_to_the_right_samples(noise, monkeypatch):
    """Scores that give membership away, in the order of the samples, leave nothing to guess."""
    monkeypatch.setattr(attacks.get("loss"), "score", lambda _, view: view.member.astype(float))
    _, numbers = audit.partial(noise, {"loss": {}}, 0, 2, {"min_false_positives": 1})
    assert (numbers["loss"]["advantage"], numbers["loss"]["auc"]) == (1.0, 1.0)


def test_canaries_are_scored_by_whoever_knows_the_first_half(noise, monkeypatch):
    np.save(noise.path / "canary.npy", np.arange(N) < 20)
    cls, number = attacks.get("nn"), iter(range(100))
    monkeypatch.setattr(
        cls, "fit", lambda self, known, seed=0: setattr(self, "fit_number", next(number))
    )
    monkeypatch.setattr(cls, "score", lambda self, view: np.full(len(view), self.fit_number))
    scores, _ = audit.partial(Evidence(noise.path), {"nn": {}}, 0, 2, {"min_false_positives": 1})
    assert set(scores["nn.canaries"]) == {2}  # after two on a half of the half each


def test_the_risks_of_partial_knowledge_are_those_of_the_first_split(noise, monkeypatch):
    asked, joint_risk = [], audit.risks.joint_risk

    def record(target, shadows, classes):
        asked.append(len(target["loss"].scores))
        return joint_risk(target, shadows, classes)

    monkeypatch.setattr(audit.risks, "joint_risk", record)
    scores, _ = audit.partial(noise, {"loss": {}}, 0, 3, {"min_false_positives": 1})
    assert asked == [N // 2, N // 2]
    assert {"risk", "highest", "attack", "loss.target"} == set(scores)


TWO = ComputeOptions(devices="cpu", workers=2)


@pytest.mark.parametrize("way", ["shadows", "one shadow", "canaries", "half"])
def test_workers_find_what_one_process_finds(noise, way):
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
        options = {"min_false_positives": 1}
        here, numbers = audit.partial(evidence, chosen, 0, 2, options)
        there, same_numbers = audit.partial(evidence, chosen, 0, 2, options, TWO)
        assert numbers == same_numbers
    else:
        here = audit.score(evidence, evidence, chosen, 0)
        there = audit.score(evidence, evidence, chosen, 0, TWO)
        assert len(here["nn.shadows"]) == len(audit.truth(evidence)["member.shadows"])
        assert ("nn.canaries" in here) == (way == "canaries")
    assert here.keys() == there.keys()
    for key, values in here.items():
        np.testing.assert_array_equal(values, there[key])


def test_several_workers_share_the_work(noise, monkeypatch):
    """Or two cores would take as long as one: a unit for all shadows, one for each part."""
    handed, spread = [], audit.compute.spread

    def record(options, function, calls):
        handed.append(len(calls))
        return spread(options, function, calls)

    monkeypatch.setattr(audit.compute, "spread", record)
    audit.score(noise, noise, {"loss": {}}, 0)
    audit.partial(noise, {"loss": {}}, 0, 2, {"min_false_positives": 1})
    assert handed == [4, 4]


def test_a_worker_without_memory_is_reported_with_what_to_lower(noise, monkeypatch):
    def hungry(self, view):
        raise MemoryError

    monkeypatch.setattr(attacks.get("loss"), "score", hungry)
    with pytest.raises(RuntimeError, match=r"a worker died while attacking .*compute\.workers"):
        audit.score(noise, noise, {"loss": {}}, 0)


def test_truth_is_that_of_the_views(noise):
    truth, views = audit.truth(noise), list(noise.shadows)
    np.testing.assert_array_equal(truth["member.target"], noise.target.member)
    np.testing.assert_array_equal(
        truth["member.shadows"], np.concatenate([view.member for view in views])
    )
    np.testing.assert_array_equal(
        truth["labels.shadows"], np.concatenate([view.labels for view in views])
    )


def test_a_bound_of_nothing_can_be_written(noise):
    """A threshold that accuses all or none is no number of JSON."""
    half = np.full(N, 0.5)
    scores = {"loss.target": np.zeros(N), "risk": half, "highest": half, "attack": half}
    found = audit.exposure(scores, audit.truth(noise), CLASSES, 0, 1e-5)
    assert found["epsilon"]["epsilon"] == 0.0
    assert found["epsilon"]["threshold"] is None
