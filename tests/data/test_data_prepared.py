"""The prepared data set on disk, and how a model is fed from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nonmember import files
from nonmember.data import prepared
from nonmember.data.prepared import Normalise
from nonmember.datasets import Arrays
from nonmember.kinds import BINARY, IMAGE, TABLE


def images(seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    return Arrays(
        inputs=rng.integers(0, 256, (10, 3, 4, 5), dtype=np.uint8),
        labels=np.arange(10) % 2,
        class_names=["no", "yes"],
        mean=[0.1, 0.2, 0.3],
        std=[0.5, 0.25, 0.1],
        source="drawn",
        kind=IMAGE,
    )


def test_round_trip(tmp_path: Path) -> None:
    arrays = images()
    prepared.save(arrays, "toy", tmp_path)
    data = prepared.load(tmp_path)
    np.testing.assert_array_equal(data.inputs, arrays.inputs)
    np.testing.assert_array_equal(data.labels, arrays.labels)
    assert data.inputs.dtype == np.uint8
    assert data.labels.dtype == np.int64
    assert (data.name, data.classes, data.shape) == ("toy", 2, (3, 4, 5))
    assert data.normalise == Normalise((0.1, 0.2, 0.3), (0.5, 0.25, 0.1), IMAGE)
    meta = files.read_json(tmp_path / "dataset.json")
    assert meta["class_names"] == ["no", "yes"]
    assert meta["source"] == "drawn"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "dataset.json", "inputs.npy", "labels.npy",
    ]  # fmt: skip


def test_inputs_stay_on_disk_and_rows_are_copies(tmp_path: Path) -> None:
    prepared.save(images(), "toy", tmp_path)
    data = prepared.load(tmp_path)
    assert isinstance(data.inputs, np.memmap)
    rows = np.array([7, 2, 2])
    inputs, labels = data.take(rows)
    np.testing.assert_array_equal(inputs.numpy(), images().inputs[rows])
    assert labels.tolist() == [1, 0, 0]
    inputs.zero_()
    np.testing.assert_array_equal(data.inputs[7], images().inputs[7])
    assert [len(t) for t in data.take(np.empty(0, np.int64))] == [0, 0]


def test_layout_in_memory_does_not_matter(tmp_path: Path) -> None:
    """Channels-last pictures, seen as channels-first, and int32 labels give the same data."""
    plain, turned = images(), images()
    object.__setattr__(turned, "inputs", turned.inputs.transpose(0, 2, 3, 1).copy())
    object.__setattr__(turned, "inputs", turned.inputs.transpose(0, 3, 1, 2))
    object.__setattr__(turned, "labels", turned.labels.astype(np.int32))
    prepared.save(plain, "toy", tmp_path / "a")
    prepared.save(turned, "toy", tmp_path / "b")
    for name in ("inputs.npy", "labels.npy", "dataset.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("change", ["inputs", "labels", "mean", "std"])
def test_sha256_covers_all_that_a_training_sees(tmp_path: Path, change: str) -> None:
    prepared.save(images(), "toy", tmp_path / "a")
    other = images()
    value = np.asarray(getattr(other, change)).copy()
    value.flat[1] = value.flat[0]
    object.__setattr__(other, change, value.tolist() if change in ("mean", "std") else value)
    prepared.save(other, "toy", tmp_path / "b")
    assert prepared.load(tmp_path / "a").sha256 != prepared.load(tmp_path / "b").sha256


def test_sha256_covers_who_belongs_together(tmp_path: Path) -> None:
    """As many groups of other records are other splits, so other numbers."""
    plain = images()
    groups = np.arange(len(plain.labels)) // 2
    for name, own in (("a", groups), ("b", groups[::-1] % (groups.max() + 1))):
        other = images()
        object.__setattr__(other, "groups", own)
        prepared.save(other, "toy", tmp_path / name)
    prepared.save(plain, "toy", tmp_path / "none")
    assert len({prepared.load(tmp_path / name).sha256 for name in ("a", "b", "none")}) == 3


def test_sha256_ignores_the_names(tmp_path: Path) -> None:
    """The same numbers by another name train the same model."""
    for name in ("a", "b"):
        prepared.save(images(), name, tmp_path / name)
    assert prepared.load(tmp_path / "a").sha256 == prepared.load(tmp_path / "b").sha256


@pytest.mark.parametrize("name", ["inputs", "labels"])
def test_files_of_two_data_sets(tmp_path: Path, name: str) -> None:
    prepared.save(images(), "toy", tmp_path)
    files.write_array(tmp_path / f"{name}.npy", np.load(tmp_path / f"{name}.npy")[:-1])
    with pytest.raises(ValueError, match=r"inputs \(.*\) and labels \(.*\) do not match dataset"):
        prepared.load(tmp_path)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    prepared.save(images(), "toy", tmp_path)
    np.save(tmp_path / "labels.npy", np.array([{}] * 10, dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        prepared.load(tmp_path)


def test_normalise_images() -> None:
    """Bytes become 0–1, then (x − mean) / std for each channel."""
    raw = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1).expand(2, 3, 4, 5)
    out = Normalise((0.0, 0.1, 0.5), (1.0, 0.5, 0.25), IMAGE)(raw)
    assert out.dtype == torch.float32
    assert out.shape == (2, 3, 4, 5)
    torch.testing.assert_close(out[1, :, 2, 3], torch.tensor([0.0, 0.2, 2.0]))


def test_normalise_tables() -> None:
    """For each feature; bytes of a table are numbers, not colours."""
    raw = torch.tensor([[1, 200], [3, 100]], dtype=torch.uint8)
    out = Normalise((1.0, 100.0), (2.0, 50.0), TABLE)(raw)
    torch.testing.assert_close(out, torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
    torch.testing.assert_close(Normalise((1.0,), (2.0,), TABLE)(raw), (raw.float() - 1) / 2)


def test_float_images_are_not_scaled() -> None:
    raw = torch.full((1, 1, 2, 2), 0.75)
    torch.testing.assert_close(Normalise((0.5,), (0.25,), IMAGE)(raw), torch.ones(1, 1, 2, 2))


def test_neutral_normalisation() -> None:
    bits = torch.tensor([[0, 1]], dtype=torch.uint8)
    assert Normalise((0.0,), (1.0,), BINARY)(bits).tolist() == [[0.0, 1.0]]
    pixels = torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)
    assert Normalise((0.0,), (1.0,), IMAGE)(pixels).item() == 1.0


def test_normalise_keeps_the_input() -> None:
    raw = torch.ones(2, 3)
    Normalise((1.0,), (2.0,), TABLE)(raw)
    assert raw.eq(1).all()


def test_mean_zero_still_divides_by_the_deviation() -> None:
    x = torch.tensor([[2.0, 4.0]])
    assert Normalise((0.0,), (2.0,), TABLE)(x).tolist() == [[1.0, 2.0]]


def test_a_save_that_is_cut_off_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or models of the old data would be taken for models of the new."""
    prepared.save(images(), "toy", tmp_path)

    def cut(*_: object) -> None:
        raise RuntimeError("cut")

    monkeypatch.setattr(files, "write_json", cut)
    with pytest.raises(RuntimeError, match="cut"):
        prepared.save(images(1), "toy", tmp_path)
    with pytest.raises(FileNotFoundError):
        prepared.load(tmp_path)
