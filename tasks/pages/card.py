"""The model card of a release: what it is for, data, training, metrics with intervals, segments, limits, lineage.

After Mitchell et al. 2019, "Model Cards for Model Reporting". Everything in it comes from the report and the evaluation
of the same night.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tasks.pages.breakdowns import in_words
from tasks.pages.commands import with_its_config
from tasks.pages.data import ReportData, RunFacts, Section, Table
from tasks.pages.markdown import picture, prose
from tasks.pages.page import format_cell
from tasks.pages.quality import Evaluation

PLOTTED = ("quality", "segments")
"""Chapters whose plots are in the card."""
_SHORT = 5
"""Columns of the table of metrics that are in the short card."""
LOWEST = 3
"""Segments named among the limits because they are served worst."""
_USE = (
    "Lists of items for every known user, and for somebody new by attributes and history; nearest items of an item. "
    "For ranking what a catalogue offers, not for decisions about people."
)


def model_card(data: ReportData, evaluation: Evaluation, run: RunFacts, settings: Mapping[str, Any]) -> str:
    """The card as Markdown.

    Args:
        settings: of the pipeline, flat.
    """
    chapters = {section.id: section for section in data.sections}
    parts = [
        *_head(data, run),
        "## Data\n\n" + _data(chapters.get("data")),
        *_chapter("Training", chapters.get("training")),
        "### Settings of the pipeline\n\n" + _settings(settings),
        *_chapter("Metrics", chapters.get("quality"), plots=True),
        *_chapter("Segments", chapters.get("segments"), plots=True),
        "## Limits\n\n" + _bullets(limits(data, evaluation)),
        *_gates(run),
        *_chapter("Lineage", chapters.get("lineage")),
        "## Compute it again\n\n" + _commands(data.sections, run),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def brief_card(data: ReportData, evaluation: Evaluation, run: RunFacts) -> str:
    """The card in short, to stand beside the version in the registry: use, metrics, limits, what the gates decided."""
    metrics = next(table for section in data.sections for table in section.tables if table.key == "quality")
    short = replace(metrics, columns=metrics.columns[:_SHORT], rows=tuple(row[:_SHORT] for row in metrics.rows))
    parts = [
        *_head(data, run),
        f"## Metrics\n\n{_table(short)}",
        "## Limits\n\n" + _bullets(limits(data, evaluation)),
        f"## Gates\n\n{prose(run.decision)}" if run.decision else "",
        "The whole card is `report/model_card.md` among the artifacts of the run.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(data: ReportData, run: RunFacts) -> list[str]:
    title = f"# Model card: {run.version or data.title}, night of {data.date}"
    return [title, prose(data.verdict), f"## Intended use\n\n{_USE}"]


def limits(data: ReportData, evaluation: Evaluation) -> list[str]:
    """What to know before it is trusted, one sentence each, from the night's own figures."""
    notes, k = evaluation.notes, evaluation.k
    days = notes["judged_days"]
    told = [
        f"Judged offline, on {notes['users_judged']:,} users and {len(days)} day{'s' * (len(days) > 1)}: what people "
        "did without having seen these lists. Whether the lists change what they do, only an experiment can say."
    ]
    ranked = [
        (e.value, name, e) for name in evaluation.segments(False) if (e := evaluation.estimate("final", "ndcg", name))
    ]
    for value, name, e in sorted(ranked, key=lambda row: row[:2])[:LOWEST]:
        row = evaluation.row("final", "ndcg", name)
        users = row["num_users"] if row else 0
        told.append(
            f"Served worst: users with {in_words(name)}, NDCG@{k} {value:.3f} ({e.low:.3f} to {e.high:.3f}, "
            f"{users:,} users)."
        )
    unsure = [name for _, name, _ in ranked if not _is_clearly_better(evaluation, name)]
    if unsure:
        told.append(
            "No better than popularity, as far as these users can show (NDCG, user by user): "
            f"{', '.join(map(in_words, unsure))}."
        )
    told += [f"In place of missing data: {text}" for text in data.substitutes]
    told += [f"Audit warning: {text}" for text in data.warnings]
    return told


def _is_clearly_better(evaluation: Evaluation, segment: str) -> bool:
    """Whether the paired difference is clear; the intervals of both may overlap where it is."""
    row = evaluation.row("popularity", "ndcg_vs_final", segment)
    return row is not None and row["high"] is not None and row["high"] < 0


def _data(volumes: Section | None) -> str:
    tables = [_table(table) for table in volumes.tables] if volumes else []
    return "\n\n".join([prose(volumes.lead) if volumes else "", *tables]).strip()


def _chapter(title: str, section: Section | None, plots: bool = False) -> list[str]:
    if section is None:
        return []
    shown = [picture(figure) for figure in section.figures] if plots else []
    tables = [f"{_table(table)}\n\n{prose(table.caption)}" for table in section.tables]
    return [f"## {title}", prose(section.lead), _bullets(section.points), *tables, *shown]


def _table(table: Table) -> str:
    rows = [[prose(format_cell(cell, table.digits)) for cell in row] for row in table.rows]
    head = [f"| {' | '.join(map(prose, table.columns))} |", f"|{'---|' * len(table.columns)}"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def _settings(settings: Mapping[str, Any]) -> str:
    return "```\n" + "\n".join(f"{name}: {value}" for name, value in settings.items()) + "\n```"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {prose(line)}" for line in lines)


def _gates(run: RunFacts) -> list[str]:
    if not run.gates:
        return []
    return [
        f"## Gates\n\n{prose(run.decision)}",
        _bullets(f"{gate}: {verdict}, {figures}" for gate, verdict, figures in run.gates),
    ]


def _commands(sections: Iterable[Section], run: RunFacts) -> str:
    """Every command once, in the order of the chapters."""
    every = dict.fromkeys(command for section in sections for _, command in section.commands)
    return "```\n" + "\n".join(with_its_config(c, run.command) for c in every) + "\n```"
