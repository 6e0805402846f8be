"""Planted members beside ordinary ones: how many an attack finds with few false alarms.

After Aerni et al. 2024, https://arxiv.org/abs/2404.17399: an average over ordinary samples says
little about the samples that are easiest to find.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nonmember.metrics.measure import LOW_FPR
from nonmember.metrics.report import Ranking
from nonmember.plots._arm import Arm
from nonmember.plots._style import COLOUR, bars, figure, percent, percent_axis, said, title
from nonmember.reporting.columns import ATTACK, Column

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLE = "Planted members (canaries) beside ordinary ones"
_LOOK: dict[str, dict[str, Any]] = {
    "members": {"facecolor": "white", "hatch": "////"},
    "canaries": {"alpha": 0.85},
}


def canaries(arms: Sequence[Arm]) -> Figure | None:
    """TPR with 95 % intervals, a panel for each low FPR of the tables with anything measured at it.

    None where no canaries were planted.
    """
    from matplotlib.patches import Patch

    planted = {arm.name: pair for arm in arms if (pair := _pair(arm)) is not None}
    if not planted:
        return None
    shown = [arm for arm in arms if arm.name in planted]
    pairs = list(planted.values())
    low = [column for column in ATTACK if column.key in LOW_FPR]
    rates = [column for column in low if any(_supported(pair, column) for pair in pairs)]
    if not rates:
        return said("too few non-members for a low false positive rate", _TITLE)
    made, panels = figure(4.6, 1, len(rates), squeeze=False)
    for axes, column in zip(panels[0], rates, strict=True):
        _draw(axes, shown, pairs, column)
        axes.set_title(f"at {percent(LOW_FPR[column.key])} false positives")
    panels[0, 0].set_ylabel("true positive rate: members found\n(bars: 95 % interval)")
    title(made, _TITLE)
    kinds = [
        Patch(**{"edgecolor": "#555555", "facecolor": "#777777", **look}) for look in _LOOK.values()
    ]
    made.legend(kinds, ["ordinary members", "canaries"], loc="outside lower center", ncols=2)
    return made


def _pair(arm: Arm) -> dict[str, Ranking] | None:
    """The strongest attack's numbers on ordinary members and on canaries, if there are any."""
    planted, strongest = arm.report.primary.canaries, arm.strongest
    if planted is None:
        return None
    return {"members": arm.attacks[strongest], "canaries": planted[strongest]}


def _draw(
    axes: Axes, arms: Sequence[Arm], pairs: Sequence[Mapping[str, Ranking]], column: Column
) -> None:
    for place, (arm, pair) in enumerate(zip(arms, pairs, strict=True)):
        for side, (kind, look) in zip((-0.2, 0.2), _LOOK.items(), strict=True):
            number = column.of_attack(pair[kind])
            if number.value is None:
                axes.text(place + side, 0, " not supported", ha="center", va="bottom", rotation=90)
                continue
            axes.bar(
                place + side,
                number.value,
                0.38,
                yerr=bars([number])[1],
                capsize=4,
                edgecolor=COLOUR[arm.name],
                **{"facecolor": COLOUR[arm.name], **look},
            )
    axes.set_xticks(range(len(arms)), [arm.label for arm in arms])
    axes.set_xlim(-0.5, len(arms) - 0.5)
    axes.set_ylim(bottom=0)
    axes.grid(axis="x", visible=False)
    percent_axis(axes.yaxis)


def _supported(pair: Mapping[str, Ranking], column: Column) -> bool:
    return any(column.of_attack(numbers).value is not None for numbers in pair.values())
