"""Every attack's AUC on both arms, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nonmember.metrics.report import AttackNumbers
from nonmember.plots._arm import Arm
from nonmember.plots._style import COLOUR, MARKER, auc_rows, bars, figure, title
from nonmember.reporting.columns import ATTACK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AUC = ATTACK[0]
_OFFSET = {"undefended": -0.2, "defended": 0.05}
_NAIVE = 0.25  # the hollow marker below the filled one


def attack_auc(arms: Sequence[Arm]) -> Figure:
    """One row an attack, in the order of params.yaml.

    Attacks whose scores come from undefended shadows are hollow, where their AUC is another one.
    """
    names = list(arms[0].attacks)
    made, axes = figure(2.2 + 0.42 * len(names))
    auc_rows(axes, names)
    for arm in arms:
        _draw(axes, arm, arm.attacks, names, _OFFSET[arm.name], filled=True)
        other = arm.report.attackers.get("non_adaptive")
        naive = {
            name: numbers
            for name, numbers in (other.attacks if other else {}).items()
            if numbers.auc != arm.attacks[name].auc
        }
        _draw(axes, arm, naive, names, _OFFSET[arm.name] + _NAIVE, filled=False)
    axes.set_xlabel(f"{AUC.words}\n(bars: 95 % interval)")
    title(made, "How well each attack tells members from non-members")
    made.legend(loc="outside lower center", ncols=2)
    return made


def _draw(
    axes: Axes,
    arm: Arm,
    attacks: Mapping[str, AttackNumbers],
    names: Sequence[str],
    offset: float,
    filled: bool,
) -> None:
    if not attacks:
        return
    how = "" if filled or arm.name == "undefended" else ", non-adaptive: undefended shadows"
    values, errors = bars([AUC.of_attack(numbers) for numbers in attacks.values()])
    axes.errorbar(
        values,
        [names.index(name) + offset for name in attacks],
        xerr=errors,
        color=COLOUR[arm.name],
        marker=MARKER[arm.name],
        markerfacecolor=COLOUR[arm.name] if filled else "white",
        markersize=7,
        linestyle="none",
        elinewidth=1.8,
        capsize=3,
        label=arm.label + how,
    )
