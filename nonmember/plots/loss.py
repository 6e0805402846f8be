"""The losses of members and of non-members, with means and variances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nonmember import statistics
from nonmember.plots._arm import Arm
from nonmember.plots._samples import (
    FLOOR,
    clipped,
    histograms,
    whole_decades,
    with_moments,
)
from nonmember.plots._style import legend_above, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def loss(arms: Sequence[Arm]) -> Figure:
    """Histograms of the cross-entropy loss (RelaxLoss, Fig. 1), on a log axis."""
    values = [arm.view.of(statistics.cross_entropy) for arm in arms]
    made, panels = histograms(arms, [np.log10(np.maximum(v, FLOOR)) for v in values])
    for axes, arm, losses in zip(panels, arms, values, strict=True):
        for inside, line in ((True, "-"), (False, "--")):
            mean = losses[arm.member == inside].mean()
            axes.axvline(np.log10(max(mean, FLOOR)), color="black", linestyle=line, linewidth=1.4)
        legend_above(axes, arm.name, arm.label, with_moments(axes, losses, arm.member))
    whole_decades(panels[-1].xaxis, lambda x, _: rf"$10^{{{x:g}}}$")
    panels[-1].set_xlabel("cross-entropy loss in nats, log axis" + clipped(values))
    title(made, "Loss of members and of non-members (upright lines: means)")
    return made
