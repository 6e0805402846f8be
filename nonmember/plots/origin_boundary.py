"""Where samples lie between the origin of feature space and the decision boundary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nonmember.plots._arm import Arm
from nonmember.plots._samples import (
    clipped,
    distance_left,
    margin,
    scatter,
    stretch,
    whole_decades,
)
from nonmember.plots._style import figure, legend_above, sentence, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def origin_boundary(arms: Sequence[Arm]) -> Figure:
    """Distance to the origin in feature space against that to the boundary (CRL, Fig. 1).

    Raises ValueError for a view without the signal `feature_norm`.
    """
    made, panels = figure(5.4, 1, len(arms), squeeze=False)
    left = [distance_left(arm.view) for arm in arms]
    for axes, arm, values in zip(panels[0], arms, left, strict=True):
        if "feature_norm" not in arm.view.signals:
            raise ValueError(f"{arm.name}: no signal feature_norm; run the stage extract again")
        scatter(axes, arm, arm.view.signals["feature_norm"], stretch(values))
        axes.set_xlabel("distance to the origin:\nnorm of the last layer's input")
        legend_above(axes, arm.name, arm.label, axes.get_legend_handles_labels(), columns=2)
        whole_decades(axes.yaxis, margin)
    panels[0, 0].set_ylabel(
        "distance to the decision boundary,\naxis stretched towards 1" + clipped(left)
    )
    sentence(made, "Members that lie farther up than non-members give themselves away.")
    title(made, "Where members and non-members lie (each panel has its own axes)")
    return made
