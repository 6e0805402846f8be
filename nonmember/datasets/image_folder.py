"""Your own images: a folder a class, `<path>/<class>/**/*.png` (the layout of torchvision).

`<path>/{train,val,test}/<class>/…` works too (also Training, valid, test_set and the like): the
parts are pooled, since who becomes a member is drawn later. Hidden files and folders and files that
are no images are ignored.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field

from nonmember.datasets._base import Arrays, Dataset
from nonmember.datasets._labels import LabelOptions, read_labels
from nonmember.datasets._moments import moments
from nonmember.datasets._pictures import Picture, read_picture
from nonmember.datasets._tables import encode_groups
from nonmember.kinds import IMAGE
from nonmember.notices import Notice, found

EXTENSIONS = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
# Formats that hold images too, and are not read.
OTHER_IMAGES = {
    ".apng", ".avif", ".dcm", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jxl", ".svg",
    ".tga",
}  # fmt: skip
PARTS = ("train", "training", "val", "valid", "validation", "test", "testing")
PART = re.compile(rf"({'|'.join(PARTS)})([ _-]?(set|data|images|split))?", re.IGNORECASE)


class ImageFolder(Dataset):
    """uint8 (n, 1 or 3, height, width), in sorted order of part, class and file name.

    Class names are the folders' names, sorted. Transparency is dropped. Mean and standard
    deviation of each channel are computed from all images. A record is called by its path below the
    root. `split.group` is a regular expression: its first group, found in a file's name, says which
    images belong together.
    """

    class Options(LabelOptions):
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
        problems += [f"dataset.path: no images in {folder}" for folder in empty]
        return problems or self._shared(parts)[1]

    def _shared(self, parts: list[Path]) -> tuple[list[Notice], list[str]]:
        """What `shared_folders` finds, as notices or as problems."""
        try:
            says = _shared_folders(parts)
            return [found("shared_folders", line, self.accept) for line in says], []
        except ValueError as error:
            return [], [f"dataset.path: {error}"]

    def load(self, path: Path) -> Arrays:
        """Raises ValueError naming the file for an image that cannot be read, has more than 8
        bits a channel, or (without `resize`) another size than the first."""
        self.require(path)
        parts = _parts(path)
        named = [
            (file, folder.name)
            for part in parts
            for folder in _folders(part)
            for file in _images(folder)
        ]
        labels = read_labels(
            np.array([name for _, name in named]),
            self.options,
            self.accept,
            lambda index: str(named[index][0]),
            numbers=False,
        )
        files = [file for (file, _), kept in zip(named, labels.kept, strict=True) if kept]
        inputs, notices = self._read(files)
        mean, std = moments(inputs, 1 / 255)
        skipped, more = _skipped(path, {file for file, _ in named})
        return Arrays(
            inputs, labels.codes, labels.names, mean, std,
            source=f"images in {path}",
            kind=IMAGE,
            ids=[file.relative_to(path).as_posix() for file in files],
            groups=self._groups(files),
            skipped=[*skipped, *labels.skipped],
            notices=[*self._shared(parts)[0], *labels.notices, *notices, *more],
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

    def _read(self, files: list[Path]) -> tuple[np.ndarray, list[Notice]]:
        """(n, channels, height, width) uint8, and what is odd about the files; threads, since
        decoding releases the lock."""
        side, grey = self.options.resize, self.options.grey
        first = read_picture(files[0], grey, side).pixels
        out = np.empty((len(files), *first.shape), np.uint8)

        def put(index: int) -> Picture:
            picture = read_picture(files[index], grey, side)
            if picture.pixels.shape != first.shape:
                raise ValueError(
                    f"images must have one size: {files[0]} is {_size(first)}, {files[index]} is "
                    f"{_size(picture.pixels)} (width × height); set dataset.resize"
                )
            out[index] = picture.pixels
            return replace(picture, pixels=first[:, :0])  # all but the pixels

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            # Passes on the first error, in the order of the files.
            pictures = list(pool.map(put, range(len(files))))
        return out, self._oddities(files, pictures)

    def _oddities(self, files: list[Path], pictures: list[Picture]) -> list[Notice]:
        def which(odd: Callable[[Picture], bool]) -> list[Path]:
            return [file for file, p in zip(files, pictures, strict=True) if odd(p)]

        notices = []
        if lost := which(lambda p: p.lost):
            says = f"{len(lost)} images hold all they show in their transparency, which is dropped"
            notices.append(found("transparent_images", f"{says}, first {lost[0]}", self.accept))
        if clear := which(lambda p: p.transparent and not p.lost):
            says = f"{len(clear)} images have transparency, which is dropped, first {clear[0]}"
            notices.append(found("transparency", says))
        if several := which(lambda p: p.frames > 1):
            k = pictures[files.index(several[0])].frames
            says = (
                f"{len(several)} files hold several images; of {several[0]}, frame 1 of {k} is read"
            )
            notices.append(found("later_frames", says))
        grey = which(lambda p: p.grey)
        if not self.options.grey and 0 < len(grey) < len(files):
            says = (
                f"{len(grey)} of {len(files)} images are grey, first {grey[0]}, the others coloured"
            )
            notices.append(found("mixed_channels", says))
        return notices


def _pattern_problem(pattern: str | None) -> str | None:
    try:
        groups = 1 if pattern is None else re.compile(pattern).groups
    except re.error as error:
        return f"split.group: '{pattern}' is no regular expression ({error})"
    return None if groups else f"split.group: '{pattern}' needs a group in brackets, such as (\\d+)"


def _skipped(path: Path, used: set[Path]) -> tuple[list[str], list[Notice]]:
    """How many files below the root are no records, by reason; and those that may be images."""
    counts: Counter[str] = Counter()
    other: Counter[str] = Counter()
    for file in path.rglob("*"):
        if any(name.startswith(".") for name in file.relative_to(path).parts):
            counts["hidden"] += file.is_file()
        elif file.is_symlink() and file.is_dir():
            # The folder of a class may be a link; what it links to is read.
            counts["linked folders"] += file not in {
                f for part in _parts(path) for f in _folders(part)
            }
        elif file.is_dir() or file in used:
            continue
        elif not file.is_file():
            counts["no regular files"] += 1
        elif file.suffix.lower() not in EXTENSIONS:
            other[file.suffix.lower() or file.name] += 1
        else:
            counts["in no class folder"] += 1
    kinds = ", ".join(f"{suffix} {count}" for suffix, count in other.most_common())
    said = [f"no images {other.total()} ({kinds})"] if other else []
    said += [f"{words} {count}" for words, count in counts.items() if count]
    lost = [f"{suffix} {other[suffix]}" for suffix in sorted(set(other) & OTHER_IMAGES)]
    lost += [f"{w} {counts[w]}" for w in ("linked folders", "in no class folder") if counts[w]]
    notices = [found("skipped_images", f"left out: {', '.join(lost)}")] if lost else []
    return ([f"skipped files: {', '.join(said)}"] if said else []), notices


def _shared_folders(parts: list[Path]) -> list[str]:
    """Whether most images lie in folders whose names several "classes" share."""
    holders: dict[str, set[str]] = {}
    counts: Counter[str] = Counter()
    images = 0
    for folder in (folder for part in parts for folder in _folders(part)):
        for file in _images(folder):
            images += 1
            inner = file.relative_to(folder).parts[:-1]
            if inner:
                holders.setdefault(inner[0].casefold(), set()).add(folder.name)
                counts[inner[0].casefold()] += 1
    shared = sorted(name for name, folders in holders.items() if len(folders) > 1)
    if 2 * sum(counts[name] for name in shared) < max(images, 1):
        return []
    folders = sorted({folder for name in shared for folder in holders[name]})
    return [
        f"{', '.join(folders[:5])} hold the same folders ({', '.join(shared[:5])}): they look like "
        "parts of the data, of which those are the classes"
    ]


def _size(image: np.ndarray) -> str:
    return f"{image.shape[2]}×{image.shape[1]}"


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _parts(path: Path) -> list[Path]:
    """The folders that hold the class folders: `path`, or its train/, val/ and test/."""
    parts = [f for f in _folders(path) if PART.fullmatch(f.name) and _folders(f)]
    return sorted(parts, key=lambda folder: PARTS.index(_part(folder))) or [path]


def _part(folder: Path) -> str:
    match = PART.fullmatch(folder.name)
    assert match is not None
    return match[1].lower()


def _images(folder: Path) -> list[Path]:
    """All image files below `folder`, sorted; not what only has such a name, as a pipe may."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in EXTENSIONS
        and file.is_file()
        and not any(name.startswith(".") for name in file.relative_to(folder).parts)
    )
