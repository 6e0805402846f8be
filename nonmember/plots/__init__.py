"""Pictures of an audit: numbers in, PNG out. One file a picture, found by its name.

Importing this loads no matplotlib; drawing does.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

from nonmember.plots._arm import Arm
from nonmember.plots._style import png, style

__all__ = ["Arm", "draw", "names"]


def names() -> list[str]:
    """The pictures of a run, sorted."""
    found = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(name for name in found if not name.startswith("_"))


def draw(name: str, arms: Sequence[Arm]) -> bytes | None:
    """The picture `name` as PNG, 1280 pixels wide; None where there is nothing to show.

    Equal input gives equal bytes. The stamp stands below it, to the right.
    """
    function = getattr(importlib.import_module(f"{__name__}.{name}"), name)
    with style():
        made = function(arms)
        if made is None:
            return None
        return png(made, arms[-1].report.corner())
