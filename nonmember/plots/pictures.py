"""All pictures by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nonmember.plots import samples
from nonmember.plots._arm import Arm
from nonmember.plots._style import png, style
from nonmember.plots.attack_auc import attack_auc
from nonmember.plots.canaries import canaries
from nonmember.plots.class_auc import class_auc
from nonmember.plots.roc import roc
from nonmember.plots.training import training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES: dict[str, Callable[[Sequence[Arm], int], Figure]] = {
    "attack_auc": attack_auc,
    "class_auc": class_auc,
    "roc": roc,
    "loss": samples.loss,
    "boundary": samples.boundary,
    "origin_boundary": samples.origin_boundary,
    "risk": samples.risk,
    "canaries": canaries,
    "training": training,
}


def draw(name: str, arms: Sequence[Arm], min_false_positives: int = 10) -> bytes:
    """The picture `name` of PICTURES as PNG, 1280 pixels wide; equal input gives equal bytes."""
    with style():
        return png(PICTURES[name](arms, min_false_positives))
