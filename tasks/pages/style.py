"""How plots look: drawn by matplotlib in stand-in colours that become the page's own, so they follow light and dark.

SVG text stays text (it can be searched, read out and scaled), and ids are made unlike those of other plots on the page.
"""

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

# Stand-ins: colours that nothing else uses, each replaced by a CSS variable of the page.
INK, MUTED, GRID, PAPER = "#010101", "#020202", "#030303", "#040404"
FIRST, SECOND, THIRD, QUIET, BAND = "#050505", "#060606", "#070707", "#080808", "#090909"
_VARIABLES = {
    INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--card",
    FIRST: "--first", SECOND: "--second", THIRD: "--third", QUIET: "--quiet", BAND: "--band",
}  # fmt: skip
SERIES = (FIRST, SECOND, THIRD, QUIET)
_COLOURS = {
    "final": FIRST, "recommended": FIRST, "hits": FIRST, "popularity": SECOND, "watched": SECOND,
    "random": QUIET, "oracle": QUIET, "places": QUIET, "catalogue": QUIET,
}  # fmt: skip

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "nightjar",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so widths are the same everywhere
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.edgecolor": GRID,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.titlecolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
}
WIDTH_IN = 5.2

_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def _styled() -> Iterator[None]:
    """The page's style. matplotlib's settings are the process's own: nights side by side take turns."""
    with _ONE_AT_A_TIME, mpl.rc_context(_STYLE):
        yield


def colour_of(series: str, place: int = 0) -> str:
    """The colour that a series has in every plot of the page, or one by its place."""
    return _COLOURS.get(series, SERIES[min(place, len(SERIES) - 1)])


@contextmanager
def drawing(height_in: float, panels: int = 1) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of one or several panels above each other, in the page's style."""
    with _styled():
        layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.04)
        figure = Figure(figsize=(WIDTH_IN, height_in), layout=layout)
        axes = figure.subplots(panels, 1, squeeze=False, sharex=panels > 1)
        yield figure, [row[0] for row in axes]


def to_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an `<svg>` element to stand in a page; the same figure gives the same text.

    Args:
        name: unique on the page, in ids.
        description: read out instead of the picture.
    """
    buffer = io.StringIO()
    with _styled():
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(
        r' id="(?:figure|axes|patch|line2d|text|matplotlib|xtick|ytick|LineCollection|PathCollection)\w*"', "", text
    )
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font: ((?:[a-z0-9]+ )*[\d.]+px) [^;\"]+", r"font: \1 var(--sans)", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert size is not None
    head = f'<svg class="plot" viewBox="0 0 {size[1]} {size[2]}" role="img" aria-label="{_attribute(description)}">'
    return re.sub(r"<svg[^>]*>", lambda _: head, text, count=1).strip()


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
