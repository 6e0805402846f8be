"""The privacy risk of single members and non-members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nonmember.plots._arm import Arm
from nonmember.plots._samples import (
    histograms,
)
from nonmember.plots._style import legend_above, percent, sentence, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def risk(arms: Sequence[Arm]) -> Figure | None:
    """Histograms of the samples' privacy risk (Song and Mittal 2021, section 5)."""
    heading = "Privacy risk of members and of non-members"
    with_risk = [(arm, arm.scores.joint.risk) for arm in arms if arm.scores.joint is not None]
    if not with_risk:
        return None
    made, panels = histograms([arm for arm, _ in with_risk], [values for _, values in with_risk])
    for axes, (arm, values) in zip(panels, with_risk, strict=True):
        handles, names = axes.get_legend_handles_labels()
        parts = [values[arm.member if name == "members" else ~arm.member] for name in names]
        sure = [
            f"{name}: {percent(round((part >= 0.9).mean(), 3))} at 0.9 or more"
            for name, part in zip(names, parts, strict=True)
        ]
        legend_above(axes, arm.name, arm.label, (handles, sure), columns=2)
    panels[-1].set_xlabel(
        "privacy risk: probability of being a member,\nby all attacks together (guessing: 0.5)"
    )
    sentence(made, "Right of 0.5 the attacks together would rather call a record a member.")
    title(made, heading)
    return made
