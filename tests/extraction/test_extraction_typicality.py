"""What samples look like: how typical by the other samples, in few numbers, always the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from nonmember.data import prepared
from nonmember.data.prepared import Prepared
from nonmember.extraction import typicality
from nonmember.signal_files import TYPICAL


def slow_typicality(inputs: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """One sample at a time, from the samples that are in other folds."""
    fold = np.random.default_rng(0).permutation(len(labels)) % 5
    found = []
    for i, own in enumerate(labels):
        seen = fold != fold[i]
        overall = inputs[seen].mean(axis=0)
        far = [
            np.square(
                inputs[i] - np.vstack([inputs[seen & (labels == c)], overall]).mean(axis=0)
            ).sum()
            for c in range(classes)
        ]
        found.append([far[own], far[own] - min(far[:own] + far[own + 1 :])])
    return np.array(found)


def flat(data: Prepared) -> np.ndarray:
    inputs, _ = data.take(np.arange(len(data.labels)))
    return data.normalise(inputs).flatten(1).numpy().astype(np.float64)


@pytest.mark.parametrize("shape", [(20,), (3, 5, 5)])
def test_typicality_is_that_of_an_obvious_loop(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = tiny.save(tmp_path, shape)
    ids = np.arange(len(data.labels))
    found = typicality.outlines(data, ids, data.labels)
    slow = slow_typicality(flat(data), data.labels, data.classes)
    np.testing.assert_allclose(found[:, :TYPICAL], slow, rtol=1e-4, atol=1e-3)


def test_the_labels_given_count_and_not_those_of_the_data(tmp_path: Path) -> None:
    """A canary looks like what it is: far from the class it is said to be of."""
    data = tiny.save(tmp_path, (20,))
    ids = np.arange(len(data.labels))
    wrong = (data.labels + 1) % data.classes
    found = typicality.outlines(data, ids, wrong)[:, :TYPICAL]
    np.testing.assert_allclose(
        found, slow_typicality(flat(data), wrong, data.classes), rtol=1e-4, atol=1e-3
    )


def test_a_class_nobody_is_of_leaves_all_numbers_finite(tmp_path: Path) -> None:
    data = tiny.save(tmp_path, (20,))
    ids = np.flatnonzero(data.labels != 1)
    assert np.isfinite(typicality.outlines(data, ids, data.labels[ids])).all()


def test_samples_in_hand_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny.save(tmp_path, (40,))
    ids = np.arange(len(data.labels))
    whole = typicality.outlines(data, ids, data.labels)
    monkeypatch.setattr(typicality, "_ROWS", 7)
    monkeypatch.setattr(typicality, "_NUMBERS", 3 * 40)
    np.testing.assert_allclose(typicality.outlines(data, ids, data.labels), whole, atol=1e-4)


def test_a_short_input_stays_as_it_is_and_a_long_one_becomes_components(tmp_path: Path) -> None:
    short, long = tiny.save(tmp_path / "a", (20,)), tiny.save(tmp_path / "b", (40,))
    ids = np.arange(len(short.labels))
    kept = typicality.outlines(short, ids, short.labels)[:, TYPICAL:]
    np.testing.assert_allclose(kept, flat(short), rtol=1e-6)
    components = typicality.outlines(long, ids, long.labels)[:, TYPICAL:]
    assert components.shape == (len(ids), typicality.COMPONENTS)
    apart = np.corrcoef(components, rowvar=False) - np.eye(typicality.COMPONENTS)
    np.testing.assert_allclose(apart, 0, atol=1e-3)


def test_of_very_long_inputs_some_numbers_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiny.save(tmp_path, (20,))
    ids = np.arange(len(data.labels))
    monkeypatch.setattr(typicality, "_FEATURES", 5)
    found = typicality.outlines(data, ids, data.labels)[:, :TYPICAL]
    few = flat(data)[:, np.random.default_rng(0).permutation(20)[:5]]
    np.testing.assert_allclose(
        found, slow_typicality(few, data.labels, data.classes), rtol=1e-4, atol=1e-3
    )


def test_outlines_are_the_same_with_one_thread_and_with_two(tmp_path: Path) -> None:
    """Threads of the linear algebra add up in another order; attacks that learn amplify it."""
    data = tiny.save(tmp_path, (600,), n=900)
    script = (
        "import sys; from pathlib import Path; from nonmember.data import prepared\n"
        "from nonmember.extraction import typicality\n"
        "import numpy; data = prepared.load(Path(sys.argv[1]))\n"
        "out = typicality.outlines(data, numpy.arange(600), data.labels[:600])\n"
        "numpy.save(sys.argv[2], out)"
    )
    found = []
    for threads in ("1", "2"):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        path = str(tmp_path / f"{threads}.npy")
        subprocess.run(
            [sys.executable, "-c", script, str(data.folder), path], check=True,
            env={**os.environ, **limits, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        found.append(np.load(path))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(("vocabulary", "width"), [(40, 40), (9000, 4096)])
def test_a_text_is_how_often_each_token_is_in_it(vocabulary: int, width: int) -> None:
    ids = np.array([[5, 5, 4101, 0], [0, 0, 0, 0], [3, 4096, 1, 3]])
    ids = np.where(ids < vocabulary, ids, 0)
    found = typicality.count_tokens(torch.from_numpy(ids), width)
    expected = np.zeros((3, width))
    for row, text in zip(expected, ids, strict=True):
        for token in text[text != 0]:
            row[token % width] += 1
    np.testing.assert_array_equal(found, expected)


def test_typicality_of_texts_is_that_of_their_counts(tmp_path: Path) -> None:
    prepared.save(tiny.tokens(), "tiny", tmp_path)
    data = prepared.load(tmp_path)
    ids = np.arange(len(data.labels))
    found = typicality.outlines(data, ids, data.labels)
    counts = typicality.count_tokens(data.take(ids)[0], 40).astype(np.float64)
    slow = slow_typicality(counts, data.labels, data.classes)
    assert found.shape == (144, TYPICAL + typicality.COMPONENTS)
    np.testing.assert_allclose(found[:, :TYPICAL], slow, rtol=1e-4, atol=1e-3)
