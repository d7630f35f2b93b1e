"""Stage `report`: the night in one page. The flow renders it once more with what differs from run to run."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.lake import Artifact, read_json
from tasks.outputs import Outputs
from tasks.pages.config import ReportConfig
from tasks.pages.data import ReportData, RunFacts, Section, StageTime, Tile
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.pages.quality import Evaluation
    from tasks.running import Outcome

PAGE = "report.html"


@stage(produces=("report",), libraries=("matplotlib", "jinja2"), memory_gib=1.0)
def report(
    out: Outputs,
    evaluation: Artifact,
    recommendations: Artifact,
    towers: Artifact,
    ranker: Artifact,
    index: Artifact,
    users: Artifact,
    items: Artifact,
    histories: Artifact,
    popularity: Artifact,
    events: tuple[Artifact, ...],
    others: tuple[Artifact, ...],
    config: ReportConfig,
    template: str,
) -> None:
    """Write `report.html` and, for those who render or read it otherwise, `report.json`.

    Args:
        users, items, histories, popularity: as the recommender knew them.
        events: every daily artifact of the window and of the judged days, of any dataset.
        others: everything else that the night made, for audits, substitutes and lineage.
        template: `template_digest()`, so that a new template makes a new page.
    """
    from tasks.pages.contents import audits_section, data_section, lineage_section, substitutes_of
    from tasks.pages.page import render_report
    from tasks.pages.quality import Evaluation, quality_tiles, verdict

    made = (evaluation, recommendations, towers, ranker, index, users, items, histories, popularity)
    everything = [*events, *others, *made]
    judged = Evaluation(evaluation.table().to_pylist(), evaluation.notes)
    audits, warnings = audits_section(everything)
    sections = [
        *_quality(judged, recommendations),
        _bias(recommendations, items, popularity, config),
        _people(recommendations, histories, users, items, _judged_days(events, judged), config),
        *_models(towers, ranker, index),
        data_section(_by_dataset(events), judged.notes["judged_days"]),
        audits,
        lineage_section(everything),
    ]
    data = ReportData(
        title=config.title,
        date=out.date,
        verdict=verdict(judged),
        tiles=(*quality_tiles(judged), _index_tile(index)),
        sections=tuple(sections),
        substitutes=tuple(substitutes_of(everything)),
        warnings=tuple(warnings),
    )
    folder = out["report"].path
    data.save(folder)
    (folder / PAGE).write_text(render_report(data))


def _quality(judged: "Evaluation", recommendations: Artifact) -> list[Section]:
    from tasks.pages.quality import ablation_section, quality_section, segments_section, sources_section

    sections = (
        quality_section(judged),
        segments_section(judged),
        sources_section(judged, recommendations.notes.get("removals", {})),
        ablation_section(judged),
    )
    return [section for section in sections if section]


def _bias(recommendations: Artifact, items: Artifact, popularity: Artifact, config: ReportConfig) -> Section:
    from models.evaluation.catalogue import Catalogue
    from tasks.pages.bias import bias_section

    catalogue = Catalogue.of(items.table(["item_id", "genres"]), popularity.table())
    return bias_section(catalogue, recommendations.table(["item_id"])["item_id"].to_numpy(), config.max_points)


def _people(
    recommendations: Artifact,
    histories: Artifact,
    users: Artifact,
    items: Artifact,
    judged: list[Artifact],
    config: ReportConfig,
) -> Section:
    from tasks.pages.people import people_section

    days = (day.table(["user_id", "item_id", "positive"]) for day in judged)
    tables = recommendations.table(), histories.table(["user_id", "item_ids"]), users.table(), items.table()
    return people_section(*tables, days, config.sample_users, config.sample_places)


def _models(towers: Artifact, ranker: Artifact, index: Artifact) -> list[Section]:
    from tasks.pages.training import IndexFacts, TrainedModel, index_section, training_section

    metric = f"recall@{towers.notes['validation_k']} on the next day"
    models = (
        TrainedModel("two towers", read_json(towers.path / "training_log.json"), metric),
        TrainedModel("ranker", read_json(ranker.path / "training_log.json"), "validation metric"),
    )
    notes = index.notes
    rungs = [(rung["parameter"], rung["recall"]) for rung in notes["ladder"]]
    facts = IndexFacts(notes["type"], rungs, notes["min_recall"], notes["recall_k"], notes["num_items"])
    return [training_section(models), index_section(facts)]


def _index_tile(index: Artifact) -> Tile:
    notes = index.notes
    return Tile(
        f"index recall@{notes['recall_k']}",
        f"{notes['recall']:.3f}",
        f"{notes['type']}, {notes['num_items']:,} items; bar {notes['min_recall']:g}",
        notes["recall"],
    )


def _by_dataset(events: Iterable[Artifact]) -> Mapping[str, list[Artifact]]:
    grouped: dict[str, list[Artifact]] = {}
    for day in sorted(events, key=lambda a: (a.dataset != "impressions", a.dataset != "watches", a.dataset, a.date)):
        grouped.setdefault(day.dataset, []).append(day)
    return grouped


def _judged_days(events: Iterable[Artifact], judged: "Evaluation") -> list[Artifact]:
    return [day for day in events if day.dataset == "watches" and day.date in judged.notes["judged_days"]]


def run_facts(
    outcomes: "Iterable[Outcome]",
    index: Artifact,
    release: Artifact | None,
    total_seconds: float,
    links: Mapping[str, str],
) -> RunFacts:
    """What the page says of one run: how long each stage took, the version made, the index's latencies."""
    version = release.run.get("measures", {}).get("version") if release else None
    stages = tuple(StageTime(o.step, o.state, round(o.seconds, 3), o.rows, o.peak_bytes) for o in outcomes)
    latencies = index.run.get("measures", {}).get("latency_ms", {})
    return RunFacts(
        version=f"nightjar-recommender version {version}" if version else "",
        stages=stages,
        index_latency_ms=latencies,
        total_seconds=total_seconds,
        links=dict(links),
    )


def write_page(report: Artifact, run: RunFacts, target: Path) -> Path:
    """Render the report of a night together with the facts of a run, for people to open."""
    from tasks.pages.page import render_report

    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render_report(ReportData.load(report.path), run))
    return target
