"""Defenses: one file each, found by name. `from nonmember.defenses import CRL` works for all.

`Batch` is what a defense's loss reads; in somebody else's training loop it is made by hand.
"""

from __future__ import annotations

from typing import Any

from nonmember.defenses._base import Batch, Defense
from nonmember.optimizers import PartOptions
from nonmember.registry import Registry

defenses: Registry[Defense] = Registry("defense", "nonmember.defenses", Defense)

__all__ = ["Batch", "Defense", "PartOptions", "defenses"]


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    return defenses.by_class_name(name)
