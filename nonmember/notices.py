"""A word beside a number: what a reader must know before believing it.

Every name stands in KNOWN, with what it means and what ends it. A name that is `refused` stops
`prepare` unless `dataset.accept` lists it; then it is a notice like the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict


class About(NamedTuple):
    """What a name means, in a sentence for the documentation, and what ends it."""

    what: str
    cure: str
    refused: bool = False


KNOWN: dict[str, About] = {
    "missing_labels": About(
        "a label that stands for none: empty, NA, unknown, -1 beside 0, 1, 2 …",
        "list it in `dataset.unlabelled`, which leaves those samples out",
        refused=True,
    ),
    "spellings": About(
        "labels that differ by case, spaces, a last dot, form of Unicode or leading zeros",
        "set `dataset.fold_labels: true`, which makes each set of them one class",
        refused=True,
    ),
    "shared_folders": About(
        "class folders that hold the same folders and no images of their own",
        "name them train and test if they are parts of the data, or put the images into the class "
        "folders",
        refused=True,
    ),
    "row_numbers": About(
        "a feature that counts the rows or numbers the records",
        "drop it, or name it in `dataset.id` (csv) or `ids` (npz)",
        refused=True,
    ),
    "transparent_images": About(
        "an image of one colour whose content is in its transparency, which is dropped",
        "save it on a plain ground",
        refused=True,
    ),
    "measured_labels": About(
        "labels that look like a measurement, cut into a class a number",
        "only classification is audited: make classes of ranges",
    ),
    "rare_classes": About("classes of fewer than 10 samples", "leave them out or join them"),
    "imbalance": About(
        "one class with 95 % of the samples or more", "hold the accuracy against its share"
    ),
    "unlisted_classes": About(
        "classes with too few members or non-members for numbers of their own",
        "use more data; the other numbers include them",
    ),
    "copies": About(
        "inputs that are equal to the last bit",
        "nothing needs to be done: `split.copies: together` keeps them in one set",
    ),
    "near_copies": About(
        "records much nearer to each other than to all others, such as several of one person",
        "say which belong together: `split.group`",
    ),
    "shared_ids": About("records with one id", "if ids name people: `split.group`"),
    "constant_features": About("features with one value in all samples", "drop them"),
    "whole_numbers": About(
        "an npz of whole numbers, read as measurements", "if they are token ids: `dataset.tokens`"
    ),
    "empty_texts": About("texts of nothing but padding", "leave them out"),
    "dark_images": About(
        "whole-number images that use the lowest eighth of 0–255 alone",
        "save them as floats, or stretched to 0–255",
    ),
    "blank_images": About("images of one colour", "leave them out if they are no pictures"),
    "mixed_channels": About(
        "grey images among coloured ones, all read as coloured", "set `dataset.grey: true`"
    ),
    "transparency": About(
        "images with transparency, which is dropped", "save them on a plain ground"
    ),
    "later_frames": About(
        "files that hold several images, of which the first is read",
        "save each image in a file of its own",
    ),
    "skipped_images": About(
        "files left out that may be images: linked folders, other formats, outside the classes",
        "move or convert them",
    ),
}  # fmt: skip


class Notice(BaseModel):
    """Something odd that was found and not refused.

    name: by which `dataset.accept` takes note of it, such as `near_copies`. says: one sentence
    with the counts, or more. accepted: the user has named it and knows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    says: str
    accepted: bool = False

    def __str__(self) -> str:
        return f"{self.says} ({self.name}, accepted)" if self.accepted else f"{self.says}"

    def line(self) -> str:
        """With its name in any case, for a list of notices."""
        return f"notice: {self}" if self.accepted else f"notice: {self} ({self.name})"


def accepted(notices: Iterable[Notice], names: Iterable[str]) -> list[Notice]:
    """The notices, those that are named marked as accepted."""
    known = set(names)
    return [one.model_copy(update={"accepted": one.name in known}) for one in notices]


def found(name: str, says: str, accept: Collection[str] = ()) -> Notice:
    """A notice of a known name; ValueError with its cure if it is refused and not in `accept`."""
    about = KNOWN[name]
    if about.refused and name not in accept:
        cure = about.cure.replace("`", "")
        raise ValueError(f"{says}; {cure}; if all is well, dataset.accept: [{name}]")
    return Notice(name=name, says=says)


def counted(notices: Collection[Notice]) -> str:
    """For the corner of a picture: "2 notices", with how many are accepted; empty for none."""
    if not notices:
        return ""
    known = sum(one.accepted for one in notices)
    words = "1 notice" if len(notices) == 1 else f"{len(notices)} notices"
    return f"{words}, {known} accepted" if known else words
