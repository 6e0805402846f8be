from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets_samples import image_folder, save_image
from PIL import Image

from nonmember.datasets.image_folder import ImageFolder


def fails(path: Path, match: str, found_by_check: bool = True, **options: Any) -> None:
    dataset = ImageFolder(**options)
    assert bool(dataset.check(path)) == found_by_check
    with pytest.raises(ValueError, match=match):
        dataset.load(path)


def test_pixels_labels_and_names(tmp_path: Path) -> None:
    data = ImageFolder().load(image_folder(tmp_path, ("bee", "ant")))
    assert data.inputs.shape == (6, 3, 4, 6)
    assert data.class_names == ["ant", "bee"]
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    last = np.asarray(Image.open(tmp_path / "bee" / "2.png"))
    assert np.array_equal(data.inputs[5], last.transpose(2, 0, 1))
    assert data.mean == pytest.approx((data.inputs / 255).mean((0, 2, 3)).tolist())


def test_other_files_are_ignored_and_folders_inside_classes_are_read(tmp_path: Path) -> None:
    image_folder(tmp_path)
    (tmp_path / ".gitignore").write_text("*")
    (tmp_path / "ant" / "notes.txt").write_text("x")
    save_image(tmp_path / ".cache" / "a.png")
    save_image(tmp_path / "ant" / ".cache" / "a.png")
    save_image(tmp_path / "ant" / "._0.png")
    save_image(tmp_path / "ant" / "more" / "A.BMP")
    data = ImageFolder().load(tmp_path)
    assert data.class_names == ["ant", "bee"]
    assert np.bincount(data.labels).tolist() == [4, 3]


def test_parts_are_pooled(tmp_path: Path) -> None:
    for part in ("train", "test", "val"):
        image_folder(tmp_path / part)
    save_image(tmp_path / "test" / "bee" / "9.png", seed=99)
    data = ImageFolder().load(tmp_path)
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1] * 2 + [0, 0, 0, 1, 1, 1, 1]
    assert data.class_names == ["ant", "bee"]
    test_image = np.asarray(Image.open(tmp_path / "test" / "bee" / "9.png"))
    assert np.array_equal(data.inputs[-1], test_image.transpose(2, 0, 1))


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    data = ImageFolder().load(image_folder(tmp_path, ("test", "train")))
    assert data.class_names == ["test", "train"]


def test_grey(tmp_path: Path) -> None:
    image_folder(tmp_path)
    save_image(tmp_path / "ant" / "0.png", mode="L")
    grey, colour = (ImageFolder(grey=on).load(tmp_path) for on in (True, False))
    assert grey.inputs.shape == (6, 1, 4, 6)
    assert len(grey.mean) == 1
    assert np.array_equal(colour.inputs[0], grey.inputs[0].repeat(3, axis=0))


def test_resize_makes_one_size(tmp_path: Path) -> None:
    image_folder(tmp_path)
    big = save_image(tmp_path / "bee" / "0.png", size=(10, 8))
    fails(tmp_path, r"ant/0\.png is 6×4, .*bee/0\.png is 10×8.*dataset\.resize", False)
    data = ImageFolder(resize=5).load(tmp_path)
    assert data.inputs.shape == (6, 3, 5, 5)
    with Image.open(big) as image:
        small = np.asarray(image.resize((5, 5), Image.Resampling.BILINEAR))
    assert np.array_equal(data.inputs[3], small.transpose(2, 0, 1))


def test_a_corrupt_image_is_named(tmp_path: Path) -> None:
    broken = image_folder(tmp_path) / "bee" / "1.png"
    broken.write_bytes(broken.read_bytes()[:60])
    fails(tmp_path, r"cannot read image .*bee/1\.png", False)
    broken.write_text("no image")
    fails(tmp_path, r"cannot read image .*bee/1\.png", False)


def test_more_than_8_bits_are_refused(tmp_path: Path) -> None:
    image_folder(tmp_path)
    deep = np.full((4, 6), 40_000, np.uint16)
    Image.fromarray(deep).save(tmp_path / "bee" / "1.png")
    # Pillow 10 calls the mode I, later ones I;16.
    fails(tmp_path, r"bee/1\.png: mode I(;16)?, save it with 8 bits", False)


def test_one_class(tmp_path: Path) -> None:
    fails(image_folder(tmp_path, ("ant",)), "needs two class folders or more, has ant")


def test_no_class(tmp_path: Path) -> None:
    save_image(tmp_path / "0.png")
    fails(tmp_path, "needs two class folders or more, has none")


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    (image_folder(tmp_path) / "cat").mkdir()
    fails(tmp_path, r"no images in .*cat")


def test_parts_with_different_classes(tmp_path: Path) -> None:
    image_folder(tmp_path / "train", ("ant", "bee", "cat"))
    image_folder(tmp_path / "test")
    fails(tmp_path, "train and .*test hold different classes, cat is in one only")


def test_a_folder_beside_the_parts(tmp_path: Path) -> None:
    image_folder(tmp_path / "train")
    image_folder(tmp_path / "test")
    image_folder(tmp_path / "unlabelled")
    fails(tmp_path, r"unlabelled is beside train, test")
    shutil.rmtree(tmp_path / "unlabelled")
    assert ImageFolder().check(tmp_path) == []


@pytest.mark.parametrize(
    "names", [("Training", "Testing"), ("train", "valid"), ("TRAIN", "Validation", "Test")]
)
def test_parts_by_other_names_are_pooled(tmp_path: Path, names: tuple[str, ...]) -> None:
    """They would be two classes, *training* and *testing*."""
    for name in names:
        image_folder(tmp_path / name, ("bee", "ant"))
    data = ImageFolder().load(tmp_path)
    assert data.class_names == ["ant", "bee"]
    assert len(data.inputs) == 6 * len(names)


@pytest.mark.parametrize(
    ("group", "match"),
    [
        ("(", r"split\.group: '\(' is no regular expression"),
        (r"\d", r"split\.group: '\\d' needs a group in brackets"),
        (r"p(\d)", r"split\.group: 'p\(\\d\)' finds no group in .*0\.png"),
    ],
)
def test_groups_that_file_names_do_not_tell(tmp_path: Path, group: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ImageFolder(group=group).load(image_folder(tmp_path))
