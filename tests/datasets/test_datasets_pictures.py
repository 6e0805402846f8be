"""A picture is read whole, upright and with all its levels, or refused."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from datasets_samples import image_folder, save_image
from PIL import Image

from nonmember.datasets._pictures import read_picture
from nonmember.datasets.image_folder import ImageFolder

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (8, 8, 3), np.uint8)


def deep_png(file: Path) -> None:
    """48 bits a pixel, which Pillow calls RGB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + RNG.integers(0, 4096, 24).astype(">u2").tobytes() for _ in range(8))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)


def deep_ppm(file: Path) -> None:
    pixels = RNG.integers(0, 1000, 192).astype(">u2").tobytes()
    file.write_bytes(b"P6 8 8 1023\n" + pixels)


def deep_tiff(file: Path) -> None:
    Image.fromarray(RNG.integers(0, 60_000, (8, 8)).astype(np.uint16)).save(file)


def real_tiff(file: Path) -> None:
    Image.fromarray(RNG.random((8, 8)).astype(np.float32)).save(file)


@pytest.mark.parametrize(
    ("make", "suffix"),
    [(deep_png, "png"), (deep_ppm, "ppm"), (deep_tiff, "tif"), (real_tiff, "tif")],
)
def test_more_than_8_bits_are_refused(tmp_path: Path, make: object, suffix: str) -> None:
    file = tmp_path / f"deep.{suffix}"
    make(file)  # type: ignore[operator]
    with pytest.raises(ValueError, match="8 bits a channel"):
        read_picture(file, False, None)


def test_other_colours_are_refused_by_their_name(tmp_path: Path) -> None:
    Image.new("LAB", (8, 8)).save(tmp_path / "lab.tif")
    with pytest.raises(ValueError, match="mode LAB, save it as RGB"):
        read_picture(tmp_path / "lab.tif", False, None)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "ppm", "tif", "webp"])
@pytest.mark.parametrize("cut", [4, 20])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, suffix: str, cut: int) -> None:
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(COLOURS).save(file)
    assert read_picture(file, False, None).pixels.shape == (3, 8, 8)
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(ValueError, match="cannot read image"):
        read_picture(file, False, None)


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    image, exif = Image.fromarray(COLOURS), Image.Exif()
    exif[274] = 6  # the camera was turned by 90°
    image.save(tmp_path / "a.png", exif=exif)
    upright = np.rot90(COLOURS, -1).transpose(2, 0, 1)
    assert np.array_equal(read_picture(tmp_path / "a.png", False, None).pixels, upright)


def drawn(alpha: bool) -> Image.Image:
    """RGBA: black or coloured, with a shape in its transparency."""
    layers = np.concatenate([np.zeros_like(COLOURS) if alpha else COLOURS, COLOURS[..., :1]], 2)
    return Image.fromarray(layers)


def test_content_in_the_transparency_is_refused_or_noticed(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "i", each=3)
    for i in range(3):
        for name in ("ant", "bee"):
            drawn(alpha=False).save(root / name / f"{i}.png")
    assert [n.name for n in ImageFolder().load(root).notices] == ["transparency"]
    drawn(alpha=True).save(root / "bee" / "1.png")
    with pytest.raises(ValueError, match=r"1 images hold all .*bee/1\.png.*save it on a plain"):
        ImageFolder().load(root)
    names = [n.name for n in ImageFolder(accept=["transparent_images"]).load(root).notices]
    assert names == ["transparent_images", "transparency"]


def test_later_frames_and_grey_among_colours_are_noticed(tmp_path: Path) -> None:
    root = image_folder(tmp_path)
    pages = [Image.fromarray(RNG.integers(0, 256, (4, 6, 3), np.uint8)) for _ in range(3)]
    pages[0].save(root / "ant" / "pages.tif", save_all=True, append_images=pages[1:])
    save_image(root / "bee" / "0.png", mode="L")
    found = {n.name: n.says for n in ImageFolder().load(root).notices}
    assert "pages.tif, frame 1 of 3 is read" in found["later_frames"]
    assert "1 of 7 images are grey" in found["mixed_channels"]
    assert [n.name for n in ImageFolder(grey=True).load(root).notices] == ["later_frames"]


@pytest.mark.parametrize("names", [("training_part", "rest"), ("fold1", "fold2"), ("a", "b", "c")])
def test_parts_by_any_name_are_not_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        image_folder(tmp_path / name)
    (tmp_path / names[0] / "cover.png").write_bytes(
        (tmp_path / names[0] / "ant/0.png").read_bytes()
    )
    with pytest.raises(ValueError, match=r"hold the same folders \(ant, bee\)"):
        ImageFolder().load(tmp_path)
    data = ImageFolder(accept=["shared_folders"]).load(tmp_path)
    assert data.class_names == sorted(names)
    assert data.notices[0].name == "shared_folders"


@pytest.mark.parametrize("names", [("training_set", "test_set"), ("train", "Validation data")])
def test_parts_with_a_longer_name_are_pooled(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        image_folder(tmp_path / name)
    assert ImageFolder().load(tmp_path).class_names == ["ant", "bee"]


def test_folders_of_one_class_alone_are_read(tmp_path: Path) -> None:
    for c, inner in (("ant", "north"), ("bee", "south")):
        for i in range(3):
            save_image(tmp_path / c / inner / f"{i}.png", seed=i + len(inner) * len(c))
    assert ImageFolder().load(tmp_path).class_names == ["ant", "bee"]


def test_what_is_left_out_is_counted_by_reason(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "i")
    image_folder(tmp_path / "elsewhere")
    (root / "ant" / "more").symlink_to(tmp_path / "elsewhere" / "ant")
    os.mkfifo(root / "bee" / "pipe.png")  # to open it would wait for ever
    (root / "bee" / "moving.gif").write_bytes(b"GIF89a")
    data = ImageFolder().load(root)
    assert len(data.inputs) == 6
    [line] = data.skipped
    assert {"no images 1 (.gif 1)", "linked folders 1", "no regular files 1"} <= set(
        line.removeprefix("skipped files: ").split(", ")
    )
    assert [n.says for n in data.notices] == ["left out: .gif 1, linked folders 1"]


def test_class_folders_follow_the_rules_of_labels(tmp_path: Path) -> None:
    root = image_folder(tmp_path, ("ant", "Ant", "bee", "unknown"))
    with pytest.raises(ValueError, match=r"'unknown' .3 samples. seems to stand for no label"):
        ImageFolder().load(root)
    with pytest.raises(ValueError, match=r"'Ant' .3. and 'ant' .3. look like one class"):
        ImageFolder(unlabelled=["unknown"]).load(root)
    data = ImageFolder(unlabelled=["unknown"], fold_labels=True).load(root)
    assert np.bincount(data.labels).tolist() == [6, 3]
    assert len(data.ids or []) == 9
