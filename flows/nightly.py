"""The night, from the log to the release: read this first.

`plan_night` says what a night is made of: its stages, what each reads and which settings decide it; `plan_sources` adds
those of the sources of candidates. Nothing runs while it is planned. `nightly` is the Prefect flow that brings the
plan's artifacts into the lake.
"""

from dataclasses import replace
from datetime import date as Date
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from expectations.errors import UserError
from flows.backfilling.watcher import watcher_by_tags
from flows.config import SECTIONS, Calendar, ModelsConfig, NightlyConfig, WindowConfig, calendar
from flows.home import home_folder, prepare
from flows.night.candidate_sources import Past, plan_sources
from flows.night.flow_run import NAME
from flows.night.plan import Log, Plan
from flows.night.request import NightRequest
from flows.night.run import run_in_this_flow
from flows.night.schedule import name_of_night, run_due_nights
from flows.night.sources import NightSource, open_source
from models.content_config import ContentConfig
from models.evaluation.config import EvaluationConfig
from models.index.config import IndexConfig
from models.ranking.config import RankerConfig
from models.retrieval.config import EmbeddingsConfig, TowersConfig
from models.sequence.config import TransformerConfig
from models.serving.config import PipelineConfig, System, pipeline_of
from models.world.config import WorldConfig
from spark_jobs.config import (
    AlsConfig,
    FeaturesConfig,
    InteractionsConfig,
    ItemSimilarityConfig,
    PopularityConfig,
    SentencesConfig,
)
from tasks.engine.stage import Step, merged
from tasks.machine.config import ResourcesConfig
from tasks.machine.home import lake_of
from tasks.pages.config import ReportConfig
from tasks.pages.page import template_digest
from tasks.sources.config import SourceConfig
from tasks.stages.embeddings import embeddings
from tasks.stages.evaluation import evaluation
from tasks.stages.groups import Facts, Known, Retrieval, Yardsticks
from tasks.stages.index import index
from tasks.stages.ranker import ranker
from tasks.stages.recommendations import bundle, recommendations
from tasks.stages.release import ReleaseConfig, release
from tasks.stages.report import Reported, report
from tasks.stages.spark import features, interactions, popularity
from tasks.stages.towers import towers


def plan_night(config: NightlyConfig, days: Calendar, source: NightSource) -> Plan:
    """All steps of the night of `days.day`; keys follow from the config, the code and the source alone."""
    T, S = days.cut, days.split
    plan = Plan(days, notes=source.notes)

    # What happened, and who and what there is.
    catalogue = plan.add_dates(source.catalogue((T, days.day)))
    happened = plan.add_dates(source.events(days.days, catalogue[days.day]))
    log = Log(happened, {step.name: plan.add_dates(step) for step in source.beside(days.days, catalogue[days.day])})
    known, window, typed = catalogue[T], log.watches(days.train), log.searches(days.train)

    # What the window says: Spark.
    positives = plan.add(interactions(T, window, config.interactions))
    facts = plan.add_dates(merged(_features(date, config, days, log, known) for date in (T, S)))
    popular = plan.add(popularity(T, window, config.popularity))

    # What proposes candidates: the stages of each source, and of each model of the catalogue that is asked for.
    pipeline = pipeline_of(config.system, config.pipeline)
    past = Past(T, window, positives, popular, log.actions(days.train), typed, known)
    sources = plan_sources(plan, past, pipeline, config)

    # And the largest source: vectors of users and items, and an index of the items'.
    tower = plan.add(towers(T, window, known, config.towers, typed))
    vectors = plan.add(embeddings(T, towers=tower, known=known, config=config.embeddings))
    histories = facts[T].histories
    shards = plan.add(
        index(T, embeddings=vectors, towers=tower, users=known.users, histories=histories, config=config.index)
    )

    # Ranking: learnt on the last training days, from what was known before them.
    ranks = plan.add(
        ranker(
            T,
            impressions=log.impressions(days.rank),
            watches=log.watches(days.rank),
            known=known,
            facts=facts[S],
            towers=tower,
            embeddings=vectors,
            config=config.ranker,
        )
    )

    # Everything a consumer needs, and what it recommends.
    package = plan.add(
        bundle(
            T,
            retrieval=Retrieval(tower, vectors, shards),
            sources=sources,
            ranker=ranks,
            known=known,
            facts=facts[T],
            config=pipeline,
        )
    )
    lists = plan.add(recommendations(days.day, package))

    # Judged on days that nothing was learnt from, released, reported.
    oracle = tuple(plan.add(step) for step in source.oracle(days, window, known))
    by = Yardsticks(log.watches(days.judge), known, histories, popular, oracle)
    judged = plan.add(evaluation(days.day, bundle=package, recommendations=lists, by=by, config=config.evaluation))
    released = plan.add(
        release(
            days.day, bundle=package, recommendations=lists, evaluation=judged, index=shards, alias=config.release.alias
        )
    )
    reported = Reported(
        evaluation=judged,
        recommendations=lists,
        bundle=package,
        models=(tower, *sources.models, ranks),
        index=shards,
        watches=log.watches(days.days),
        impressions=log.impressions(days.days),
        known=known,
        histories=histories,
        popularity=popular,
        release=released,
    )
    beside = plan.artifacts_beside(reported)
    plan.add(report(days.day, reported, beside, config.system, config.report, template_digest()))
    return plan


def _features(date: str, config: NightlyConfig, days: Calendar, log: Log, known: Known) -> Step[Facts]:
    """What the training days up to a date say of users and items."""
    past = [day for day in days.train if day <= date]
    return features(
        date,
        watches=log.watches(past),
        impressions=log.impressions(past),
        searches=log.searches(past),
        items=known.items,
        config=config.features,
    )


def plan_request(request: NightRequest, home: Path, source: NightSource | None = None) -> Plan:
    """The plan of a request; reads the source's days, runs nothing.

    Raises:
        UserError: there is no data of the day, nothing to learn or to judge, or no such stage.
    """
    source = source or open_source(request.config, home)
    day = request.date or request.config.date or source.last_day(request.config.window)
    if day > source.latest:
        raise UserError(f"date {day}: the data ends on {source.latest}; choose that day or an earlier one")
    days = calendar(request.config.window, day, source.first)
    if not request.stages:
        source.check(days)
    plan = plan_night(request.config, days, source)
    return plan.up_to(request.stages) if request.stages else plan


@flow(name=NAME, flow_run_name=name_of_night)
def nightly(
    date: Date | None = None,
    lake: str = "",
    catch_up_days: Annotated[int, Field(ge=0, le=366)] = 7,
    stages: list[str] | None = None,
    system: System = "fusion",
    window: WindowConfig = WindowConfig(),
    source: SourceConfig = SourceConfig(),
    world: WorldConfig = WorldConfig(),
    interactions: InteractionsConfig = InteractionsConfig(),
    features: FeaturesConfig = FeaturesConfig(),
    popularity: PopularityConfig = PopularityConfig(),
    als: AlsConfig = AlsConfig(),
    item_similarity: ItemSimilarityConfig = ItemSimilarityConfig(),
    content: ContentConfig = ContentConfig(),
    towers: TowersConfig = TowersConfig(),
    embeddings: EmbeddingsConfig = EmbeddingsConfig(),
    index: IndexConfig = IndexConfig(),
    sentences: SentencesConfig = SentencesConfig(),
    transformer: TransformerConfig = TransformerConfig(),
    ranker: RankerConfig = RankerConfig(),
    models: ModelsConfig = ModelsConfig(),
    pipeline: PipelineConfig = PipelineConfig(),
    evaluation: EvaluationConfig = EvaluationConfig(),
    release: ReleaseConfig = ReleaseConfig(),
    report: ReportConfig = ReportConfig(),
    resources: ResourcesConfig = ResourcesConfig(),
) -> dict[str, Any]:
    """One night: bring every artifact of the plan into the lake and release the bundle.

    Args:
        date: Logical day. By default, when the schedule starts the run, the day before its scheduled start; when
            somebody starts it, the last day of made data, or the last full day of a log.
        lake: Lake URL, or a folder below the home; by default the home's lake.
        catch_up_days: Most days that a scheduled night makes up for, where nights before it were missed (≤ 366).
        system: Recommender to build and serve; `docs/systems.md` says what each is.
        stages: Only these stages and what they need; by default all of them, up to the release.
    """
    sections = {name: value for name, value in locals().items() if name in SECTIONS}
    home = home_folder()
    prepare(home)
    request = NightRequest(
        config=NightlyConfig(**sections), date=date, lake=lake_of(home, lake), stages=tuple(stages or ())
    )
    day = watcher_by_tags(home, list(flow_run.tags or ()))
    if day:  # a backfill has handed the night to the work pool
        one = replace(request, promotes=False)
        return day.watch(one.id, lambda: run_in_this_flow(one, plan_request(one, home), home, day))
    return run_due_nights(request, home, plan_request, catch_up_days)
