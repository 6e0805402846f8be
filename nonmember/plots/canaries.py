"""Planted members beside ordinary ones: how many an attack finds with few false alarms.

After Aerni et al. 2024, https://arxiv.org/abs/2404.17399: an average over ordinary samples says
little about the samples that are easiest to find.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nonmember.metrics.rates import LOW_FPR, NOT_SUPPORTED
from nonmember.plots._arm import Arm
from nonmember.plots._style import COLOUR, figure, percent, percent_axis, said, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLE = "Planted members (canaries) beside ordinary ones"
_LOOK: dict[str, dict[str, Any]] = {
    "members": {"facecolor": "white", "hatch": "////"},
    "canaries": {"alpha": 0.85},
}


def canaries(arms: Sequence[Arm], min_false_positives: int) -> Figure:
    """TPR with 95 % intervals, one panel for each low FPR that anything was measured at."""
    from matplotlib.patches import Patch

    known = [arm for arm in arms if arm.canaries]
    rates = [key for key in LOW_FPR if any(_supported(arm, key) for arm in known)]
    if not known:
        return said("no canaries were planted", _TITLE)
    if not rates:
        return said("too few non-members for a low false positive rate", _TITLE)
    made, panels = figure(4.6, 1, len(rates), squeeze=False)
    for axes, key in zip(panels[0], rates, strict=True):
        _draw(axes, known, key)
        axes.set_title(f"at {percent(LOW_FPR[key])} false positives")
    panels[0, 0].set_ylabel("true positive rate: members found\n(bars: 95 % interval)")
    title(made, _TITLE)
    kinds = [
        Patch(**{"edgecolor": "#555555", "facecolor": "#777777", **look}) for look in _LOOK.values()
    ]
    made.legend(kinds, ["ordinary members", "canaries"], loc="outside lower center", ncols=2)
    return made


def _draw(axes: Axes, arms: Sequence[Arm], key: str) -> None:
    for place, arm in enumerate(arms):
        for side, (kind, look) in zip((-0.2, 0.2), _LOOK.items(), strict=True):
            numbers = _of(arm)[kind]
            value = numbers[key]
            if value == NOT_SUPPORTED:
                axes.text(place + side, 0, " not supported", ha="center", va="bottom", rotation=90)
                continue
            axes.bar(
                place + side,
                value,
                0.38,
                yerr=[[value - numbers[f"{key}_low"]], [numbers[f"{key}_high"] - value]],
                capsize=4,
                edgecolor=COLOUR[arm.name],
                **{"facecolor": COLOUR[arm.name], **look},
            )
    axes.set_xticks(range(len(arms)), [arm.label for arm in arms])
    axes.set_xlim(-0.5, len(arms) - 0.5)
    axes.set_ylim(bottom=0)
    axes.grid(axis="x", visible=False)
    percent_axis(axes.yaxis)


def _of(arm: Arm) -> Mapping[str, Mapping[str, Any]]:
    return arm.canaries or {}


def _supported(arm: Arm, key: str) -> bool:
    return any(_of(arm)[kind][key] != NOT_SUPPORTED for kind in _LOOK)
