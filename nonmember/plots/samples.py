"""What the target's samples look like, members against non-members: the pictures of the papers.

Losses and distances are computed from float64 log-probabilities and drawn on axes that spread out
what is close to 0 loss or to a distance of 1: over-trained models put nearly everything there, and
a plain axis would show a single bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nonmember import statistics
from nonmember.evidence import View
from nonmember.plots._arm import Arm
from nonmember.plots._style import COLOUR, figure, number, percent_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FLOOR = 1e-16  # smaller losses, and distances closer to 1, are drawn here
_BINS = 60
_DOTS = 600  # of each kind in a scatter plot


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


def loss(arms: Sequence[Arm], min_false_positives: int) -> Figure:
    """Histograms of the cross-entropy loss (RelaxLoss, Fig. 1), on a log axis."""
    values = [statistics.cross_entropy(arm.view.log_probs, arm.view.labels) for arm in arms]
    made, panels = _histograms(arms, [np.log10(np.maximum(v, FLOOR)) for v in values])
    for axes, arm, losses in zip(panels, arms, values, strict=True):
        for inside, line in ((True, "-"), (False, "--")):
            mean = losses[arm.member == inside].mean()
            axes.axvline(np.log10(max(mean, FLOOR)), color="black", linestyle=line, linewidth=1.4)
        axes.legend(*_with_moments(axes, losses, arm.member), loc="upper left")
    ends = panels[-1]
    ends.xaxis.set_major_formatter(lambda x, _: rf"$10^{{{x:g}}}$")
    ends.set_xlabel("cross-entropy loss in nats, log axis" + _clipped(values))
    made.suptitle("Loss of members and of non-members (upright lines: means)", x=0.01, ha="left")
    return made


def boundary(arms: Sequence[Arm], min_false_positives: int) -> Figure:
    """Histograms of the distance to the decision boundary (CRL, Fig. 6)."""
    left = [distance_left(arm.view) for arm in arms]
    made, panels = _histograms(arms, [_stretch(values) for values in left])
    for axes in panels:
        axes.legend(loc="upper left")
    panels[-1].xaxis.set_major_formatter(_margin)
    panels[-1].set_xlabel(
        "distance to the decision boundary: first minus second confidence,\n"
        "axis stretched towards 1" + _clipped(left)
    )
    made.suptitle("How sure the model is of members and of non-members", x=0.01, ha="left")
    return made


def origin_boundary(arms: Sequence[Arm], min_false_positives: int) -> Figure:
    """Distance to the origin in feature space against that to the boundary (CRL, Fig. 1).

    Raises ValueError for a view without the signal `feature_norm`.
    """
    made, panels = figure(5.2, 1, len(arms), sharex=True, sharey=True, squeeze=False)
    left = [distance_left(arm.view) for arm in arms]
    for axes, arm, values in zip(panels[0], arms, left, strict=True):
        if "feature_norm" not in arm.view.norms:
            raise ValueError(f"{arm.name}: no signal feature_norm; run the stage extract again")
        _scatter(axes, arm, arm.view.norms["feature_norm"], _stretch(values))
        axes.set_title(arm.label)
        axes.set_xlabel("distance to the origin:\nnorm of the last layer's input")
        axes.legend(loc="lower left", frameon=True, framealpha=0.85, edgecolor="none")
    panels[0, 0].yaxis.set_major_formatter(_margin)
    panels[0, 0].set_ylabel(
        "distance to the decision boundary,\naxis stretched towards 1" + _clipped(left)
    )
    made.suptitle("Where members and non-members lie", x=0.01, ha="left")
    return made


def _histograms(arms: Sequence[Arm], values: Sequence[np.ndarray]) -> tuple[Figure, Sequence[Axes]]:
    """One panel an arm, one set of bins: members filled, non-members outlined and hatched."""
    made, panels = figure(6.4, len(arms), 1, sharex=True, sharey=True, squeeze=False)
    low, high = min(v.min() for v in values), max(v.max() for v in values)
    bins = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    for axes, arm, all_values in zip(panels[:, 0], arms, values, strict=True):
        colour = COLOUR[arm.name]
        for inside, look in (
            (True, {"color": colour, "alpha": 0.55, "label": "members"}),
            (False, {"edgecolor": "black", "facecolor": "none", "hatch": "////"}),
        ):
            chosen = all_values[arm.member == inside]
            kind = {"histtype": "stepfilled", "weights": np.full(len(chosen), 1 / len(chosen))}
            axes.hist(chosen, bins, **{"label": "non-members", **kind, **look})
        axes.set_title(arm.label, color=colour, weight="bold")
        axes.set_ylabel("share of samples")
        percent_axis(axes.yaxis)
    return made, panels[:, 0]


def _with_moments(
    axes: Axes, losses: np.ndarray, member: np.ndarray
) -> tuple[list[object], list[str]]:
    """Legend entries with the mean and variance of the losses."""
    handles, names = axes.get_legend_handles_labels()
    parts = [losses[member if name == "members" else ~member] for name in names]
    return handles, [
        f"{name}: mean {number(part.mean())}, variance {number(part.var())}"
        for name, part in zip(names, parts, strict=True)
    ]


def _scatter(axes: Axes, arm: Arm, x: np.ndarray, y: np.ndarray) -> None:
    rng = np.random.default_rng(0)  # the same dots every time
    for inside, look in (
        (True, {"color": COLOUR[arm.name], "linewidths": 0, "alpha": 0.6, "label": "members"}),
        (False, {"edgecolors": "black", "facecolors": "none", "linewidths": 0.9}),
    ):
        rows = np.flatnonzero(arm.member == inside)
        rows = rng.choice(rows, min(len(rows), _DOTS), replace=False)
        axes.scatter(x[rows], y[rows], s=18, **{"label": "non-members", **look})


def _stretch(left: np.ndarray) -> np.ndarray:
    """Decades towards a distance of 1: 0.9 -> 1, 0.99 -> 2, …"""
    return -np.log10(np.maximum(left, FLOOR))


def _margin(decades: float, _: object = None) -> str:
    """The distance at a place of the stretched axis; from four nines on, what is missing to 1."""
    if decades <= 3:
        return f"{1 - 10**-decades:.3g}"
    return rf"$1 - 10^{{-{decades:g}}}$"


def _clipped(values: Sequence[np.ndarray]) -> str:
    """Says so if samples are drawn at the floor instead of where they are."""
    count = sum(int((v < FLOOR).sum()) for v in values)
    return f" ({count} samples beyond its end drawn there)" if count else ""
