"""Reading one image file: 8 bits a channel, upright, whole, or refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

EIGHT_BIT = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
DEEP = ("I", "F")  # and I;16 and the like
PNG_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class Picture:
    """pixels: (channels, height, width) uint8. grey, transparent: as the file was. frames: in it.

    lost: the pixels are of one colour and the transparency, which is dropped, is not.
    """

    pixels: np.ndarray
    grey: bool
    transparent: bool
    lost: bool
    frames: int


def read_picture(file: Path, grey: bool, side: int | None) -> Picture:
    """The first image of a file, turned as its EXIF says. side: of a square that it is scaled to.

    ValueError naming a file that is cut off, has more than 8 bits a channel, or other colours.
    """
    try:
        with Image.open(file) as image:
            _check(image, file)
            frames = getattr(image, "n_frames", 1)
            turned = ImageOps.exif_transpose(image)
            alpha = _alpha(turned)
            colour = turned.mode not in ("1", "L", "LA")
            pixels = turned.convert("L" if grey else "RGB")
    except Exception as error:  # the decoders raise whatever they like
        raise ValueError(f"cannot read image {file}: {error}") from error
    lost = alpha and all(low == high for low, high in _ranges(pixels))
    if side is not None:
        pixels = pixels.resize((side, side), Image.Resampling.BILINEAR)
    array = np.asarray(pixels)
    array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return Picture(array, not colour, alpha, lost, frames)


def _ranges(image: Image.Image) -> list[tuple[float, float]]:
    ends = image.getextrema()
    return [ends] if isinstance(ends[0], (int, float)) else list(ends)


def _alpha(image: Image.Image) -> bool:
    """Whether the transparency is anything but one value all over."""
    if not image.has_transparency_data:
        return False
    low, high = _ranges(image.convert("RGBA").getchannel("A"))[0]
    return low != high


def _check(image: Image.Image, file: Path) -> None:
    """Converting would keep the upper 8 bits, or clip, without a word."""
    if image.mode.startswith(DEEP) or _is_deep(image):
        raise ValueError(f"mode {image.mode}, save it with 8 bits a channel")
    if image.mode not in EIGHT_BIT:
        raise ValueError(f"mode {image.mode}, save it as RGB or grey")
    if image.format == "PNG" and PNG_END not in file.read_bytes()[-4096:]:
        raise ValueError("the file is cut off, its end is missing")


def _is_deep(image: Image.Image) -> bool:
    """Pillow calls 48-bit images RGB; what its decoder is told, and TIFF's own tag, say more."""
    bits = getattr(image, "tag_v2", {}).get(258, (8,))
    deep = max(bits if isinstance(bits, tuple) else (bits,)) > 8
    for tile in getattr(image, "tile", []):
        args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        deep |= any(isinstance(a, str) and ";16" in a for a in args)
        deep |= tile[0] in ("ppm", "ppm_plain") and any(
            isinstance(a, int) and a > 255 for a in args
        )
    return deep
