"""How sure the model is: the distance to the decision boundary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nonmember.plots._arm import Arm
from nonmember.plots._samples import (
    clipped,
    distance_left,
    histograms,
    margin,
    stretch,
    whole_decades,
)
from nonmember.plots._style import legend_above, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def boundary(arms: Sequence[Arm]) -> Figure:
    """Histograms of the distance to the decision boundary (CRL, Fig. 6)."""
    left = [distance_left(arm.view) for arm in arms]
    made, panels = histograms(arms, [stretch(values) for values in left])
    for axes, arm in zip(panels, arms, strict=True):
        legend_above(axes, arm.name, arm.label, axes.get_legend_handles_labels(), columns=2)
    whole_decades(panels[-1].xaxis, margin)
    panels[-1].set_xlabel(
        "distance to the decision boundary: first minus second confidence,\n"
        "axis stretched towards 1" + clipped(left)
    )
    title(made, "How sure the model is of members and of non-members")
    return made
