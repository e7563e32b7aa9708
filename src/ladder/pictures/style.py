"""How pictures look and how they are filed: one palette, one size of text, the same bytes for the same numbers.

The object interface alone is used, without pyplot and with settings of its own, so that nothing of a user's is touched. Nothing
else imports matplotlib.
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
SVG_DPI = 80  # of the lines in an SVG that are pixels
# Okabe and Ito (2008): told apart with any colour vision. Lines differ in style or width too.
BLUE, VERMILLION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#00785A", "#E69F00", "#56B4E9"
BLACK, GREY, LIGHT = "#000000", "#767676", "#D0D0D0"
TITLE_CHARACTERS = 12.0  # of a figure's title to an inch
VECTOR_POINTS = 6_000  # a figure with more of them would be an SVG of more than 300 KiB: its thin lines are pixels
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
    "svg.fonttype": "none",  # text stays text: smaller, and it can be searched and read out
    "svg.hashsalt": "ladder",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
}


@contextmanager
def settings() -> Iterator[None]:
    """Draw in here: the user's settings of matplotlib are left aside and put back, and its warnings cost no picture."""
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
    """A figure of axes, each so many inches wide and high, in an array (rows, columns); ``more`` goes to ``subplots``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * width, rows * height + 0.9), dpi=DPI, layout=layout)
    return figure, figure.subplots(rows, columns, squeeze=False, **more)


def files(figure: Figure, title: str) -> dict[str, bytes]:
    """The figure under its title: format to file."""
    width = int(figure.get_figwidth() * TITLE_CHARACTERS)
    figure.suptitle("\n".join(line for part in title.splitlines() for line in wrapped(part, width)))
    svg, png = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None}, dpi=SVG_DPI)
    figure.set_layout_engine("none")  # it is laid out, and to do that again takes as long as to draw it
    figure.savefig(png, format="png", dpi=DPI)
    return {"svg": svg.getvalue(), "png": _in_few_colours(png)}


def _in_few_colours(png: io.BytesIO) -> bytes:
    """The same with a palette, a third as large."""
    from PIL import Image  # matplotlib requires it

    content = io.BytesIO()
    Image.open(png).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(content, "png", optimize=True)
    return content.getvalue()


def wrapped(text: str, width: int) -> list[str]:
    """The text in as few lines as it takes, about equally long."""
    least = len(textwrap.wrap(text, width))
    return next(
        lines for w in range(-(-len(text) // max(least, 1)), width + 1) if len(lines := textwrap.wrap(text, w)) <= least
    )


def legend(figure: Figure, entries: Mapping[str, Any], columns: int = 4) -> None:
    """What the lines are, each once, below all axes."""
    figure.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=min(columns, max(1, len(entries)))
    )


def over_time(figure: Figure, axes: np.ndarray, low: float, high: float, label: str) -> Colormap:
    """Colours for the times from ``low`` to ``high``, dark to light, with a bar that says so beside the axes."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    colours = ListedColormap(colormaps["viridis"](np.linspace(0.0, 0.9, 256)))  # beyond it is lost on white
    figure.colorbar(ScalarMappable(Normalize(low, high), colours), ax=axes, label=label, shrink=0.8, aspect=30)
    return colours


def note(axes: Axes, height: float, text: str) -> None:
    """A remark inside the axes, in the middle at this share of their height."""
    patch = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5}
    axes.text(0.5, height, text, transform=axes.transAxes, ha="center", va="center", zorder=8, bbox=patch)


def height(axes: Axes, y: float) -> float:
    """Where a value lies in the axes, from 0 at the bottom to 1 at the top; their limits must be set."""
    to_axes = axes.transData + axes.transAxes.inverted()
    return float(to_axes.transform((axes.get_xlim()[0], y))[1])


def at_right(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Labels in the margin, each beside the height that it belongs to, in its colour; those too close are moved apart."""
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
