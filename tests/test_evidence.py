"""The evidence folder: what is read, what is lazy, what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from nonmember import statistics
from nonmember.evidence import Chosen, Evidence, View, of_each, trained_on

MODELS, SAMPLES, CLASSES = 3, 8, 4


def make_arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    membership = np.full((MODELS, SAMPLES), -1, np.int8)
    membership[0, :4] = [1, 1, 0, 0]
    membership[1, 4:] = [1, 0, 1, 0]
    membership[2, 4:] = [0, 1, 1, 0]
    norm = rng.random((MODELS, SAMPLES)).astype(np.float32)
    norm[membership < 0] = np.nan
    return {
        "sample_ids": np.arange(100, 100 + SAMPLES),
        "labels": np.arange(SAMPLES) % CLASSES,
        "membership": membership,
        "logits": rng.normal(size=(MODELS, SAMPLES, CLASSES)).astype(np.float32),
        "grad_x_l2": norm,
        "noise": np.stack([norm, 2 * norm], axis=2),
    }


def write(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    return path


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return make_arrays()


def test_target_is_model_0_on_its_members_and_non_members(tmp_path, arrays):
    evidence = Evidence(write(tmp_path, arrays))
    target = evidence.target
    assert (evidence.classes, evidence.models, len(target)) == (CLASSES, MODELS, 4)
    assert target.ids.tolist() == [100, 101, 102, 103]
    assert target.labels.tolist() == [0, 1, 2, 3]
    assert target.member.tolist() == [True, True, False, False]
    np.testing.assert_array_equal(target.logits, arrays["logits"][0, :4])
    np.testing.assert_array_equal(target.signals["grad_x_l2"], arrays["grad_x_l2"][0, :4])
    np.testing.assert_array_equal(target.signals["noise"], arrays["noise"][0, :4])
    np.testing.assert_array_equal(target.log_probs, statistics.log_softmax(target.logits))
    assert target.log_probs is target.log_probs
    assert target.log_odds is target.log_odds
    with pytest.raises(ValueError, match="read-only"):  # several attacks' scores are these numbers
        target.log_odds[0] = 0


def test_shadows_are_the_other_models_on_their_own_samples(tmp_path, arrays):
    shadows = Evidence(write(tmp_path, arrays)).shadows
    assert len(shadows) == 2
    assert [s.member.tolist() for s in shadows] == [
        [True, False, True, False],
        [False, True, True, False],
    ]
    np.testing.assert_array_equal(shadows[1].logits, arrays["logits"][2, 4:])
    np.testing.assert_array_equal(shadows[-1].ids, shadows[1].ids)
    assert [len(s) for s in shadows[1:]] == [4]
    with pytest.raises(IndexError):
        shadows[2]


def test_shadows_read_one_model_when_asked(tmp_path, arrays, monkeypatch):
    read = []
    original = Evidence.view
    monkeypatch.setattr(
        Evidence, "view", lambda self, model, rows=None: read.append(model) or original(self, model)
    )
    shadows = iter(Evidence(write(tmp_path, arrays)).shadows)
    assert read == []
    next(shadows)
    assert read == [1]


def test_rows_choose_samples_and_hide_membership_where_it_is_undefined(tmp_path, arrays):
    evidence = Evidence(write(tmp_path, arrays))
    assert evidence.view(1, np.array([6, 5])).member.tolist() == [True, False]
    assert evidence.view(1, np.array([0, 5])).member is None


def test_reference_holds_the_other_shadows_on_the_same_rows(tmp_path, arrays):
    evidence = Evidence(write(tmp_path, arrays))
    target = evidence.target
    assert len(target.reference) == 2
    for k, view in enumerate(target.reference):
        np.testing.assert_array_equal(view.ids, target.ids)
        np.testing.assert_array_equal(view.logits, arrays["logits"][1 + k, :4])
        assert view.member.tolist() == [False] * 4  # −1: not trained on
        assert view.reference is None
    (other,) = evidence.shadows[0].reference
    np.testing.assert_array_equal(other.logits, arrays["logits"][2, 4:])
    assert other.member.tolist() == [False, True, True, False]


def test_a_view_keeps_no_file_open_and_survives_its_deletion(tmp_path, arrays):
    target = Evidence(write(tmp_path, arrays)).target
    arrays = (target.ids, target.labels, target.logits, target.member)
    for array in (*arrays, *target.signals.values()):
        assert not isinstance(array, np.memmap)


def test_it_goes_to_another_process_as_its_path(tmp_path, arrays, monkeypatch):
    """Not as its arrays, which may be larger than memory; from whatever folder it was opened in."""
    arrays["logits"] = np.repeat(arrays["logits"], 1000, axis=2)
    write(tmp_path, arrays)
    monkeypatch.chdir(tmp_path)
    evidence = Evidence(".")
    monkeypatch.chdir("/")
    data = pickle.dumps((evidence, evidence.shadows))
    assert len(data) < 1000 < arrays["logits"].nbytes
    there, shadows = pickle.loads(data)
    np.testing.assert_array_equal(there.target.logits, evidence.target.logits)
    np.testing.assert_array_equal(shadows[1].logits, evidence.shadows[1].logits)


def test_views_are_frozen():
    view = View(np.arange(1), np.arange(1), np.zeros((1, 2)))
    with pytest.raises(AttributeError, match="labels"):
        view.labels = np.zeros(1)


def test_a_missing_file_is_named(tmp_path, arrays):
    del arrays["labels"]
    with pytest.raises(FileNotFoundError, match=r"labels\.npy is missing; run the stage extract"):
        Evidence(write(tmp_path, arrays))


@pytest.mark.parametrize("kept", [0, 5, 200])
def test_a_file_cut_short_is_named(tmp_path, arrays, kept):
    """Empty, within its first bytes, within its numbers."""
    write(tmp_path, arrays)
    file = tmp_path / "logits.npy"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"logits\.npy is damaged .*run the stage extract"):
        Evidence(tmp_path)


def test_pickles_are_refused(tmp_path, arrays):
    write(tmp_path, arrays)
    (tmp_path / "labels.npy").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match="allow_pickle"):
        Evidence(tmp_path)


def change_labels(a):
    a["labels"][3] = CLASSES


def change_ids(a):
    a["sample_ids"][1] = a["sample_ids"][0]


def change_membership(a):
    a["membership"][0, 0] = 3


def drop_members(a):
    a["membership"][2, a["membership"][2] == 1] = 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(labels=a["labels"][:-1]), r"labels\.npy has 7 samples but sample_ids"),
        (lambda a: a.update(logits=a["logits"][:2]), r"logits\.npy has 2 models but membership"),
        (lambda a: a.update(grad_x_l2=a["grad_x_l2"][:, 1:]), r"grad_x_l2\.npy has 7 samples"),
        (lambda a: a.update(noise=a["noise"][:2]), r"noise\.npy has 2 models but membership"),
        (
            lambda a: a.update(noise=a["noise"][..., None]),
            r"noise\.npy must be \(models, samples\[, width\]\) float32, got \(3, 8, 2, 1\)",
        ),
        (
            lambda a: a.update(logits=a["logits"].astype(float)),
            r"logits\.npy must be .*float32, got",
        ),
        (
            lambda a: a.update(membership=a["membership"] > 0),
            r"membership\.npy must be .* int8, got",
        ),
        (
            lambda a: a.update(logits=a["logits"][0]),
            r"\(models, samples, classes\) float32, got \(8, 4\)",
        ),
        (change_labels, r"labels\.npy must be in 0 … 3 .*got 0 … 4"),
        (change_ids, r"sample_ids\.npy must not repeat an id"),
        (change_membership, r"membership\.npy must hold only 1, 0, 2 and -1"),
        (drop_members, r"membership\.npy: model 2 needs members"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, arrays, change, message):
    change(arrays)
    with pytest.raises(ValueError, match=message):
        Evidence(write(tmp_path, arrays))


def test_a_shadow_is_not_compared_with_its_complement(tmp_path):
    """Else the counts of models with and without a sample would tell its membership."""
    rng = np.random.default_rng(0)
    half = np.isin(np.arange(SAMPLES), rng.permutation(SAMPLES)[: SAMPLES // 2])
    other = np.arange(SAMPLES) % 2 == 0
    membership = np.stack([half, half, ~half, other, ~other]).astype(np.int8)
    arrays = make_arrays() | {
        "membership": membership,
        "logits": rng.normal(size=(5, SAMPLES, CLASSES)).astype(np.float32),
    }
    del arrays["grad_x_l2"], arrays["noise"]
    evidence = Evidence(write(tmp_path, arrays))
    for shadow, seen in ((1, [other, ~other]), (3, [half, ~half])):
        views = evidence.view(shadow).reference
        assert [view.member.tolist() for view in views] == [own.tolist() for own in seen]
    everyone = np.arange(SAMPLES)
    assert len(evidence.reference(everyone)) == 3  # without the target's own complement, shadow 2


def test_a_statistic_is_computed_once_a_model_and_equals_the_slow_way(tmp_path, arrays):
    """LiRA compares every shadow with all others: that must not read each as often."""
    calls = []

    def statistic(view: View) -> np.ndarray:
        calls.append(len(view))
        return statistics.log_odds(view.log_probs, view.labels)

    evidence = Evidence(write(tmp_path, arrays))
    for rows in (np.array([0, 5]), np.array([3, 2, 1])):
        views = evidence.reference(rows)
        slow = np.stack([statistics.log_odds(v.log_probs, v.labels) for v in views])
        np.testing.assert_array_equal(of_each(views, statistic), slow)
        np.testing.assert_array_equal(trained_on(views), [v.member for v in views])
    assert calls == [SAMPLES] * (MODELS - 1)
    plain = list(views)
    np.testing.assert_array_equal(of_each(plain, statistic), slow)
    np.testing.assert_array_equal(trained_on(plain), trained_on(views))


def test_chosen_views_are_read_when_they_are_asked_for(tmp_path, arrays):
    shadows = Evidence(write(tmp_path, arrays)).shadows
    chosen = Chosen(shadows.__getitem__, [1, 0])
    assert len(chosen) == 2
    assert [v.ids.tolist() for v in chosen] == [shadows[1].ids.tolist(), shadows[0].ids.tolist()]
    assert [v.member.tolist() for v in chosen[1:]] == [shadows[0].member.tolist()]
    assert chosen[0] is not chosen[0]  # none is kept


def test_a_shadow_and_its_complement_stay_together(tmp_path):
    """An attack fitted on one of them knows by heart what the other was trained on."""
    halves = np.random.default_rng(0).integers(0, 2, size=(4, 20))
    halves[:, :2] = 0, 1
    membership = [halves[3], *(row for half in halves[:3] for row in (half, 1 - half)), halves[3]]
    models = len(membership)
    arrays = {
        "sample_ids": np.arange(20),
        "labels": np.arange(20) % 2,
        "membership": np.array(membership, np.int8),
        "logits": np.zeros((models, 20, 2), np.float32),
    }
    evidence = Evidence(write(tmp_path, arrays))
    parts = [[part.tolist() for part in evidence.shadow_parts(count)] for count in (3, 9, 1)]
    assert parts == [
        [[0, 1, 2, 3], [4, 5], [6]],
        [[0, 1], [2, 3], [4, 5], [6]],
        [[0, 1, 2, 3, 4, 5, 6]],
    ]


def test_known_non_members_leave_out_the_targets_inference_set(tmp_path, arrays):
    """Under random_half nothing else is left: what the target has not, a shadow must not have."""
    arrays["membership"][0, 4:6] = 2
    arrays["membership"][1, 4] = -1
    evidence = Evidence(write(tmp_path, arrays))
    [public] = evidence.target.public
    assert public.ids.tolist() == [106, 107]
    [public] = evidence.shadows[0].public
    assert public.ids.tolist() == [100, 101, 102, 103]
    arrays["membership"][0, 6:] = 2
    arrays["membership"][1, :4] = 0
    evidence = Evidence(write(tmp_path, arrays))
    assert not evidence.target.public
    assert not evidence.shadows[0].public
