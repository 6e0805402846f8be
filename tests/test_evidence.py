"""The evidence folder: what is read, what is lazy, what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from signal_arrays import CLASSES, MODELS, SAMPLES, make_arrays, write
from typed import sure

from nonmember import evidence as evidence_of
from nonmember import statistics
from nonmember.evidence import Evidence
from nonmember.views import View


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return make_arrays()


def test_target_is_model_0_on_its_members_and_non_members(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    evidence = Evidence(write(tmp_path, arrays))
    target = evidence.target
    assert (evidence.classes, evidence.models, len(target)) == (CLASSES, MODELS, 4)
    assert target.ids.tolist() == [100, 101, 102, 103]
    assert target.labels.tolist() == [0, 1, 2, 3]
    assert sure(target.member).tolist() == [True, True, False, False]
    np.testing.assert_array_equal(target.logits, arrays["logits"][0, :4])
    np.testing.assert_array_equal(target.signals["grad_x_l2"], arrays["grad_x_l2"][0, :4])
    np.testing.assert_array_equal(target.signals["noise"], arrays["noise"][0, :4])
    np.testing.assert_array_equal(target.log_probs, statistics.log_softmax(target.logits))
    assert target.log_probs is target.log_probs
    assert target.log_odds is target.log_odds
    with pytest.raises(ValueError, match="read-only"):  # several attacks' scores are these numbers
        target.log_odds[0] = 0


def test_shadows_are_the_other_models_on_their_own_samples(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    shadows = Evidence(write(tmp_path, arrays)).shadows
    assert len(shadows) == 2
    assert [sure(s.member).tolist() for s in shadows] == [
        [True, False, True, False],
        [False, True, True, False],
    ]
    np.testing.assert_array_equal(shadows[1].logits, arrays["logits"][2, 4:])
    np.testing.assert_array_equal(shadows[-1].ids, shadows[1].ids)
    assert [len(s) for s in shadows[1:]] == [4]
    with pytest.raises(IndexError):
        shadows[2]


def test_shadows_read_one_model_when_asked(
    tmp_path: Path, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = Evidence.view

    def record(self: Evidence, model: int, rows: np.ndarray | None = None) -> View:
        read.append(model)
        return original(self, model)

    monkeypatch.setattr(Evidence, "view", record)
    shadows = iter(Evidence(write(tmp_path, arrays)).shadows)
    assert read == []
    next(shadows)
    assert read == [1]


def test_rows_choose_samples_and_hide_membership_where_it_is_undefined(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    evidence = Evidence(write(tmp_path, arrays))
    assert sure(evidence.view(1, np.array([6, 5])).member).tolist() == [True, False]
    assert evidence.view(1, np.array([0, 5])).member is None


def test_reference_holds_the_other_shadows_on_the_same_rows(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    evidence = Evidence(write(tmp_path, arrays))
    target = evidence.target
    assert len(sure(target.reference)) == 2
    for k, view in enumerate(sure(target.reference)):
        np.testing.assert_array_equal(view.ids, target.ids)
        np.testing.assert_array_equal(view.logits, arrays["logits"][1 + k, :4])
        assert sure(view.member).tolist() == [False] * 4  # −1: not trained on
        assert view.reference is None
    (other,) = sure(evidence.shadows[0].reference)
    np.testing.assert_array_equal(other.logits, arrays["logits"][2, 4:])
    assert sure(other.member).tolist() == [False, True, True, False]


def test_a_view_keeps_no_file_open_and_survives_its_deletion(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    target = Evidence(write(tmp_path, arrays)).target
    read = (target.ids, target.labels, target.logits, sure(target.member))
    for array in (*read, *target.signals.values()):
        assert not isinstance(array, np.memmap)


def test_it_goes_to_another_process_as_its_path(
    tmp_path: Path, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_shadow_is_not_compared_with_its_complement(tmp_path: Path) -> None:
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
        views = sure(evidence.view(shadow).reference)
        assert [sure(view.member).tolist() for view in views] == [own.tolist() for own in seen]
    everyone = np.arange(SAMPLES)
    assert len(evidence.reference(everyone)) == 3  # without the target's own complement, shadow 2


def test_a_statistic_is_computed_once_a_model_and_equals_the_slow_way(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    """LiRA compares every shadow with all others: that must not read each as often."""
    calls = []

    def statistic(view: View) -> np.ndarray:
        calls.append(len(view))
        return statistics.log_odds(view.log_probs, view.labels)

    evidence = Evidence(write(tmp_path, arrays))
    for rows in (np.array([0, 5]), np.array([3, 2, 1])):
        views = evidence.reference(rows)
        slow = np.stack([statistics.log_odds(v.log_probs, v.labels) for v in views])
        np.testing.assert_array_equal(views.of_each(statistic), slow)
        np.testing.assert_array_equal(views.trained_on(), [v.member for v in views])
    assert calls == [SAMPLES] * (MODELS - 1)


def test_a_shadow_and_its_complement_stay_together(tmp_path: Path) -> None:
    """An attack fitted on one of them has memorised what the other was trained on."""
    halves = np.random.default_rng(0).integers(0, 2, size=(4, 20))
    halves[:, :2] = 0, 1
    membership = [halves[3], *(row for half in halves[:3] for row in (half, 1 - half)), halves[3]]
    models = len(membership)
    arrays: dict[str, np.ndarray] = {
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


def test_known_non_members_leave_out_the_targets_inference_set(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    """Under random_half nothing else is left: what the target has not, a shadow must not have."""
    arrays["membership"][0, 4:6] = 2
    arrays["membership"][1, 4] = -1
    evidence = Evidence(write(tmp_path, arrays))
    public = sure(evidence.target.public)
    assert public.ids.tolist() == [106, 107]
    assert not sure(public.member).any()
    public = sure(evidence.shadows[0].public)
    assert public.ids.tolist() == [100, 101, 102, 103]
    arrays["membership"][0, 6:] = 2
    arrays["membership"][1, :4] = 0
    evidence = Evidence(write(tmp_path, arrays))
    assert evidence.target.public is None
    assert evidence.shadows[0].public is None


def test_known_non_members_are_read_when_they_are_asked_for(
    tmp_path: Path, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = Evidence._read

    def record(self: Evidence, model: int, rows: np.ndarray, *more: Any, **named: Any) -> View:
        read.append(len(rows))
        return original(self, model, rows, *more, **named)

    monkeypatch.setattr(Evidence, "_read", record)
    target = Evidence(write(tmp_path, arrays)).target
    assert read == [4]
    assert target.public is target.public
    assert read == [4, 4]


def test_a_statistic_of_all_samples_is_the_same_in_blocks(
    tmp_path: Path, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path, arrays)

    def odds(view: View) -> np.ndarray:
        return view.log_odds

    whole = sure(Evidence(folder).target.reference).of_each(odds)
    monkeypatch.setattr(evidence_of, "BLOCK", 3 * CLASSES)
    np.testing.assert_array_equal(sure(Evidence(folder).target.reference).of_each(odds), whole)


def test_logits_are_read_again_from_where_they_lie(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    shadow = Evidence(write(tmp_path, arrays)).shadows[1]
    which = np.array([2, 0])
    np.testing.assert_array_equal(sure(shadow.read_logits)(which), shadow.logits[which])
