"""Training curves: loss and accuracy an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nonmember.plots._arm import Arm
from nonmember.plots._style import COLOUR, MARKER, figure, percent_axis, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_SENTENCE = (
    "Accuracy here is on the batches as they went by;\nthe tables have that of the finished model."
)


def training(arms: Sequence[Arm]) -> Figure:
    """Loss and accuracy on the training batches; the released model's test accuracy dashed.

    A loss is that of the arm's own objective: its course can be compared, its level cannot.
    """
    from matplotlib.ticker import MaxNLocator

    made, (losses, accuracies) = figure(6.4, 2, 1, sharex=True)
    for arm in arms:
        colour, epochs = COLOUR[arm.name], [row["epoch"] for row in arm.curve]
        look: dict[str, Any] = {"color": colour, "marker": MARKER[arm.name], "markersize": 4}
        look["markevery"] = max(1, len(epochs) // 40)
        losses.plot(epochs, [row["loss"] for row in arm.curve], label=arm.label, **look)
        accuracies.plot(epochs, [row["accuracy"] for row in arm.curve], label=arm.label, **look)
        accuracies.axhline(
            arm.report.model.test_acc,
            color=colour,
            linestyle="--",
            label=f"{arm.name}: test accuracy at the end",
        )
    if all(row["loss"] > 0 for arm in arms for row in arm.curve):
        losses.set_yscale("log")
    losses.set(ylabel="training loss", title="Training loss (each arm's own objective)")
    accuracies.set(
        xlabel=f"epoch\n{_SENTENCE}",
        ylabel="accuracy",
        ylim=(0, 1.04),
    )
    accuracies.set_title("Accuracy on the training batches")
    percent_axis(accuracies.yaxis)
    accuracies.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    made.legend(*accuracies.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    title(made, "How the two models were trained")
    return made
