"""Scores of known models are those of an attack that does not know them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from nonmember import audit
from nonmember.attacks import attacks
from nonmember.compute import ComputeOptions
from nonmember.evidence import Evidence
from nonmember.metrics import rates
from nonmember.pipeline import attack

N, CLASSES = 300, 4


def make_noise(folder, samples, classes=CLASSES):
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
        np.save(folder / f"{name}.npy", array)
    return Evidence(folder)


@pytest.fixture
def noise(tmp_path):
    return make_noise(tmp_path, N)


@pytest.fixture
def large(tmp_path):
    """Large enough for BLAS to share a product among threads."""
    return make_noise(tmp_path, 12_000, classes=50)


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
    assert rates.auc(scores["nn.shadows"], truth["member.shadows"]).value == 0.5


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
    handed, in_pool = [], audit.compute.in_pool

    def record(options, function, calls):
        handed.append((options, len(calls)))
        return in_pool(audit.HERE, function, calls)

    monkeypatch.setattr(audit.compute, "in_pool", record)
    audit.score(noise, noise, {"loss": {}}, 0, TWO)
    audit.partial(noise, {"loss": {}}, 0, 2, {"min_false_positives": 1}, TWO)
    assert handed == [(TWO, 4), (TWO, 4)]


def test_the_stage_uses_the_workers_of_params_on_the_cpu(tmp_path):
    """Of a GPU's machine too: no attack needs one."""
    text = "compute: {devices: ['cuda:0'], workers: 3, backend: loky}"
    (tmp_path / "params.yaml").write_text(text)
    assert attack.workers(tmp_path) == ComputeOptions(devices="cpu", workers=3, backend="loky")


def test_the_same_to_the_last_bit_whatever_the_threads(large):
    """In a process with two threads to use as in a worker, which has one."""
    code = (
        "import sys, numpy as np\n"
        "from nonmember import audit\n"
        "from nonmember.evidence import Evidence\n"
        "seen = Evidence(sys.argv[1])\n"
        "chosen = {'nn': {'nn_epochs': 1}, 'lira_learned': {}}\n"
        "np.savez(sys.argv[2], **audit.score(seen, seen, chosen, 0))\n"
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


def test_a_non_adaptive_attacker_compares_with_models_of_its_own(noise, tmp_path):
    """With the shadows it has, not with those that were trained like the target."""
    arrays = {path.stem: np.load(path) for path in noise.path.glob("*.npy")}
    own = tmp_path / "own"
    own.mkdir()
    for name, array in arrays.items():
        np.save(own / f"{name}.npy", 3 * array if name == "logits" else array)
    shadows = Evidence(own)
    lira = attacks.get("lira")()
    asked = replace(noise.target, reference=shadows.reference(noise.rows()))
    scores = audit.score(noise, shadows, {"lira": {}}, 0)["lira.target"]
    np.testing.assert_array_equal(scores, lira.score(asked))
    assert (scores != lira.score(noise.target)).any()


def test_a_worker_without_memory_is_reported_with_what_to_lower(noise, monkeypatch):
    def hungry(self, view):
        raise MemoryError

    monkeypatch.setattr(attacks.get("loss"), "score", hungry)
    with pytest.raises(RuntimeError, match=r"memory ran out while attacking .*compute\.workers"):
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
