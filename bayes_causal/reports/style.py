"""The look of every figure: colours safe for colour-blind readers (Okabe and Ito), type that survives a phone, little ink."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

INK, MUTED, FAINT, PAPER = "#1d2733", "#5c6773", "#d9dee4", "#ffffff"
FAILED = "#b03f00"
BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000"
CHAINS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
MARKS = {
    "event_study": (ORANGE, "s"),
    "twfe": (ORANGE, "s"),
    "callaway_santanna": (GREEN, "^"),
    "sun_abraham": (PURPLE, "D"),
    "did2s": (VERMILLION, "v"),
    "did_2x2": (SKY, "P"),
    "sc_classic": (ORANGE, "s"),
    "sc_demeaned": (GREEN, "^"),
    "sc_ridge": (PURPLE, "D"),
    "sdid": (VERMILLION, "v"),
    "did_simple": (SKY, "P"),
}
WIDTH = 5.0  # inches: shown 350 px wide on a phone and 600 px on a desk, the smallest type is 10 px there and 17 px here
DPI = 220
FONTS = ("Inter", "Source Sans 3", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans")


@lru_cache(maxsize=1)
def settings() -> dict[str, Any]:
    """Matplotlib settings of the house; names are drawn as they are, never read as formulas."""
    from matplotlib import font_manager

    present = set(font_manager.get_font_names())
    return {
        "font.family": [f for f in FONTS if f in present],
        "font.size": 10.5,
        "axes.titlesize": 11,
        "axes.titlecolor": INK,
        "axes.titlelocation": "left",
        "axes.titlepad": 8,
        "axes.labelsize": 10.5,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": FAINT,
        "axes.linewidth": 1.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "axes.formatter.useoffset": False,
        "axes.formatter.limits": (-4, 6),
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "xtick.major.size": 3,
        "ytick.major.size": 0,
        "grid.color": "#eceff2",
        "grid.linewidth": 0.8,
        "legend.frameon": False,
        "legend.fontsize": 10,
        "legend.labelcolor": INK,
        "legend.handlelength": 1.4,
        "legend.columnspacing": 1.2,
        "legend.handletextpad": 0.5,
        "figure.facecolor": PAPER,
        "savefig.facecolor": PAPER,
        "lines.solid_capstyle": "round",
        "text.parse_math": False,
    }


def house(function: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function under the house settings and restore what was there."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context(settings()):
            return function(*args, **kwargs)

    return inside


def canvas(height: float, ratios: tuple[float, ...] = (1,), *, share_x: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of the house's width with panels below each other, in the ratios given; free of any global state."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.09))
    axes = figure.subplots(len(ratios), 1, squeeze=False, sharex=share_x, gridspec_kw={"height_ratios": ratios})
    return figure, list(axes[:, 0])


@house
def png(figure: Figure) -> bytes:
    """The figure as PNG at twice the resolution of a screen; the same bytes for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def legend(axes: Axes, columns: int = 3, **kwargs: Any) -> None:
    """A legend in a row above the panel, where it hides no data."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        options = {
            "loc": "lower left",
            "bbox_to_anchor": (0, 1),
            "borderaxespad": 0.2,
            "ncols": columns,
            "borderpad": 0.2,
        } | kwargs
        axes.legend(handles, labels, **options)


def title(axes: Axes, text: str, *, above_legend: bool = False) -> None:
    """What the vertical axis shows, written level above the panel, with room for a row of legend below it."""
    axes.set_title(clip(text, 62), pad=26 if above_legend else 8)


@house
def distrust(figure: Figure, reasons: Sequence[str]) -> None:
    """Write across the top of a figure that its numbers are not to be used, since figures travel without their page."""
    words = clip(f"Not reliable: {', '.join(reasons) or 'no value'}", 60)
    figure.suptitle(words, x=0.02, ha="left", color=FAILED, fontsize=11, fontweight="bold")


def zero(axes: Axes, *, vertical: bool = False) -> None:
    """The line of no effect."""
    (axes.axvline if vertical else axes.axhline)(0, color=INK, linewidth=0.9, zorder=1.5)


def clip(text: Any, most: int = 24) -> str:
    """A label short enough to sit beside a panel, cut in the middle, as names often differ at their ends only."""
    text = " ".join(str(text).split())
    tail = (most - 1) // 2
    return text if len(text) <= most else text[: most - 1 - tail].rstrip() + "…" + text[-tail:].lstrip()


def mark(method: str, position: int) -> tuple[str, str]:
    """Colour and marker of a method other than the model; the same in every figure."""
    spare = ((MUTED, "s"), (BLACK, "^"), (VERMILLION, "D"), (GREEN, "v"), (PURPLE, "P"))
    return MARKS.get(method, spare[position % len(spare)])
