"""The tab with the results of sweeps: the ranked table, what each setting does, what cannot be had together."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from explorer.pages import card, columns, heading, page, table, welcome
from explorer.plots import Point, points
from explorer.shared import Asked, Shared
from explorer.sweeps import SWEEP, Sweep, front, in_order, in_words, load, sweeps, worth
from explorer.theme import gr
from flows.grid.metrics import is_larger_better
from flows.grid.rows import short_names
from tasks.pages.plots import Estimate, intervals

MOST_ROWS = 200
MOST_FIGURES = 7
"""Figures in the table beside the two that were chosen."""


def show(home: Path, name: str | None, objective: str | None, other: str | None) -> str:
    """A sweep by one figure, with a second one to weigh it against."""
    if not name:
        return page(
            welcome("No sweep yet", "Run one, such as: nightjar grid deployments/grid.yaml. Its results appear here.")
        )
    sweep = load(home, name)
    first = objective if objective in sweep.figures else sweep.figures[0]
    second = other if other in sweep.figures else next((f for f in sweep.figures if f != first), first)
    return page(
        heading(f"Sweep {name}", f"{len(sweep.table):,} combinations of {', '.join(sweep.settings)}."),
        columns(_effects(sweep, first), _pareto(sweep, first, second)),
        Markup('<div style="height: 0.9rem"></div>'),
        _ranked(sweep, first, second),
    )


def _effects(sweep: Sweep, figure: str) -> Markup:
    """The sweep's own effects, as its report has them."""
    title, steps = "What each setting does", sweep.effects_on(figure).to_dict("records")
    if not steps:
        return card(title, Markup('<p class="quiet">{}</p>').format(_untold(sweep, figure)))
    drawn = {
        f"{_setting(sweep, s)} {s['before']} → {s['after']}": {"": Estimate(s["difference"], s["low"], s["high"])}
        for s in steps
    }
    rows = [
        (_setting(sweep, s), s["before"], s["after"], f"{s['difference']:+.4f}", f"{s['low']:+.4f} to {s['high']:+.4f}",
         s["pairs"])
        for s in steps
    ]  # fmt: skip
    heads = ("setting", "before", "after", "difference", "interval", "pairs")
    caption = (
        f"Change of {figure}, everything else being equal: the mean over pairs of combinations that differ in nothing "
        "else, with its interval over users. One that holds 0 may be chance."
    )
    plot = Markup(intervals("effects", drawn, f"change of {figure}", zero_line=True))
    return card(title, plot, table(heads, rows, tall=True), caption=caption)


def _setting(sweep: Sweep, step: Mapping[Hashable, Any]) -> str:
    """What a step turns; of several sweeps also which one was looked at."""
    setting = str(step["parameter"]).removeprefix("pipeline.")
    return f"{step['sweep']}: {setting}" if sweep.effects["sweep"].nunique() > 1 else setting


def _untold(sweep: Sweep, figure: str) -> str:
    """Why there are no effects on a figure."""
    if sweep.effects.empty:
        return "No two combinations of this sweep differ in one setting alone."
    return f"Not told of {figure}; choose one of {', '.join(sweep.effects['metric'].unique())}."


def _pareto(sweep: Sweep, x: str, y: str) -> Markup:
    best = front(sweep, x, y)
    by = SWEEP if SWEEP in sweep.settings else sweep.settings[0]
    groups = [in_words(v) for v in sorted(sweep.table[by].dropna().unique(), key=in_order)]
    rows = list(enumerate(sweep.table.to_dict("records")))
    drawn = [
        Point(float(row[x]), float(row[y]), in_words(row[by]), _told(sweep, row, x, y), n, n in best)
        for n, row in rows if row[x] == row[x] and row[y] == row[y]  # not NaN
    ]  # fmt: skip
    place = {point.id: n for n, point in enumerate(drawn)}
    caption = f"Each point is a combination, coloured by {by}. Large ones on the line: none is better in both."
    drawing = points(drawn, groups, _axis(x), _axis(y), [place[n] for n in best])
    return card(f"{y} against {x}", drawing, caption=caption)


def _axis(figure: str) -> str:
    return figure if is_larger_better(figure) else f"{figure}, less is better"


def _told(sweep: Sweep, row: Mapping[Hashable, Any], x: str, y: str) -> str:
    words = short_names(sweep.settings)
    settings = ", ".join(f"{words[s]} {in_words(row[s])}" for s in sweep.settings if row[s] == row[s])
    return f"{settings}: {x} {row[x]:.4f}, {y} {row[y]:.4f}"


def _ranked(sweep: Sweep, *figures: str) -> Markup:
    best_first = worth(sweep, figures[0]).sort_values(ascending=False, kind="stable").index
    shown = sweep.table.loc[best_first[:MOST_ROWS]]
    measured = list(dict.fromkeys([*figures, *sweep.figures[:MOST_FIGURES]]))
    rows = [
        (n, *("–" if row[s] != row[s] else in_words(row[s]) for s in sweep.settings), *(row[f] for f in measured))
        for n, row in enumerate(shown.to_dict("records"), 1)
    ]
    caption = f"Best {figures[0]} first" + (f"; the first {MOST_ROWS}." if len(sweep.table) > MOST_ROWS else ".")
    heads = ("", *(n.removeprefix("pipeline.") for n in sweep.settings), *measured)
    return card("All combinations", table(heads, rows, digits=4, tall=True), caption=caption)


def build(shared: Shared, name: str) -> None:
    """The tab."""
    home = shared.store.home
    with gr.Row():
        sweep = gr.Dropdown(label="sweep", choices=[], elem_id="sweep", scale=2)
        objective = gr.Dropdown(label="by", choices=[], elem_id="objective")
        other = gr.Dropdown(label="against", choices=[], elem_id="against")
    output = gr.HTML(elem_id="grid")

    def known(selected: str, chosen: str | None) -> Any:
        found = sweeps(home) if selected == name else []
        if not found:
            return gr.skip()
        return gr.Dropdown(choices=found, value=chosen if chosen in found else found[0])

    def figures(chosen: str | None) -> Any:
        found = load(home, chosen).figures if chosen else []
        second = found[1] if len(found) > 1 else None
        return gr.Dropdown(choices=found, value=found[0] if found else None), gr.Dropdown(choices=found, value=second)

    def fill(_: Asked | None, *values: Any) -> str:
        return show(home, *values)

    shared.selected.change(known, [shared.selected, sweep], sweep, show_progress="hidden")
    sweep.change(figures, sweep, [objective, other], show_progress="hidden")
    shared.fills(name, fill, [output], [sweep, objective, other], (objective.change, other.change), needs_release=False)
