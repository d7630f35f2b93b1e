"""Stage `report`: the night in one page. The flow renders it once more with what differs from run to run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from expectations.datasets import DATASETS
from expectations.files import read_json
from models.index.config import TYPES_IN_WORDS
from models.serving.config import System
from tasks.engine.groups import Group
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import stage
from tasks.pages.config import ReportConfig
from tasks.pages.data import ReportData, RunFacts, Section, Tile
from tasks.registry.release_layout import FOLDER
from tasks.stages.groups import Known
from tasks.stages.release import flat_params

if TYPE_CHECKING:
    from models.evaluation.potential import Potential
    from tasks.pages.quality import Evaluation

PAGE = "report.html"
CARD = "model_card.md"


@dataclass(frozen=True)
class Reported(Group):
    """What the report tells of by name.

    Attributes:
        models: those that were trained epoch by epoch.
        watches, impressions: of the window and of the judged days.
        known, histories, popularity: as the recommender knew them.
    """

    evaluation: Artifact
    recommendations: Artifact
    bundle: Artifact
    models: tuple[Artifact, ...]
    index: Artifact
    watches: tuple[Artifact, ...]
    impressions: tuple[Artifact, ...]
    known: Known
    histories: Artifact
    popularity: Artifact
    release: Artifact


@stage(produces="report", libraries=("matplotlib", "jinja2", "scipy"), memory_gib=1.0)
def report(
    out: Outputs, reported: Reported, others: tuple[Artifact, ...], system: System, config: ReportConfig, template: str
) -> None:
    """Write `report.html` and, for those who render or read it otherwise, `report.json`.

    Args:
        others: everything else that the night made or read, for volumes, audits, substitutes and lineage.
        template: `template_digest()`, so that a new template makes a new page.
    """
    from tasks.pages import page
    from tasks.pages.commands import with_commands
    from tasks.pages.contents import audits_section, data_section, lineage_section, substitutes_of
    from tasks.pages.quality import Evaluation, quality_tiles, verdict

    known = (reported.known.users, reported.known.items, reported.known.id_map, reported.histories, reported.popularity)
    served = (reported.bundle, reported.recommendations, reported.evaluation, reported.release)
    made = (*reported.models, reported.index, *served)
    everything = [*reported.impressions, *reported.watches, *others, *known, *made]
    judged = Evaluation(reported.evaluation.table().to_pylist(), reported.evaluation.notes)
    potential = _potential(reported.watches, judged)
    declared = read_json(reported.bundle.path / FOLDER / "sources.json")
    audits, warnings = audits_section(everything)
    sections = [
        *_quality(judged, potential, reported.recommendations, declared),
        _bias(reported.recommendations, reported.known.items, reported.popularity, config),
        _people(reported, _judged_days(reported.watches, judged), config),
        *_models(system, reported),
        data_section(_by_day(everything), judged.notes["judged_days"]),
        audits,
        lineage_section(everything),
    ]
    refs = {artifact.dataset: artifact.ref for artifact in (*reported.watches, *known, *made)}
    trained = [model.dataset for model in reported.models]
    data = ReportData(
        title=config.title,
        date=out.date,
        verdict=f"System {system}. {verdict(judged)}".strip(),
        tiles=(*quality_tiles(judged), _index_tile(reported.index)),
        sections=tuple(with_commands(section, out.date, refs, trained) for section in sections),
        substitutes=tuple(substitutes_of(everything)),
        warnings=tuple(warnings),
        potential=potential,
    )
    folder = out["report"].path
    data.save(folder)
    (folder / PAGE).write_text(page.render_report(data))


def _potential(watches: Iterable[Artifact], judged: "Evaluation") -> "Potential":
    """What the window allows to be won on the judged days, whatever learns from it."""
    from models.evaluation.potential import EPOCH, Events, potential_of

    days = sorted(watches, key=lambda day: day.date)
    tables = [day.table(["user_id", "item_id", "time", "positive", "rating"]) for day in days]
    has_ratings = any(table["rating"].null_count < table.num_rows for table in tables)
    judged_days = [(date.fromisoformat(day) - EPOCH).days for day in judged.notes["judged_days"]]
    return potential_of(Events.of(tables), has_ratings, range(judged_days[0], judged_days[-1] + 1))


def _quality(
    judged: "Evaluation", potential: "Potential", recommendations: Artifact, declared: list[dict[str, Any]]
) -> list[Section]:
    from tasks.pages.breakdowns import ablation_section, segments_section, sources_section
    from tasks.pages.quality import quality_section

    sections = (
        quality_section(judged, potential),
        segments_section(judged),
        sources_section(judged, recommendations.notes.get("removals", {}), declared, _lengths(recommendations)),
        ablation_section(judged),
    )
    return [section for section in sections if section]


def _lengths(recommendations: Artifact) -> str:
    from models.serving.list_lengths import ListLengths

    return ListLengths(**recommendations.notes["lengths"]).sentence


def _bias(recommendations: Artifact, items: Artifact, popularity: Artifact, config: ReportConfig) -> Section:
    from models.evaluation.catalogue import CatalogueFacts
    from tasks.pages.bias import bias_section

    catalogue = CatalogueFacts.of(items.table(["item_id", "genres"]), popularity.table())
    return bias_section(catalogue, recommendations.table(["item_id"])["item_id"].to_numpy(), config.max_points)


def _people(reported: Reported, judged: list[Artifact], config: ReportConfig) -> Section:
    from tasks.pages.people import people_section

    days = (day.table(["user_id", "item_id", "positive"]) for day in judged)
    tables = (
        reported.recommendations.table(),
        reported.histories.table(["user_id", "item_ids"]),
        reported.known.users.table(),
        reported.known.items.table(),
        reported.known.id_map.table(),
    )
    return people_section(*tables, days, config.sample_users, config.sample_places)


def _models(system: System, reported: Reported) -> list[Section]:
    from tasks.pages.training import IN_WORDS, IndexFacts, TrainedModel, index_section, training_section, used_for

    def model(artifact: Artifact) -> TrainedModel:
        log, k = read_json(artifact.path / "training_log.json"), artifact.notes.get("validation_k")
        metric = f"recall@{k} on held-out days" if k else "validation loss"
        name = IN_WORDS.get(artifact.dataset, artifact.dataset)
        return TrainedModel(name, log, metric, used_for(system, artifact.dataset), is_loss=k is None)

    notes = reported.index.notes
    rungs = [(rung["parameter"], rung["recall"]) for rung in notes["ladder"]]
    facts = IndexFacts(notes["type"], rungs, notes["min_recall"], notes["recall_k"], notes["num_items"])
    return [training_section([*map(model, reported.models)]), index_section(facts)]


def _index_tile(index: Artifact) -> Tile:
    notes = index.notes
    return Tile(
        f"index recall@{notes['recall_k']}",
        f"{notes['recall']:.3f}",
        f"{TYPES_IN_WORDS[notes['type']]}, {notes['num_items']:,} items; bar {notes['min_recall']:g}",
        notes["recall"],
    )


def _by_day(artifacts: Iterable[Artifact]) -> Mapping[str, list[Artifact]]:
    """Artifacts of the datasets that come by the day."""
    grouped: dict[str, list[Artifact]] = {}
    for artifact in artifacts:
        if DATASETS[artifact.dataset].per == "day":
            grouped.setdefault(artifact.dataset, []).append(artifact)
    return grouped


def _judged_days(watches: Iterable[Artifact], judged: "Evaluation") -> list[Artifact]:
    return [day for day in watches if day.date in judged.notes["judged_days"]]


def render_report(report: Artifact, run: RunFacts) -> str:
    """The page of a night with what differs from run to run, for people to open."""
    from tasks.pages import page

    return page.render_report(ReportData.load(report.path), run)


def render_cards(report: Artifact, evaluation: Artifact, bundle: Artifact, run: RunFacts) -> tuple[str, str]:
    """The model card of a night's release as Markdown, whole and in short for the registry."""
    from tasks.pages.card import brief_card, model_card
    from tasks.pages.quality import Evaluation

    data, judged = ReportData.load(report.path), Evaluation(evaluation.table().to_pylist(), evaluation.notes)
    settings = flat_params(bundle.manifest["config"]["config"])
    return model_card(data, judged, run, settings), brief_card(data, judged, run)


def head_for_prefect(report: Artifact, links: Mapping[str, str]) -> str:
    """The head of the report as Markdown, with `links` (words -> address or path) to the rest."""
    from tasks.pages.markdown import markdown

    return markdown(ReportData.load(report.path), links)


def tables_for_prefect(report: Artifact) -> list[tuple[str, str, list[dict[str, str]]]]:
    """The tables of the report as (key, title, rows), for Prefect's table artifacts."""
    from tasks.pages.page import tables_of

    return tables_of(ReportData.load(report.path))
