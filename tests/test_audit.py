"""Scores of known models are those of an attack that does not know them."""

from __future__ import annotations

import numpy as np
import pytest

from nonmember import audit, metrics
from nonmember.attacks import attacks
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


def test_the_risks_of_partial_knowledge_are_those_of_the_first_split(noise, monkeypatch):
    asked, joint_risk = [], audit.risks.joint_risk

    def record(target, shadows, classes):
        asked.append(len(target["loss"].scores))
        return joint_risk(target, shadows, classes)

    monkeypatch.setattr(audit.risks, "joint_risk", record)
    scores, _ = audit.partial(noise, {"loss": {}}, 0, 3, {"min_false_positives": 1})
    assert asked == [N // 2, N // 2]
    assert {"risk", "highest", "attack", "loss.target"} == set(scores)


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
