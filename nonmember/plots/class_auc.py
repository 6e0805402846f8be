"""The ten classes whose members are found most easily, on both arms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nonmember.metrics import measure
from nonmember.metrics.report import ClassNumbers
from nonmember.plots._arm import Arm
from nonmember.plots._style import COLOUR, MARKER, auc_rows, bars, figure, said, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 10
_OFFSET = {"undefended": -0.15, "defended": 0.15}
_TITLE = "The classes whose members are found most easily"


def class_auc(arms: Sequence[Arm]) -> Figure:
    """AUC of each arm's strongest adaptive attack, on the samples of one class at a time.

    The classes with the highest AUC on either arm, worst first; an arm that does not support a
    class has no mark there.
    """
    tables = {arm.name: _classes(arm) for arm in arms}
    worst = measure.worst_classes([row for rows in tables.values() for row in rows], 2 * _SHOWN)
    labels = list(dict.fromkeys(row.label for row in worst))[:_SHOWN]
    if not labels:
        return said("no class has enough members and non-members", _TITLE)
    made, axes = figure(2.6 + 0.45 * len(labels))
    auc_rows(axes, [_name(arms[0], label) for label in labels])
    for arm in arms:
        numbers = [tables[arm.name][label].auc for label in labels]
        places = [y for y, number in enumerate(numbers) if number.value is not None]
        values, errors = bars(numbers)
        axes.errorbar(
            values,
            [y + _OFFSET[arm.name] for y in places],
            xerr=errors,
            color=COLOUR[arm.name],
            marker=MARKER[arm.name],
            markersize=7,
            linestyle="none",
            elinewidth=1.8,
            capsize=3,
            label=f"{arm.label}: {arm.strongest}"
            f" (AUC {100 * arm.auc(arm.strongest):.1f} % over all classes)",
        )
    axes.set_xlabel(
        "AUC on the samples of one class (bars: 95 % interval of a class\n"
        "by itself; the worst of many look worse than they are)"
    )
    title(made, _TITLE)
    made.legend(loc="outside lower center")
    return made


def _classes(arm: Arm) -> list[ClassNumbers]:
    labels = arm.view.labels
    classes = arm.view.logits.shape[1]
    return measure.class_numbers(arm.of(arm.strongest), arm.member, labels, classes)


def _name(arm: Arm, label: int) -> str:
    return f"class {label}" if arm.class_names is None else arm.class_names[label]
