"""One look for all pictures, and bytes that depend on the numbers alone."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nonmember.metrics.report import Number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours: told apart with any colour vision, and in grey by their lightness.
COLOUR = {"undefended": "#D55E00", "defended": "#0072B2"}
MARKER = {"undefended": "o", "defended": "s"}
_STRIP = 0.2  # inches below a picture, for its stamp
_WIDTH, _DPI = 8.0, 160  # 1280 pixels, shown at 800 in a README
_RC: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters everywhere
    "font.size": 12,
    "axes.titlesize": 12.5,
    "axes.titlelocation": "left",
    "figure.titlesize": 14,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "legend.fontsize": 11,
    "hatch.linewidth": 0.8,
}


@contextmanager
def style() -> Iterator[None]:
    """Our settings on top of matplotlib's own defaults, whatever the user's matplotlibrc says."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def figure(height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure without pyplot (no display, nothing global), `height` in inches, and its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(_WIDTH, height), dpi=_DPI)
    FigureCanvasAgg(made)
    return made, made.subplots(rows, columns, **options)


def png(made: Figure, stamp: str) -> bytes:
    """The picture as PNG without date or version, its stamp in a strip of its own below.

    Equal figures give equal bytes.
    """
    from PIL import Image

    parts = [Image.open(io.BytesIO(_drawn(each))) for each in (made, _strip(stamp))]
    whole = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)), "white")
    for part, top in zip(parts, (0, parts[0].height), strict=True):
        whole.paste(part.convert("RGB"), (0, top))
    buffer = io.BytesIO()
    whole.save(buffer, format="png", dpi=(_DPI, _DPI))
    return buffer.getvalue()


def _drawn(made: Figure) -> bytes:
    buffer = io.BytesIO()
    made.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _strip(text: str) -> Figure:
    """What the picture is of, small, to the right."""
    made, axes = figure(_STRIP)
    axes.set_axis_off()
    made.text(0.993, 0.3, text, ha="right", va="bottom", fontsize=7.5, color="#666666")
    return made


def percent(value: float, _: object = None) -> str:
    """0.001 -> '0.1 %'; also a tick formatter."""
    return f"{100 * value:.6g} %"


def percent_axis(axis: Any) -> None:
    axis.set_major_formatter(percent)


def number(value: float) -> str:
    """Two digits; powers of ten written out: 9.7e-05 -> 9.7 × 10⁻⁵ (mathtext)."""
    digits, _, power = f"{value:.2g}".partition("e")
    return rf"${digits} \times 10^{{{int(power)}}}$" if power else digits


def sentence(made: Figure, text: str) -> None:
    """What to look for, below the axes."""
    made.supxlabel(text, fontsize=11, color="#333333")


def title(made: Figure, text: str) -> None:
    """The line on top that says what the picture shows."""
    made.suptitle(text, x=0.01, ha="left", weight="bold")


def bars(numbers: Sequence[Number]) -> tuple[list[float], list[list[float]]]:
    """Values that are there, and how far their intervals reach below and above."""
    ends = [(n.value, n.low, n.high) for n in numbers]
    whole = [
        (v, lo, hi) for v, lo, hi in ends if v is not None and lo is not None and hi is not None
    ]
    return (
        [value for value, _, _ in whole],
        [[value - low for value, low, _ in whole], [high - value for value, _, high in whole]],
    )


def auc_rows(axes: Axes, names: Sequence[str]) -> None:
    """AUCs along x, one row a name from the top, lines between the rows and one at guessing."""
    axes.axvline(0.5, color="#555555", linestyle=":", linewidth=1.5)
    axes.text(0.5, -0.75, "guessing", ha="center", va="bottom", color="#444444", fontsize=11)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.8)
    axes.set_yticks([row + 0.5 for row in range(len(names) - 1)], minor=True)
    axes.tick_params(axis="y", which="both", length=0)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="y", which="minor")
    percent_axis(axes.xaxis)


def said(text: str, heading: str) -> Figure:
    """A low picture that says in words why there is nothing to see."""
    made, axes = figure(1.6)
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color="#444444")
    title(made, heading)
    return made


def legend_above(axes: Axes, arm_name: str, label: str, entries: Any, columns: int = 1) -> None:
    """The arm's name and the legend over the axes, where they hide no data."""
    made = axes.legend(
        *entries,
        title=label,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderpad=0,
        ncols=columns,
        alignment="left",
        columnspacing=1.2,
        handlelength=1.8,
        handletextpad=0.5,
    )
    made.get_title().set(color=COLOUR[arm_name], weight="bold", size=12.5)
