"""What every source of the registry promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from datasets_samples import Source
from pydantic import ValidationError

from nonmember.datasets import Arrays, datasets
from nonmember.kinds import BINARY, IMAGE, TABLE

NAMES = datasets.names()
READS_PATH = [name for name in NAMES if name not in ("shoppers", "digits")]
Make = Callable[[str], Source]


def load(name: str, made: Source) -> Arrays:
    path, options = made
    dataset = datasets.get(name)(**options)
    assert dataset.check(path) == []
    return dataset.load(path)


def test_all_sources_are_registered() -> None:
    wanted = ["cifar10", "cifar100", "csv", "digits", "image_folder", "npz", "shoppers", "svhn"]
    assert set(wanted) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_inputs_and_labels(name: str, source: Make) -> None:
    data = load(name, source(name))
    assert data.inputs.dtype in (np.uint8, np.float32)
    assert data.inputs.ndim == (4 if data.kind is IMAGE else 2)
    assert data.kind in (IMAGE, BINARY, TABLE)
    assert (data.kind is BINARY) == (set(np.unique(data.inputs)) == {0, 1})
    assert data.inputs.flags.c_contiguous
    assert np.isfinite(data.inputs).all()
    assert data.labels.dtype == np.int64
    assert data.labels.shape == data.inputs.shape[:1]
    assert np.unique(data.labels).tolist() == list(range(len(data.class_names)))
    assert len(set(data.class_names)) == len(data.class_names) >= 2
    assert data.source


@pytest.mark.parametrize("name", NAMES)
def test_normalisation_fits_the_inputs(name: str, source: Make) -> None:
    data = load(name, source(name))
    for numbers in (data.mean, data.std):
        assert all(type(number) is float for number in numbers)
        assert len(numbers) in (1, data.inputs.shape[1])
    assert min(data.std) > 0
    assert data.scale == (1 / 255 if data.inputs.ndim == 4 else 1)


@pytest.mark.parametrize("name", NAMES)
def test_two_loads_are_equal(name: str, source: Make) -> None:
    made = source(name)
    first, second = load(name, made), load(name, made)
    assert np.array_equal(first.inputs, second.inputs)
    assert np.array_equal(first.labels, second.labels)
    assert (first.class_names, first.mean, first.std) == (
        second.class_names,
        second.mean,
        second.std,
    )


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_not_constant_or_all_alike(name: str, source: Make) -> None:
    data = load(name, source(name))
    assert len(np.unique(data.inputs, axis=0)) > 0.9 * len(data.inputs)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_options_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="bogus"):
        datasets.get(name)(bogus=1)


def test_a_key_means_the_same_in_every_source() -> None:
    """Option keys share one flat mapping in params.yaml."""
    seen: dict[str, str] = {}
    for _, cls in datasets:
        for key, field in cls.Options.model_fields.items():
            assert seen.setdefault(key, repr(field)) == repr(field)
            assert field.description
    assert {"n", "data_seed", "resize", "grey", "label", "standardize"} <= set(seen)


@pytest.mark.parametrize("name", ["image_folder", "npz", "csv"])
def test_a_missing_path_is_found_by_check_and_load(name: str, tmp_path: Path) -> None:
    dataset, path = datasets.get(name)(), tmp_path / "absent"
    (problem,) = dataset.check(path)
    assert "dataset.path" in problem
    assert str(path) in problem
    with pytest.raises(FileNotFoundError, match=r"dataset\.path.*absent"):
        dataset.load(path)


@pytest.mark.parametrize("name", READS_PATH)
def test_a_path_of_the_wrong_kind(name: str, tmp_path: Path) -> None:
    dataset, path = datasets.get(name)(), tmp_path / "thing"
    if name in ("npz", "csv"):
        path.mkdir()
    else:
        path.write_text("")
    assert dataset.check(path)
    with pytest.raises(ValueError, match=r"dataset\.path.*thing"):
        dataset.load(path)
