"""Plots of a sweep: two parameters at once, and two figures against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.pages.style import FIRST, INK, MUTED, PAPER, colour_of, drawing, to_svg

_FAINTEST, _STRONGEST = 0.06, 0.7


@dataclass(frozen=True)
class Point:
    """A configuration by two figures; `label` is written beside it."""

    x: float
    y: float
    label: str = ""


def heat_map(
    name: str, rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]], ylabel: str, xlabel: str
) -> str:
    """A value a cell, written out; the larger, the stronger its colour.

    Args:
        values: one row of the map after the other; NaN leaves a cell empty.
    """
    known = [v for row in values for v in row if v == v]
    low, spread = min(known, default=0.0), (max(known, default=0.0) - min(known, default=0.0)) or 1.0
    with drawing(0.9 + 0.36 * len(rows)) as (figure, [axes]):
        for y, row in enumerate(values):
            for x, value in enumerate(row):
                if value != value:
                    continue
                strength = _FAINTEST + (_STRONGEST - _FAINTEST) * (value - low) / spread
                axes.fill_between([x - 0.48, x + 0.48], y - 0.46, y + 0.46, color=FIRST, alpha=strength, linewidth=0)
                axes.annotate(f"{value:.3f}", (x, y), ha="center", va="center", fontsize=8.5, color=INK)
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), rows)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_xlabel(xlabel)
        # Above the rows, not along them: a map of few rows is lower than the name of a setting is long.
        axes.set_title(f"{ylabel} ↓", loc="left", fontsize=8.5, color=MUTED)
        spoken = "; ".join(
            f"{row} {column} {value:.3f}" for row, line in zip(rows, values, strict=True)
            for column, value in zip(columns, line, strict=True) if value == value
        )  # fmt: skip
        return to_svg(figure, name, f"{ylabel} and {xlabel}: {spoken}")


def fronts(name: str, series: Mapping[str, Sequence[Point]], front: Sequence[Point], xlabel: str, ylabel: str) -> str:
    """Points of several series, and the front that none of them passes.

    Args:
        front: points that no other beats in both figures; a line goes through them.
    """
    with drawing(3.3) as (figure, [axes]):
        ordered = sorted(front, key=lambda p: p.x)
        axes.step([p.x for p in ordered], [p.y for p in ordered], where="pre", color=MUTED, linewidth=1)
        for place, (label, points) in enumerate(series.items()):
            axes.plot(
                [p.x for p in points], [p.y for p in points], "o", color=colour_of(label, place), markersize=5,
                markeredgecolor=PAPER, markeredgewidth=0.5, alpha=0.85,
            )  # fmt: skip
            axes.annotate(
                f"● {label}", (0.27 * place, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
                color=colour_of(label, place), fontsize=8.5, fontweight="bold",
            )  # fmt: skip
        for point in (p for points in series.values() for p in points if p.label):
            axes.annotate(point.label, (point.x, point.y), xytext=(5, 4), textcoords="offset points", fontsize=7.5,
                          color=MUTED)  # fmt: skip
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        count = sum(map(len, series.values()))
        return to_svg(figure, name, f"{ylabel} against {xlabel}, {count} configurations, {len(front)} on the front")
