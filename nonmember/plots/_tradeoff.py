"""Defenses beside each other: what they cost in accuracy, and what the spread of losses does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from nonmember.metrics.intervals import Z
from nonmember.plots._style import COLOUR, figure, percent_axis, png, style, title
from nonmember.reporting.points import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_VAR = 1e-9
_OTHER = "#666666"


def tradeoff(points: Sequence[Point], stamp: str) -> bytes:
    """PNG of two panels: AUC against test accuracy, and against the variance of members' losses
    (RelaxLoss, appendix C.2) with Spearman's rank correlation over the defenses.

    stamp: what the points are of.

    Blue: no other is both more accurate and harder to attack. Orange: the undefended control.
    Lines join the settings of one defense, in the order given.
    """
    points = [replace(p, loss_var=max(p.loss_var, LEAST_VAR)) for p in points]
    with style():
        made, axes = figure(11, rows=2)
        best = {point.name for point in front(points)}
        for axis, key in zip(axes, ("test_acc", "loss_var"), strict=True):
            if key == "loss_var":
                axis.set_xscale("log")
            _draw(axis, points, best, key)
            axis.set_ylabel("highest AUC of any attack")
            percent_axis(axis.yaxis)
        axes[0].set_xlabel("test accuracy (bars: 95 % interval of the AUC)")
        percent_axis(axes[0].xaxis)
        axes[0].set_title("Right and low is good; blue: no other is better in both")
        axes[1].set_xlabel("variance of the members' losses, nats²")
        axes[1].set_title(_correlation(points))
        title(made, "Attack against accuracy, and against the spread of the losses")
        made.canvas.draw()  # label places depend on the final layout
        for axis, key in zip(axes, ("test_acc", "loss_var"), strict=True):
            _label(axis, points, best, key)
        return png(made, stamp)


def front(points: Iterable[Point]) -> list[Point]:
    """Those that no other beats in accuracy and AUC together."""
    points = list(points)
    return [
        p
        for p in points
        if not any(
            q.test_acc >= p.test_acc
            and q.auc <= p.auc
            and (q.test_acc, q.auc) != (p.test_acc, p.auc)
            for q in points
        )
    ]


def spearman(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Rank correlation with its 95 % interval (Fisher's z with Bonett and Wright's error).

    Raises ValueError for fewer than five pairs.
    """
    if len(x) < 5:
        raise ValueError(f"a rank correlation needs five pairs or more, got {len(x)}")
    rho = float(stats.spearmanr(x, y).statistic)
    error = Z * math.sqrt((1 + rho**2 / 2) / (len(x) - 3))
    most = 1 - 6 / (len(x) ** 3 - len(x))  # half a swap short of 1, which would have no interval
    z = math.atanh(min(max(rho, -most), most))
    return rho, math.tanh(z - error), math.tanh(z + error)


def _correlation(points: Sequence[Point]) -> str:
    if (
        len({(p.loss_var, p.auc) for p in points}) < 5  # a defense that never acts is `none` again
        or len({p.loss_var for p in points}) == 1
        or len({p.auc for p in points}) == 1
    ):
        return "Too few different defenses for a correlation"
    rho, low, high = spearman([p.loss_var for p in points], [p.auc for p in points])
    return f"Rank correlation {rho:.2f} (95 %: {low:.2f} to {high:.2f}), {len(points)} models"


def _colour(name: str, best: set[str]) -> str:
    if name == "none":
        return COLOUR["undefended"]
    return COLOUR["defended"] if name in best else _OTHER


def _draw(axis: Axes, points: Sequence[Point], best: set[str], key: str) -> None:
    for family in dict.fromkeys(p.family for p in points):
        own = [p for p in points if p.family == family]
        axis.plot([getattr(p, key) for p in own], [p.auc for p in own], color="#bbbbbb", zorder=1)
    for p in points:
        axis.errorbar(
            getattr(p, key), p.auc, yerr=[[p.auc - p.auc_low], [p.auc_high - p.auc]],
            color=_colour(p.name, best), marker="D" if p.name == "none" else "o",
            markersize=7, elinewidth=1.2,
        )  # fmt: skip
    axis.margins(x=0.08, y=0.08)


def _label(axis: Axes, points: Sequence[Point], best: set[str], key: str) -> None:
    """Each name at the nearest free place round its point that a line reaches past other names."""
    scale = axis.figure.dpi / 72
    dots = axis.transData.transform([(getattr(p, key), p.auc) for p in points])
    frame = axis.get_window_extent()
    marks = [_box(x, y, 12 * scale, 12 * scale) for x, y in dots]
    names: list[tuple[float, float, float, float]] = []
    for (x, y), p in zip(dots, points, strict=True):
        width, height = (7.2 * len(p.name) + 4) * scale, 13 * scale
        places = [
            (x + math.cos(turn) * (radius * scale + width / 2), y + math.sin(turn) * radius * scale)
            for radius in (12, 18, 26, 36, 50, 68, 90, 115, 145, 180)
            for turn in np.linspace(0, 2 * math.pi, 16, endpoint=False)
        ]
        free = [
            place
            for place in places
            if _inside(_box(*place, width, height), frame.extents)
            and not any(_overlap(_box(*place, width, height), other) for other in marks + names)
        ]
        clear = [
            place for place in free if not any(_crosses((x, y), place, other) for other in names)
        ]
        place = next(iter([*clear, *free, *places]))
        names.append(_box(*place, width, height))
        axis.annotate(
            p.name, (x, y), place, xycoords="figure pixels", textcoords="figure pixels",
            ha="center", va="center", fontsize=11, color=_colour(p.name, best),
            weight="bold" if p.name in best or p.name == "none" else "normal",
            arrowprops={"arrowstyle": "-", "color": "#bbbbbb", "linewidth": 0.8, "shrinkB": 4},
        )  # fmt: skip


def _box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _inside(box: tuple[float, ...], frame: tuple[float, ...]) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _crosses(begin: Iterable[float], end: Iterable[float], box: tuple[float, ...]) -> bool:
    steps = np.linspace(tuple(begin), tuple(end), 30)
    return bool(np.any(np.all((steps > box[:2]) & (steps < box[2:]), axis=1)))


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
