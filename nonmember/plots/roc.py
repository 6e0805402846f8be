"""ROC curves on log–log axes, after Carlini et al. 2022, https://arxiv.org/abs/2112.03570.

A curve is the highest TPR among the thresholds whose FPR is at most x, for x in steps of one
non-member: the rate `rates.tpr_at_fpr` reports. Differs from the common drawing where scores are
equal: there a straight line stands for guessing between them, here a step for not doing so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nonmember.metrics.rates import limits_at
from nonmember.plots._arm import Arm
from nonmember.plots._style import COLOUR, figure, percent_axis, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 300


def curve(
    scores: np.ndarray, member: np.ndarray, points: int = POINTS
) -> tuple[np.ndarray, np.ndarray]:
    """(fpr, tpr), each (k,) with k <= points, of scores (n,) with higher = member.

    fpr: shares of the non-members evenly spaced on a log axis, from one of them to all; tpr: the
    largest whose FPR is at most that. Both never fall, and end in 1.
    """
    outside = np.sort(scores[~member])[::-1]
    inside = np.sort(scores[member])
    allowed = np.unique(np.geomspace(1, len(outside), points).round().astype(int))
    # "Member" means above the next non-member; with all of them allowed there is none.
    limits = np.append(outside, -np.inf)[allowed]
    tpr = 1 - np.searchsorted(inside, limits, side="right") / len(inside)
    return allowed / len(outside), tpr


def band(
    scores: np.ndarray, member: np.ndarray, min_false_positives: int = 10, points: int = POINTS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(fpr, low, high), each (k,): the 95 % interval of the TPR at each FPR of `curve`.

    Point by point, as `rates.tpr_at_fpr` gives it: it holds at each FPR, not along the whole
    curve. FPRs of fewer than `min_false_positives` non-members are left out.
    """
    fpr, _ = curve(scores, member, points)
    kept = fpr[np.rint(fpr * (~member).sum()) >= min_false_positives]
    limits = [limits_at(scores[member], scores[~member], rate) for rate in kept]
    return kept, *np.array(limits).reshape(-1, 2).T


def roc_rows(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Rows fpr, tpr, arm, attack: the strongest adaptive attack of each arm."""
    return [
        {"fpr": f"{x:.6g}", "tpr": f"{y:.6g}", "arm": arm.name, "attack": arm.strongest}
        for arm in arms
        for x, y in zip(*curve(arm.of(arm.strongest), arm.member), strict=True)
    ]


def roc(arms: Sequence[Arm]) -> Figure:
    """Each arm under the strongest adaptive attack of either, with 95 % bands.

    The shaded left part has no bands: an FPR there is fewer than `min_false_positives` of the
    non-members.
    """
    made, axes = figure(6.4)
    attacks = list(dict.fromkeys(arm.strongest for arm in arms))
    for arm in arms:
        for attack in sorted(attacks, key=lambda name: name != arm.strongest):
            _draw_curve(axes, arm, attack)
    non_members = min(int((~arm.member).sum()) for arm in arms)
    left, least = 1 / non_members, arms[0].min_false_positives
    axes.plot([left, 1], [left, 1], color="#555555", linestyle=":", label="guessing")
    _shade(axes, left, min(least / non_members, 1.0), least)
    axes.set(xscale="log", yscale="log", xlim=(left, 1), ylim=(left, 1.15))
    axes.set(xlabel="false positive rate: non-members taken for members")
    axes.set(ylabel="true positive rate: members found\n(bands: 95 % interval at each rate)")
    percent_axis(axes.xaxis)
    percent_axis(axes.yaxis)
    title(made, "Members the strongest adaptive attacks find, by false alarm rate")
    axes.legend(loc="lower right", frameon=True, framealpha=1, edgecolor="#dddddd")
    return made


def _draw_curve(axes: Axes, arm: Arm, attack: str) -> None:
    x, y = curve(arm.of(attack), arm.member)
    strongest = attack == arm.strongest
    fpr, low, high = band(arm.of(attack), arm.member, arm.min_false_positives)
    axes.fill_between(
        fpr,
        low,
        high,
        step="post",
        color=COLOUR[arm.name],
        alpha=0.25 if strongest else 0.12,
        linewidth=0,
    )
    axes.plot(
        x,
        y,
        drawstyle="steps-post",
        color=COLOUR[arm.name],
        linestyle="-" if strongest else "--",
        linewidth=2.2 if strongest else 1.4,
        label=f"{arm.label}: {attack}{', its strongest' if strongest else ''}"
        f" (AUC {100 * arm.auc(attack):.1f} %)",
    )


def _shade(axes: Axes, left: float, right: float, count: int) -> None:
    """Grey out the rates that too few non-members stand for."""
    axes.axvspan(left, right, color="#e8e8e8", zorder=0)
    axes.text(
        left * 1.15,
        0.97,
        f"fewer than {count}\nfalse positives:\nnot supported",
        transform=axes.get_xaxis_transform(),
        fontsize=10.5,
        color="#444444",
        va="top",
    )
