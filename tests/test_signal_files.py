"""The signals folder as files: what it holds, and what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from signal_arrays import CLASSES, make_arrays, write

from nonmember.signal_files import open_folder


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return make_arrays()


def test_what_is_there_is_opened_and_not_read(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    arrays |= {"inputs": np.zeros((8, 5), np.float32), "canary": np.arange(8) == 3}
    opened = open_folder(write(tmp_path, arrays))
    assert set(opened.signals) == {"grad_x_l2", "noise"}
    for array in (opened.logits, opened.inputs, *opened.signals.values()):
        assert isinstance(array, np.memmap)
    np.testing.assert_array_equal(opened.ids, arrays["sample_ids"])
    np.testing.assert_array_equal(opened.membership, arrays["membership"])
    assert opened.canary.tolist() == [False] * 3 + [True] + [False] * 4


def test_canaries_and_inputs_may_be_missing(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    opened = open_folder(write(tmp_path, arrays))
    assert opened.inputs is None
    assert not opened.canary.any()
    assert len(opened.canary) == 8


def test_a_missing_file_is_named(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    del arrays["labels"]
    with pytest.raises(FileNotFoundError, match=r"labels\.npy is missing; run the stage extract"):
        open_folder(write(tmp_path, arrays))


@pytest.mark.parametrize("kept", [0, 5, 200])
def test_a_file_cut_short_is_named(
    tmp_path: Path, arrays: dict[str, np.ndarray], kept: int
) -> None:
    """Empty, within its first bytes, within its numbers."""
    write(tmp_path, arrays)
    file = tmp_path / "logits.npy"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"logits\.npy is damaged .*run the stage extract"):
        open_folder(tmp_path)


def test_pickles_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    write(tmp_path, arrays)
    (tmp_path / "labels.npy").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match="allow_pickle"):
        open_folder(tmp_path)


def change_labels(a: dict[str, np.ndarray]) -> None:
    a["labels"][3] = CLASSES


def change_ids(a: dict[str, np.ndarray]) -> None:
    a["sample_ids"][1] = a["sample_ids"][0]


def change_membership(a: dict[str, np.ndarray]) -> None:
    a["membership"][0, 0] = 3


def drop_members(a: dict[str, np.ndarray]) -> None:
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
def test_files_that_do_not_fit_are_refused(
    tmp_path: Path,
    arrays: dict[str, np.ndarray],
    change: Callable[[dict[str, np.ndarray]], None],
    message: str,
) -> None:
    change(arrays)
    with pytest.raises(ValueError, match=message):
        open_folder(write(tmp_path, arrays))
