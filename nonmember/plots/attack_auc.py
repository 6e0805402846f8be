"""Every attack's AUC on both arms, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nonmember.plots._arm import Arm
from nonmember.plots._style import COLOUR, MARKER, auc_rows, figure, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OFFSET = {"undefended": -0.2, "defended": 0.05}
_NAIVE = 0.25  # the hollow marker below the filled one


def attack_auc(arms: Sequence[Arm], min_false_positives: int) -> Figure:
    """One row an attack, in the order of params.yaml.

    Attacks whose scores come from undefended shadows are hollow, where their AUC is another one.
    """
    names = list(arms[0].attacks)
    made, axes = figure(2.2 + 0.42 * len(names))
    auc_rows(axes, names)
    for arm in arms:
        _draw(axes, arm, arm.attacks, names, _OFFSET[arm.name], filled=True)
        naive = {
            name: numbers
            for name, numbers in arm.audit.get("non_adaptive", {}).items()
            if numbers["auc"] != arm.attacks[name]["auc"]
        }
        _draw(axes, arm, naive, names, _OFFSET[arm.name] + _NAIVE, filled=False)
    axes.set_xlabel("AUC: chance that a member scores above a non-member\n(bars: 95 % interval)")
    title(made, "How well each attack tells members from non-members")
    made.legend(loc="outside lower center", ncols=2)
    return made


def _draw(
    axes: Axes,
    arm: Arm,
    audit: Mapping[str, Any],
    names: Sequence[str],
    offset: float,
    filled: bool,
) -> None:
    if not audit:
        return
    values = [audit[name]["auc"] for name in audit]
    low = [audit[name]["auc"] - audit[name]["auc_low"] for name in audit]
    high = [audit[name]["auc_high"] - audit[name]["auc"] for name in audit]
    how = "" if filled or arm.name == "undefended" else ", non-adaptive: undefended shadows"
    axes.errorbar(
        values,
        [names.index(name) + offset for name in audit],
        xerr=[low, high],
        color=COLOUR[arm.name],
        marker=MARKER[arm.name],
        markerfacecolor=COLOUR[arm.name] if filled else "white",
        markersize=7,
        linestyle="none",
        elinewidth=1.8,
        capsize=3,
        label=arm.label + how,
    )
