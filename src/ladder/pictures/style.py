"""The style of pictures and their files: one palette, one size of text, the same bytes for the same numbers.

Only matplotlib's object interface is used, without pyplot and with settings of its own, so that the user's settings stay
untouched. Nothing else imports matplotlib.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

FORMATS = ("svg", "png")
DPI = 110
SVG_DPI = 80  # resolution of the rasterized lines in an SVG
# The colours of Okabe and Ito (2008) can be distinguished with any colour vision. Lines differ in style or width too.
BLUE, VERMILLION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#00785A", "#E69F00", "#56B4E9"
BLACK, GREY, LIGHT = "#000000", "#767676", "#D0D0D0"
TITLE_CHARACTERS = 12.0  # characters per inch in a figure's title
VECTOR_POINTS = 6_000  # with more of them an SVG would exceed 300 KiB: its thin lines are rasterized
SETTINGS: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 9.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9.5,
    "figure.titlesize": 11,
    "font.size": 9.5,
    "grid.color": "#E8E8E8",
    "grid.linewidth": 0.6,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "savefig.dpi": DPI,
    "svg.fonttype": "none",  # text stays text: smaller, searchable, and readable by screen readers
    "svg.hashsalt": "ladder",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
}


@contextmanager
def settings() -> Iterator[None]:
    """Provide ladder's settings of matplotlib while drawing: the user's are restored, and warnings do not cost a picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import matplotlib as mpl

        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(SETTINGS)
            yield


def panels(
    rows: int,
    columns: int,
    width: float,
    height: float,
    layout: Literal["constrained", "compressed"] = "constrained",
    **more: Any,
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes, in an array (rows, columns).

    Args:
        rows: The number of rows.
        columns: The number of columns.
        width: The width of each panel in inches.
        height: The height of each panel in inches.
        layout: The layout engine of matplotlib.
        more: Further arguments of ``Figure.subplots``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * width, rows * height + 0.9), dpi=DPI, layout=layout)
    return figure, figure.subplots(rows, columns, squeeze=False, **more)


def files(figure: Figure, title: str) -> dict[str, bytes]:
    """Return the content of the figure's files by format, with a title above the figure."""
    width = int(figure.get_figwidth() * TITLE_CHARACTERS)
    figure.suptitle("\n".join(line for part in title.splitlines() for line in wrapped(part, width)))
    svg, png = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None}, dpi=SVG_DPI)
    figure.set_layout_engine("none")  # it is laid out; another time would take as long as drawing it
    figure.savefig(png, format="png", dpi=DPI)
    return {"svg": svg.getvalue(), "png": _in_few_colours(png)}


def _in_few_colours(png: io.BytesIO) -> bytes:
    """Return a PNG with a palette, a third as large."""
    from PIL import Image  # matplotlib requires it

    content = io.BytesIO()
    Image.open(png).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(content, "png", optimize=True)
    return content.getvalue()


def wrapped(text: str, width: int) -> list[str]:
    """Return the text in as few lines as possible, of about equal length."""
    least = len(textwrap.wrap(text, width))
    return next(
        lines for w in range(-(-len(text) // max(least, 1)), width + 1) if len(lines := textwrap.wrap(text, w)) <= least
    )


def legend(figure: Figure, entries: Mapping[str, Any], columns: int = 4) -> None:
    """Draw a legend below all axes, with each kind of line once."""
    figure.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=min(columns, max(1, len(entries)))
    )


def over_time(figure: Figure, axes: np.ndarray, low: float, high: float, label: str) -> Colormap:
    """Return a colour map for times, dark to light, and draw its colour bar beside the axes.

    Args:
        figure: The figure.
        axes: The axes that the bar stands beside.
        low: The time of the darkest colour.
        high: The time of the lightest colour.
        label: The label of the bar.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    colours = ListedColormap(colormaps["viridis"](np.linspace(0.0, 0.9, 256)))  # lighter colours are lost on white
    figure.colorbar(ScalarMappable(Normalize(low, high), colours), ax=axes, label=label, shrink=0.8, aspect=30)
    return colours


def note(axes: Axes, height: float, text: str) -> None:
    """Draw a remark inside the axes, in the middle, at this share of their height."""
    patch = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5}
    axes.text(0.5, height, text, transform=axes.transAxes, ha="center", va="center", zorder=8, bbox=patch)


def height(axes: Axes, y: float) -> float:
    """Return the height of a value in the axes, from 0 at the bottom to 1 at the top; their limits must be set."""
    to_axes = axes.transData + axes.transAxes.inverted()
    return float(to_axes.transform((axes.get_xlim()[0], y))[1])


def at_right(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Draw labels in the margin, each beside its value and in its colour; labels too close are moved apart."""
    below = -np.inf
    for y, text, colour in sorted(labels):
        at = max(height(axes, y), below + 0.17)
        below = at
        axes.annotate(
            text,
            (1.0, at),
            (4, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=8.5,
            annotation_clip=False,
        )
