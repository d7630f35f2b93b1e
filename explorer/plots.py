"""Plots of the explorer beyond the report's: points that can be pointed at, drawn as SVG in the page's colours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

PALETTE = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#e08a3c", "#7a6fc0", "#8c6d5a", "#4fae94",
)  # fmt: skip
"""Ten hues that are told apart on light and on dark, after Tol's "bright" scheme."""
OTHER = "#9a968f"
WIDTH, HEIGHT, MARGIN = 900, 560, 44


_CIRCLE = Markup(
    '<circle cx="{:.1f}" cy="{:.1f}" r="{}" fill="{}" fill-opacity="{}" data-id="{}"><title>{}</title></circle>'
)


@dataclass(frozen=True)
class Point:
    """One point: where, of which group, what it is called, and what is told when it is picked."""

    x: float
    y: float
    group: str
    title: str
    id: int = -1
    large: bool = False


def points(
    drawn: Sequence[Point], groups: Sequence[str], xlabel: str = "", ylabel: str = "", line: Sequence[int] = ()
) -> Markup:
    """Points in colours by group, with a legend; a title shows where the pointer rests.

    Args:
        groups: in the order of the legend; a group that is not among the first ten is drawn as "other".
        xlabel, ylabel: names of the axes, whose ends are then written; without, the plane has no units.
        line: places in `drawn` that a line connects, such as a Pareto front.
    """
    colours = {group: PALETTE[n] if n < len(PALETTE) else OTHER for n, group in enumerate(groups)}
    spots = _spots(drawn)
    circles = Markup("").join(
        _CIRCLE.format(
            x, y, 7 if p.large else 3.6, colours.get(p.group, OTHER), 1 if p.large else 0.72, p.id, p.title
        )
        for p, (x, y) in zip(drawn, spots.tolist(), strict=True)
    )  # fmt: skip
    front = Markup("")
    if line:
        path = " ".join(f"{spots[n][0]:.1f},{spots[n][1]:.1f}" for n in line)
        front = Markup('<polyline points="{}" fill="none" stroke="var(--muted)" stroke-dasharray="4 3"/>').format(path)
    axes = _axes(drawn, xlabel, ylabel) if xlabel else Markup("")
    told = escape(f"{len(drawn)} points" + (f", {ylabel} by {xlabel}" if xlabel else ""))
    svg = Markup('<svg class="plot points" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>')
    return svg.format(WIDTH, HEIGHT, told, axes, front, circles) + _legend(drawn, colours)


def _spots(drawn: Sequence[Point]) -> np.ndarray:
    """`[N, 2]`: where on the picture each point stands."""
    at = np.array([(p.x, p.y) for p in drawn], dtype=float).reshape(-1, 2)
    low, high = at.min(axis=0, initial=np.inf), at.max(axis=0, initial=-np.inf)
    share = (at - low) / np.where(high > low, high - low, 1)
    spots = share * (WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN) + MARGIN
    spots[:, 1] = HEIGHT - spots[:, 1]
    return spots


def _axes(drawn: Sequence[Point], xlabel: str, ylabel: str) -> Markup:
    """A frame with the names of the axes and the values at their ends."""
    xs, ys = [p.x for p in drawn] or [0.0], [p.y for p in drawn] or [0.0]
    text = Markup('<text x="{}" y="{}" text-anchor="{}" font-size="13" fill="var(--muted)">{}</text>')
    bottom, right = HEIGHT - MARGIN / 2, WIDTH - MARGIN
    return Markup("").join(
        (
            Markup('<path d="M {0} {0} V {1} H {2}" fill="none" stroke="var(--grid)"/>').format(
                MARGIN / 1.3, HEIGHT - MARGIN / 1.3, right + 10
            ),
            text.format(MARGIN, bottom + 8, "start", f"{min(xs):.3g}"),
            text.format(right, bottom + 8, "end", f"{max(xs):.3g}"),
            text.format(WIDTH / 2, bottom + 8, "middle", xlabel),
            text.format(4, HEIGHT - MARGIN, "start", f"{min(ys):.3g}"),
            text.format(4, MARGIN, "start", f"{max(ys):.3g}"),
            text.format(MARGIN, 16, "start", ylabel),
        )
    )


def _legend(drawn: Sequence[Point], colours: Mapping[str, str]) -> Markup:
    counts: dict[str, int] = {}
    for point in drawn:
        shown = point.group if colours.get(point.group, OTHER) != OTHER else "other"
        counts[shown] = counts.get(shown, 0) + 1
    order = [*(g for g in colours if g in counts), *(["other"] if "other" in counts else [])]
    one = Markup('<span><i style="background: {}"></i>{} ({:,})</span>')
    entries = (one.format(colours.get(g, OTHER), g, counts[g]) for g in order)
    return Markup('<div class="legend">{}</div>').format(Markup("").join(entries))
