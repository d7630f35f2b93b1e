"""The page of a sweep: the best, our figures beside the study's, where genres and NDCG disagree, what each parameter
does, every configuration.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from expectations.files import write_text
from flows.grid.metrics import YARDSTICKS
from flows.grid.results import Judged, Results
from flows.grid.rows import short_names
from flows.grid.state import Sweep
from models.evaluation.effects import Effect, rank_correlation
from tasks.pages.data import Cell, Figure, ReportData, Section, Table, Tile
from tasks.pages.grid_plots import Point, fronts, heat_map
from tasks.pages.page import render_grid
from tasks.pages.plots import Estimate, intervals

PAGE = "report.html"
STUDY = {"youtube": (0.860, 0.655, 0.744), "netflix": (0.542, 0.738, 0.625), "hybrid": (0.524, 1.000, 0.688)}
"""Precision, diversity and combined of each system's best configuration in the study."""
PRECISION, DIVERSITY, COMBINED = "study_precision@k", "study_diversity@k", "study_combined@k"
MOST_ROWS = 500


def write_report(
    sweep: Sweep, results: Results, found: Mapping[str, Sequence[Effect]], seconds: float, systems: int, command: str
) -> Path:
    """Write `report.html` into the sweep's folder.

    Args:
        seconds: that this run of the sweep took.
        systems: how many bundles were trained for its configurations.
        command: asks for the same sweep again.
    """
    path = sweep.folder / PAGE
    sections = [_best(results), _study(results), _disagreement(results), *_effects(results, found), _all(results)]
    data = ReportData(
        title=f"Grid {sweep.id}",
        date="",
        verdict=_verdict(results),
        tiles=(*_tiles(results, systems), Tile("seconds of this run", f"{seconds:,.0f}", "what stood was only read")),
        sections=tuple(section for section in sections if section),
    )
    write_text(path, render_grid(data, command))
    return path


def _verdict(results: Results) -> str:
    name = results.objectives[0]
    best = results.best(name)
    assert best is not None
    return f"Of {len(results.good)} configurations {best.trial.row.name} has the best {name}: {best.figures[name]:.4f}."


def _tiles(results: Results, systems: int) -> list[Tile]:
    tiles = [Tile("configurations", f"{len(results.rows)}", f"of {systems} trained systems")]
    for name in dict.fromkeys([*results.objectives, results.ndcg, COMBINED]):
        best = results.best(name)
        if best:
            tiles.append(Tile(f"best {name}", f"{best.figures[name]:.3f}", best.trial.row.name))
    return tiles


def _best(results: Results) -> Section:
    names = results.headline
    rows: list[tuple[Cell, ...]] = []
    for sweep in results.sweeps:
        for name in results.best_by:
            best = results.best(name, sweep)
            if best:
                rows.append((sweep, name, _chosen(best), *(best.figures.get(n) for n in names)))
    table = Table(
        "best", "The best of each system", "One row a figure: the configuration that has most of it, with its other "
        "figures. `@k` is at the length of the configuration's own lists.",
        ("system", "best by", "configuration", *names), tuple(rows),
    )  # fmt: skip
    lead = (
        "Which configuration is best depends on what is asked of it. `winners/` has a config for each figure. The best "
        "of many is chosen by the very days that it is judged on, so its figure flatters it: judge it again on others."
    )
    return Section("best", "Best", "The best configurations", lead, tables=(table, *_yardsticks(results)))


def _yardsticks(results: Results) -> list[Table]:
    """What popularity, chance and the oracle reach on the same users; nothing where no trial says so."""
    figures, k = results.good[0].figures, results.primary_k
    names = (results.ndcg, *(f"{name.removesuffix('@k')}@{k}" for name in (PRECISION, DIVERSITY, COMBINED)))
    rows = tuple(
        (system, *(figures.get(f"{system}_{name}") for name in names))
        for system in YARDSTICKS
        if f"{system}_{results.ndcg}" in figures
    )
    note = "On the same users: what a configuration has to be better than, and the most there is."
    return [Table("yardsticks", "Beside them", note, ("system", *names), rows)] if rows else []


def _study(results: Results) -> Section | None:
    """Our table beside the study's; None where none of its systems is here."""
    rows: list[tuple[Cell, ...]] = []
    ndcg, oracle = results.ndcg, f"oracle_share@{results.primary_k}"
    for system, theirs in STUDY.items():
        of = [row for row in results.good if row.trial.row.config.system == system and COMBINED in row.figures]
        if of:
            rows.append((f"{system}, study", *theirs, None, None))
            for words, name in (("by combined", COMBINED), ("by NDCG", ndcg)):
                best = max(of, key=lambda row: row.figures[name])
                figures = (best.figures.get(n) for n in (PRECISION, DIVERSITY, COMBINED, ndcg, oracle))
                rows.append((f"{system}, ours {words}", *figures))
    if not rows:
        return None
    table = Table(
        "study", "Beside the study", "The study's best configuration of each system by its combined figure, as "
        "published, and ours on our data. NDCG is not known of the study's.",
        ("system", "precision", "diversity", "combined", ndcg, "share of the oracle"), tuple(rows),
    )  # fmt: skip
    lead = (
        "Precision is the share of places whose primary genre is among the user's top three of the training days, "
        "diversity the share of different primary genres, combined their harmonic mean. The data are not the study's, "
        "so the comparison says that the figures are of the same kind, no more; none of the three asks whether anybody "
        "liked an item, which NDCG does."
    )
    return Section("study", "Study", "Our figures beside the study's", lead, tables=(table,))


def _disagreement(results: Results) -> Section | None:
    """Where the genre figures and NDCG do not rank alike."""
    name_of_ndcg = results.ndcg
    both = [row for row in results.good if COMBINED in row.figures and name_of_ndcg in row.figures]
    if len(both) < 2:
        return None
    rows: list[tuple[Cell, ...]] = []
    groups = {sweep: [r for r in both if r.sweep == sweep] for sweep in results.sweeps}
    for name, of in [("all", both), *groups.items()]:
        if len(of) > 1:
            combined, ndcg = (np.array([r.figures[n] for r in of]) for n in (COMBINED, name_of_ndcg))
            by_combined = of[int(combined.argmax())]
            lost = 1 - by_combined.figures[name_of_ndcg] / ndcg.max() if ndcg.max() else None
            place = int((ndcg > by_combined.figures[name_of_ndcg]).sum()) + 1
            rows.append((name, len(of), _or_none(rank_correlation(combined, ndcg)), place, lost))
    table = Table(
        "agreement", "Do they rank alike?", "Rank correlation (Spearman) of the combined figure and NDCG over "
        "configurations: 1 is the same order, 0 none, below 0 the opposite. Beside it the place by NDCG of the "
        "configuration that is best by the combined figure, and the share of the best NDCG that choosing it gives up.",
        ("system", "configurations", "rank correlation", "its place by NDCG", "NDCG given up"), tuple(rows),
    )  # fmt: skip
    return Section(
        "agreement", "Agreement", "Genre figures against NDCG", _in_words(rows), (_pareto(results, groups),), (table,)
    )  # fmt: skip


def _in_words(rows: Sequence[tuple[Cell, ...]]) -> str:
    apart = [str(row[0]) for row in rows if row[0] != "all" and isinstance(row[2], float) and row[2] < 0.5]
    if not apart:
        return "Within every system both figures rank the configurations much alike."
    return (
        f"They disagree within {', '.join(apart)}: there a configuration chosen by genres is not the one whose items "
        "people go on to watch. Trust NDCG for relevance, and read the genre figures as variety."
    )


def _pareto(results: Results, groups: Mapping[str, Sequence[Judged]]) -> Figure:
    names = results.axes_of_front[:2]
    on_front = [row for row, is_on in zip(results.good, results.front(), strict=False) if is_on]
    series = {sweep: [_point(row, names) for row in of] for sweep, of in groups.items() if of}
    svg = fronts("front", series, [_point(row, names) for row in on_front], names[0], names[1])
    told = "; ".join(row.trial.row.name for row in on_front[:6])
    caption = f"Every configuration; the line joins those that no other beats in both: {told}."
    return Figure(f"{names[1]} against {names[0]}", caption, svg)


def _point(row: Judged, names: Sequence[str]) -> Point:
    return Point(row.figures[names[0]], row.figures[names[1]])


def _effects(results: Results, found: Mapping[str, Sequence[Effect]]) -> list[Section]:
    """A chapter a sweep: what each of its parameters does."""
    sections = []
    for sweep, effects in found.items():
        told = [e for e in effects if e.metric in (PRECISION, DIVERSITY, COMBINED, "ndcg@k", results.ndcg)]
        if told:
            lead = (
                "Everything else being equal. An interval that leaves out zero shows an effect; one that does not may "
            )
            lead += f"hide a small one. {_matters(told, results.ndcg)}"
            figures = (*_effect_plots(sweep, told, results.ndcg), *_heat_maps(results, sweep))
            sections.append(
                Section(
                    f"effects-{sweep}",
                    sweep,
                    f"{sweep}: what each parameter does",
                    lead,
                    figures,
                    (_table(told, sweep),),
                )
            )
    return sections


def _matters(effects: Sequence[Effect], ndcg: str) -> str:
    """For each parameter whether its widest step shows on NDCG and on the combined figure."""
    widest = {(e.parameter, e.metric): e for e in effects}
    words = []
    for parameter in dict.fromkeys(e.parameter for e in effects):
        shown = [name for name in (ndcg, COMBINED) if (parameter, name) in widest and widest[parameter, name].is_shown]
        words.append(
            f"`{parameter}` matters to {' and '.join(shown)}" if shown else f"of `{parameter}` no effect is shown"
        )
    return "; ".join(words).capitalize() + "." if words else ""


def _effect_plots(sweep: str, effects: Sequence[Effect], ndcg: str) -> list[Figure]:
    figures, words = [], short_names(e.parameter for e in effects)
    for metric in (COMBINED, ndcg):
        rows = {
            f"{words[e.parameter]} {e.before} → {e.after}": {"": Estimate(e.difference, e.low, e.high)}
            for e in effects
            if e.metric == metric
        }
        if rows:
            svg = intervals(f"effect-{sweep}-{metric[:4]}", rows, f"change of {metric}", zero_line=True)
            caption = "Mean over matched configurations, with its interval over users."
            figures.append(Figure(f"Effects on {metric}", caption, svg))
    return figures


def _table(effects: Sequence[Effect], sweep: str) -> Table:
    rows = tuple(
        (e.parameter, str(e.before), str(e.after), e.metric, e.difference, e.low, e.high, e.pairs, e.same_sign)
        for e in effects
    )
    columns = ("parameter", "from", "to", "figure", "change", "low", "high", "pairs", "same sign")
    caption = "Pairs: configurations that differ in nothing else; same sign: share of them that change in the same way."
    return Table(f"effects-{sweep}", "Every step", caption, columns, rows, digits=4)


def _heat_maps(results: Results, sweep: str) -> list[Figure]:
    """The mean over all other parameters, by the two that have most values."""
    rows = results.of_sweep(sweep)
    values = {axis: sorted({r.trial.row.chosen[axis] for r in rows}, key=_order) for axis in rows[0].trial.row.chosen}
    axes = sorted((axis for axis in values if len(values[axis]) > 1), key=lambda axis: -len(values[axis]))[:2]
    if len(axes) < 2 or any(len(values[axis]) > 12 for axis in axes):
        return []
    figures = []
    for metric in (COMBINED, results.ndcg):
        cells = [
            [_mean(rows, metric, {axes[0]: down, axes[1]: across}) for across in values[axes[1]]]
            for down in values[axes[0]]
        ]
        down_labels, across_labels = ([str(v) for v in values[axis]] for axis in axes)
        svg = heat_map(f"heat-{sweep}-{metric[:4]}", down_labels, across_labels, cells, axes[0], axes[1])
        figures.append(Figure(metric, "Mean over the other parameters.", svg))
    return figures


def _mean(rows: Sequence[Judged], metric: str, chosen: Mapping[str, object]) -> float:
    of = [r.figures[metric] for r in rows if metric in r.figures and chosen.items() <= r.trial.row.chosen.items()]
    return float(np.mean(of)) if of else float("nan")


def _order(value: object) -> tuple[bool, object]:
    number = isinstance(value, int | float)
    return not number, value if number else str(value)


def _all(results: Results) -> Section:
    names = results.headline
    rows = tuple(
        (rank, row.sweep, _chosen(row), *(row.figures.get(n) for n in names), row.seconds, row.error or None)
        for rank, row in enumerate(results.rows[:MOST_ROWS], 1)
    )
    caption = f"The best {results.objectives[0]} first. `results.parquet` has every figure."
    columns = ("rank", "system", "configuration", *names, "seconds", "failed or stopped")
    table = Table("all", "Every configuration", caption, columns, rows)
    return Section("all", "All", "Every configuration", "", tables=(table,))


def _chosen(row: Judged) -> str:
    words = short_names(row.trial.row.chosen)
    return ", ".join(f"{words[axis]} {value}" for axis, value in row.trial.row.chosen.items())


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
