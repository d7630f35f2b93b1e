"""The kinds of plots the report has. Each takes plain numbers and returns an `<svg>` element.

Bars start at zero; lines and groups are labelled where they are, not in a legend; axes carry units; colours are told
apart by colour-blind people and always repeat what position or words already say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from tasks.pages.style import BAND, FIRST, GRID, INK, MUTED, PAPER, QUIET, SECOND, colour_of, drawing, to_svg

Label = str


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its interval (both the value where there is none)."""

    value: float
    low: float
    high: float


def intervals(
    name: str,
    rows: Mapping[Label, Mapping[str, Estimate]],
    xlabel: str,
    *,
    emphasis: str = "",
    zero_line: bool = False,
    digits: int = 3,
) -> str:
    """Dots with whiskers, one line a row.

    Args:
        rows: label -> series -> estimate, from the top; a single series is named "" and gets its values written out.
        emphasis: label of the row drawn in colour where there is one series only.
        zero_line: values are differences from zero.
    """
    series = _series(rows)
    with drawing(0.62 + 0.27 * len(rows) + (0.2 if len(series) > 1 else 0)) as (figure, [axes]):
        for place, (label, row) in enumerate(rows.items()):
            for s, estimate in row.items():
                shift = 0.17 * (series.index(s) - (len(series) - 1) / 2)
                colour = colour_of(s, series.index(s)) if s or label == emphasis else QUIET
                _dot(axes, place + shift, estimate, colour)
        _rows_axis(axes, list(rows))
        axes.set_xlabel(xlabel)
        if zero_line:
            axes.axvline(0, color=MUTED, linewidth=1)
        else:
            axes.set_xlim(left=0)
        if len(series) > 1:
            _label_series(axes, series)
        else:
            _write_values(axes, rows, emphasis, f"{'+' if zero_line else ''}.{digits}f")
        return to_svg(figure, name, f"{xlabel}: " + _spoken(rows, digits))


def _series(rows: Mapping[Label, Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(s for row in rows.values() for s in row))


def _write_values(axes: Axes, rows: Mapping[Label, Mapping[str, Estimate]], emphasis: str, form: str) -> None:
    for place, (label, row) in enumerate(rows.items()):
        for estimate in row.values():
            words = format(estimate.value, form).replace("-", "−")
            axes.annotate(
                words, (1, place), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
                va="center", fontsize=8.5, fontweight="bold" if label == emphasis else "normal",
            )  # fmt: skip


def _dot(axes: Axes, place: float, estimate: Estimate, colour: str) -> None:
    axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
    axes.plot([estimate.value], [place], "o", color=colour, markersize=5.5, markeredgecolor=PAPER, markeredgewidth=0.8)


def _label_series(axes: Axes, series: Sequence[str]) -> None:
    """Names of the series in their colours, above the plot."""
    left = 0.0
    for place, name in enumerate(series):
        colour = colour_of(name, place)
        axes.annotate(
            f"● {name}", (left, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
            color=colour, fontsize=8.5, fontweight="bold",
        )  # fmt: skip
        left += 0.06 + 0.018 * len(name)


def _spoken(rows: Mapping[Label, Mapping[str, Estimate]], digits: int) -> str:
    return "; ".join(
        f"{label} " + ", ".join(f"{s} {e.value:.{digits}f}" if s else f"{e.value:.{digits}f}" for s, e in row.items())
        for label, row in rows.items()
    )


def _rows_axis(axes: Axes, labels: Sequence[Label]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


def bars(name: str, rows: Mapping[Label, Mapping[str, float]], xlabel: str, *, percent: bool = False) -> str:
    """Horizontal bars from zero with their value at the end; several series stand under each other."""
    series = _series(rows)
    height = 0.7 / len(series)
    with drawing(0.62 + (0.27 + 0.12 * (len(series) - 1)) * len(rows) + (0.2 if len(series) > 1 else 0)) as (
        figure,
        [axes],
    ):
        for place, row in enumerate(rows.values()):
            for s, value in row.items():
                y = place + height * (series.index(s) - (len(series) - 1) / 2)
                axes.barh(y, value, height=height * 0.86, color=colour_of(s, series.index(s)))
                axes.annotate(
                    share(value) if percent else compact(value),
                    (value, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8, color=MUTED,
                )  # fmt: skip
        _rows_axis(axes, list(rows))
        axes.set_xlim(0, max((v for row in rows.values() for v in row.values()), default=1) * 1.13 or 1)
        axes.set_xlabel(xlabel)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0%}" if percent else compact(v)))
        if len(series) > 1:
            _label_series(axes, series)
        return to_svg(figure, name, f"{xlabel}: " + "; ".join(f"{k} {v}" for k, v in _plain(rows, percent).items()))


def _plain(rows: Mapping[Label, Mapping[str, float]], percent: bool) -> dict[str, str]:
    return {
        label: ", ".join(f"{s} {share(v) if percent else compact(v)}" for s, v in row.items()).strip()
        for label, row in rows.items()
    }


def lines(
    name: str,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    xlabel: str,
    ylabel: str,
    *,
    marks: Mapping[str, float] | None = None,
    bar: tuple[float, str] | None = None,
    xticks: Sequence[float] | None = None,
    from_zero: bool = False,
    log_x: bool = False,
    dotted: Sequence[str] = (),
    height_in: float = 2.7,
) -> str:
    """Lines, named at their right end where there are several.

    Args:
        series: name -> x and y.
        marks: words -> x: vertical lines, such as the epoch that was kept.
        bar: y and words of a horizontal line, such as the least recall that is published.
        dotted: series drawn as references.
        log_x: steps to the right double.
    """
    with drawing(height_in) as (figure, [axes]):
        ends = []
        for place, (label, (xs, ys)) in enumerate(series.items()):
            colour = colour_of(label, place)
            axes.plot(
                xs, ys, color=colour, linewidth=1.4 if label in dotted else 2,
                linestyle=(0, (3, 2)) if label in dotted else "-",
                marker="o", markersize=4, markeredgecolor=PAPER, markeredgewidth=0.6,
            )  # fmt: skip
            ends.append((float(ys[-1]), label, colour, float(xs[-1])))
        if from_zero:
            axes.set_ylim(bottom=0)
        if log_x:
            axes.set_xscale("log", base=2)
        _references(axes, marks or {}, bar)
        if xticks is not None:
            axes.set_xticks(xticks, [f"{x:g}" for x in xticks])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        if len(ends) > 1:
            _name_ends(axes, ends)
        return to_svg(figure, name, f"{ylabel} by {xlabel}: " + ", ".join(series))


def _references(axes: Axes, marks: Mapping[str, float], bar: tuple[float, str] | None) -> None:
    """Dashed lines: vertical ones by their words, and one horizontal bar."""
    for words, x in marks.items():
        axes.axvline(x, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.annotate(words, (x, 1), xycoords=("data", "axes fraction"), xytext=(3, 3), textcoords="offset points",
                      fontsize=8, color=MUTED)  # fmt: skip
    if bar:
        axes.axhline(bar[0], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.annotate(bar[1], (0, bar[0]), xycoords=("axes fraction", "data"), xytext=(2, 3),
                      textcoords="offset points", fontsize=8, color=MUTED)  # fmt: skip


def _name_ends(axes: Axes, ends: list[tuple[float, str, str, float]]) -> None:
    """Names beside the ends of lines, moved apart where they would overlap."""
    bottom, top = axes.get_ylim()
    gap = 0.075 * (top - bottom)
    placed = -float("inf")
    for y, label, colour, x in sorted(ends):
        placed = max(y, placed + gap)
        axes.annotate(label, (x, y), xytext=(6, (placed - y) / (top - bottom) * 150), textcoords="offset points",
                      va="center", color=colour, fontsize=8.5, fontweight="bold", annotation_clip=False)  # fmt: skip


def columns_by_day(name: str, days: Sequence[str], volumes: Mapping[str, Sequence[int]], judged: Sequence[str]) -> str:
    """One small panel a dataset: rows a day, the judged days in another colour."""
    with drawing(0.45 + max(0.8 * len(volumes), 1.6), len(volumes)) as (figure, panels):
        colours = [SECOND if day in judged else FIRST for day in days]
        for axes, (dataset, counts) in zip(panels, volumes.items(), strict=True):
            axes.bar(range(len(days)), counts, color=colours, width=0.78)
            axes.set_title(dataset, loc="left", fontsize=8.5, fontweight="bold", pad=3)
            axes.yaxis.set_major_locator(MaxNLocator(2))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: compact(v)))
            axes.grid(visible=False, axis="x")
            axes.set_xlim(-0.6, len(days) - 0.4)
        every = max(1, -(-len(days) // 7))
        places = list(range(0, len(days), every))
        panels[-1].set_xticks(places, [days[p][5:] for p in places])
        panels[-1].set_xlabel("day (month-day)")
        spoken = "; ".join(f"{d} {sum(c):,} rows in {len(days)} days" for d, c in volumes.items())
        return to_svg(figure, name, f"rows a day: {spoken}")


def scatter(
    name: str, xs: Sequence[float], ys: Sequence[float], xlabel: str, ylabel: str, diagonal: bool = False
) -> str:
    """Points on logarithmic axes that show zero too (values are moved up by one)."""
    with drawing(3.0) as (figure, [axes]):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.scatter([x + 1 for x in xs], [y + 1 for y in ys], s=9, color=FIRST, alpha=0.35, linewidths=0)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda v, _: "0" if v == 1 else compact(v)))
            axis.set_minor_formatter(NullFormatter())
        if diagonal:
            most = max(*xs, *ys, 1)
            axes.plot([1, most], [1, most], color=GRID, linewidth=1)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        return to_svg(figure, name, f"{ylabel} against {xlabel}, {len(xs)} items")


def lorenz(name: str, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> str:
    """Cumulated share of recommendations against share of items, with the line of equality."""
    with drawing(3.0) as (figure, [axes]):
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.annotate("all items alike", (0.5, 0.5), xytext=(-4, 4), textcoords="offset points", ha="right",
                      fontsize=8, color=MUTED)  # fmt: skip
        by_height = sorted(curves, key=lambda label: sum(curves[label][1]))
        axes.fill_between(*curves[by_height[0]], color=BAND, linewidth=0)
        for label, (xs, ys) in curves.items():
            lowest = label == by_height[0]
            axes.plot(xs, ys, color=colour_of(label), linewidth=2)
            place = min(range(len(xs)), key=lambda i: abs(ys[i] - (0.12 if lowest else 0.3)))
            axes.annotate(
                label, (xs[place], ys[place]), xytext=(7, -4) if lowest else (-7, 2), textcoords="offset points",
                ha="left" if lowest else "right", va="top" if lowest else "center",
                color=colour_of(label), fontsize=8.5, fontweight="bold",
            )  # fmt: skip
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0%}"))
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("share of the catalogue, least recommended items first")
        axes.set_ylabel("share of all recommendations")
        return to_svg(figure, name, "Lorenz curves of " + ", ".join(curves))


def compact(value: float) -> str:
    """A count in at most four characters: 950, 1.2k, 35k, 4.1M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            scaled = value / limit
            return f"{scaled:.1f}{unit}" if scaled < 10 and round(scaled, 1) % 1 else f"{scaled:.0f}{unit}"
    return f"{value:g}" if value == int(value) else f"{value:.2g}"


def share(value: float) -> str:
    """A share as a percentage, small ones with a decimal."""
    return f"{value:.1%}" if 0 < value < 0.01 else f"{value:.0%}"
