"""What the target's samples look like, members against non-members: the pictures of the papers.

Losses and distances are computed from float64 log-probabilities and drawn on axes that spread out
what is close to 0 loss or to a distance of 1: over-trained models put nearly everything there, and
a plain axis would show a single bar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nonmember import statistics
from nonmember.plots._arm import Arm
from nonmember.plots._style import (
    COLOUR,
    figure,
    number,
    percent_axis,
)
from nonmember.views import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FLOOR = 1e-16  # smaller losses, and distances closer to 1, are drawn here
_BINS = 60
_DOTS = 400  # of each kind in a scatter plot


def distance_left(view: View) -> np.ndarray:
    """(n,) float64: 1 − (top − second confidence), in [0, 1], exact where the margin rounds to 1.

    The margin is the papers' "distance to the decision boundary" (CRL, Fig. 1).
    """
    log_p = view.log_probs
    rows = np.arange(len(log_p))
    top = log_p.argmax(axis=1)
    others = log_p.copy()
    others[rows, top] = -np.inf
    return np.exp(np.logaddexp(statistics.log_complement(log_p)[rows, top], others.max(axis=1)))


def histograms(arms: Sequence[Arm], values: Sequence[np.ndarray]) -> tuple[Figure, Sequence[Axes]]:
    """One panel an arm, one set of bins: members filled, non-members outlined and hatched."""
    made, panels = figure(6.4, len(arms), 1, sharex=True, squeeze=False)
    low, high = min(v.min() for v in values), max(v.max() for v in values)
    bins = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    for axes, arm, all_values in zip(panels[:, 0], arms, values, strict=True):
        colour = COLOUR[arm.name]
        looks: Sequence[tuple[bool, dict[str, Any]]] = (
            (True, {"color": colour, "alpha": 0.55, "label": "members"}),
            (False, {"edgecolor": "black", "facecolor": "none", "hatch": "////"}),
        )
        for inside, look in looks:
            chosen = all_values[arm.member == inside]
            kind: dict[str, Any] = {
                "histtype": "stepfilled",
                "weights": np.full(len(chosen), 1 / len(chosen)),
            }
            axes.hist(chosen, bins, **{"label": "non-members", **kind, **look})
        axes.set_ylabel("share of samples")
        percent_axis(axes.yaxis)
    return made, panels[:, 0]


def with_moments(axes: Axes, losses: np.ndarray, member: np.ndarray) -> tuple[list[Any], list[str]]:
    """Legend entries with the mean and variance of the losses."""
    handles, names = axes.get_legend_handles_labels()
    parts = [losses[member if name == "members" else ~member] for name in names]
    return handles, [
        f"{name}: mean {number(part.mean())}, variance {number(part.var())}"
        for name, part in zip(names, parts, strict=True)
    ]


def scatter(axes: Axes, arm: Arm, x: np.ndarray, y: np.ndarray) -> None:
    rng = np.random.default_rng(0)  # the same dots every time
    looks: Sequence[tuple[bool, dict[str, Any]]] = (
        (True, {"color": COLOUR[arm.name], "linewidths": 0, "alpha": 0.6, "label": "members"}),
        (False, {"edgecolors": "black", "facecolors": "none", "linewidths": 0.8}),
    )
    for inside, look in looks:
        rows = np.flatnonzero(arm.member == inside)
        rows = rng.choice(rows, min(len(rows), _DOTS), replace=False)
        axes.scatter(x[rows], y[rows], s=18, **{"label": "non-members", **look})


def stretch(left: np.ndarray) -> np.ndarray:
    """Decades towards a distance of 1: 0.9 -> 1, 0.99 -> 2, …"""
    return -np.log10(np.maximum(left, FLOOR))


def whole_decades(axis: Any, text: Callable[[float, object], str]) -> None:
    """Ticks at whole powers of ten of an axis in decades."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axis.set_major_formatter(text)


def margin(decades: float, _: object = None) -> str:
    """The distance at a place of the stretched axis; from four nines on, what is missing to 1."""
    if decades <= 3:
        return f"{1 - 10**-decades:.3g}"
    return rf"$1 - 10^{{-{decades:g}}}$"


def clipped(values: Sequence[np.ndarray]) -> str:
    """Says so if samples are drawn at the floor instead of where they are."""
    count = sum(int((v < FLOOR).sum()) for v in values)
    return f" ({count} samples beyond its end drawn there)" if count else ""
