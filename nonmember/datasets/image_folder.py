"""Your own images: a folder a class, `<path>/<class>/**/*.png` (the layout of torchvision).

`<path>/{train,val,test}/<class>/…` works too (also Training, valid, testing and the like): the
parts are pooled, since who becomes a member is drawn later. Hidden files and folders and files that
are no images are ignored.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import Field

from nonmember.datasets._base import Arrays, Dataset
from nonmember.datasets._moments import moments
from nonmember.datasets._tables import encode_groups
from nonmember.kinds import IMAGE
from nonmember.settings import Settings

EXTENSIONS = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
PARTS = ("train", "training", "val", "valid", "validation", "test", "testing")
EIGHT_BIT = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}


class ImageFolder(Dataset):
    """uint8 (n, 1 or 3, height, width), in sorted order of part, class and file name.

    Class names are the folders' names, sorted. Transparency is dropped. Mean and standard
    deviation of each channel are computed from all images. A record is called by its path below the
    root. `split.group` is a regular expression: its first group, found in a file's name, says which
    images belong together.
    """

    class Options(Settings):
        resize: int | None = Field(
            None,
            ge=1,
            le=1024,
            description="side of a square in pixels; null: images stay as they are, all of one "
            "size",
        )
        grey: bool = Field(False, description="one grey channel instead of three colours")

    group_is = "a regular expression with a group"
    options: Options

    def check(self, path: Path) -> list[str]:
        """Missing folder, fewer than two classes, an empty class, parts that disagree."""
        problem = _pattern_problem(self.group)
        return [*self._folder_problems(path), *([problem] if problem else [])]

    def _folder_problems(self, path: Path) -> list[str]:
        if not path.is_dir():
            return [f"dataset.path: no folder {path}; it must hold one folder of images a class"]
        parts = _parts(path)
        stray = sorted(set(_folders(path)) - set(parts)) if parts != [path] else []
        if stray:
            names = ", ".join(part.name for part in parts)
            return [f"dataset.path: {stray[0]} is beside {names}; keep either parts or classes"]
        classes = {part: [folder.name for folder in _folders(part)] for part in parts}
        first = parts[0]
        problems = [
            f"dataset.path: {first} and {part} hold different classes, "
            f"{', '.join(sorted(set(classes[first]) ^ set(classes[part])))} is in one only"
            for part in parts[1:]
            if classes[part] != classes[first]
        ]
        if len(classes[first]) < 2:
            present = ", ".join(classes[first]) or "none"
            problems.append(f"dataset.path: {first} needs two class folders or more, has {present}")
        empty = [folder for part in parts for folder in _folders(part) if not _images(folder)]
        return problems + [f"dataset.path: no images in {folder}" for folder in empty]

    def load(self, path: Path) -> Arrays:
        """Raises ValueError naming the file for an image that cannot be read, has more than 8
        bits a channel, or (without `resize`) another size than the first."""
        self.require(path)
        names = [folder.name for folder in _folders(_parts(path)[0])]
        files = [
            (file, names.index(folder.name))
            for part in _parts(path)
            for folder in _folders(part)
            for file in _images(folder)
        ]
        inputs = self._read([file for file, _ in files])
        mean, std = moments(inputs, 1 / 255)
        labels = np.array([label for _, label in files], np.int64)
        return Arrays(
            inputs, labels, names, mean, std,
            source=f"images in {path}",
            kind=IMAGE,
            ids=[file.relative_to(path).as_posix() for file, _ in files],
            groups=self._groups([file for file, _ in files]),
            skipped=_skipped(path, {file for file, _ in files}),
        )  # fmt: skip

    def _groups(self, files: list[Path]) -> np.ndarray | None:
        """(n,) int64; ValueError naming a file whose name has no group."""
        if self.group is None:
            return None
        matches = [re.search(self.group, file.name) for file in files]
        for file, match in zip(files, matches, strict=True):
            if match is None or match[1] is None:
                raise ValueError(f"split.group: '{self.group}' finds no group in {file}")
        return encode_groups(np.array([match[1] for match in matches if match]))

    def _read(self, files: list[Path]) -> np.ndarray:
        """(n, channels, height, width) uint8; threads, since decoding releases the lock."""
        first = self._decode(files[0])
        out = np.empty((len(files), *first.shape), np.uint8)

        def put(index: int) -> None:
            image = self._decode(files[index])
            if image.shape != first.shape:
                raise ValueError(
                    f"images must have one size: {files[0]} is {_size(first)}, {files[index]} is "
                    f"{_size(image)} (width × height); set dataset.resize"
                )
            out[index] = image

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(put, range(len(files))):
                pass  # passes on the first error, in the order of the files
        return out

    def _decode(self, file: Path) -> np.ndarray:
        """(channels, height, width) uint8."""
        side = self.options.resize
        try:
            with Image.open(file) as image:
                if image.mode not in EIGHT_BIT:  # converting would clip without a word
                    raise ValueError(f"mode {image.mode}, save it with 8 bits a channel")
                pixels = image.convert("L" if self.options.grey else "RGB")
        except Exception as error:  # the decoders raise whatever they like
            raise ValueError(f"cannot read image {file}: {error}") from error
        if side is not None:
            pixels = pixels.resize((side, side), Image.Resampling.BILINEAR)
        array = np.asarray(pixels)
        return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _pattern_problem(pattern: str | None) -> str | None:
    try:
        groups = 1 if pattern is None else re.compile(pattern).groups
    except re.error as error:
        return f"split.group: '{pattern}' is no regular expression ({error})"
    return None if groups else f"split.group: '{pattern}' needs a group in brackets, such as (\\d+)"


def _skipped(path: Path, used: set[Path]) -> list[str]:
    """How many files below the root are no records, by reason."""
    left = [file for file in path.rglob("*") if file.is_file() and file not in used]
    seen = [f for f in left if not any(n.startswith(".") for n in f.relative_to(path).parts)]
    other = Counter(f.suffix.lower() or f.name for f in seen if f.suffix.lower() not in EXTENSIONS)
    outside = len(seen) - other.total()
    kinds = ", ".join(f"{suffix} {count}" for suffix, count in other.most_common())
    counts = {
        f"no images {other.total()} ({kinds})": other.total(),
        f"hidden {len(left) - len(seen)}": len(left) - len(seen),
        f"in no class folder {outside}": outside,
    }
    said = [words for words, count in counts.items() if count]
    return [f"skipped files: {', '.join(said)}"] if said else []


def _size(image: np.ndarray) -> str:
    return f"{image.shape[2]}×{image.shape[1]}"


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _parts(path: Path) -> list[Path]:
    """The folders that hold the class folders: `path`, or its train/, val/ and test/."""
    parts = [f for f in _folders(path) if f.name.lower() in PARTS and _folders(f)]
    return sorted(parts, key=lambda folder: PARTS.index(folder.name.lower())) or [path]


def _images(folder: Path) -> list[Path]:
    """All image files below `folder`, sorted."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in EXTENSIONS
        and not any(name.startswith(".") for name in file.relative_to(folder).parts)
    )
