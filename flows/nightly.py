"""The night, from the log to the release: read this first.

`plan_night` says what a night is made of: every line is a stage, what it reads and which settings decide it; nothing
runs while it is planned. `nightly` is the Prefect flow that brings the plan's artifacts into the lake.
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
from models.serving.config import PipelineConfig, System, asked_of_catalogue, needs_transformer, pipeline_of
from models.world.config import WorldConfig
from spark_jobs.config import (
    AlsConfig,
    FeaturesConfig,
    InteractionsConfig,
    ItemSimilarityConfig,
    PopularityConfig,
    SentencesConfig,
)
from tasks.engine.lake import Ref
from tasks.engine.stage import Inputs
from tasks.machine.config import ResourcesConfig
from tasks.pages.config import ReportConfig
from tasks.pages.page import template_digest
from tasks.sources.config import SourceConfig
from tasks.stages.embeddings import embeddings
from tasks.stages.evaluation import evaluation
from tasks.stages.foundation import foundation_embeddings, transformer
from tasks.stages.index import index
from tasks.stages.model_sources import source_of
from tasks.stages.ranker import ranker
from tasks.stages.recommendations import bundle, content_similarity, recommendations
from tasks.stages.release import ReleaseConfig, release
from tasks.stages.report import report
from tasks.stages.spark import als, features, interactions, item_similarity, popularity, sentences
from tasks.stages.towers import towers

FACTS = ("user_features", "item_features", "histories", "exposures")


def plan_night(config: NightlyConfig, days: Calendar, source: NightSource) -> Plan:
    """All steps of the night of `days.day`; keys follow from the config, the code and the source alone."""
    T, S = days.cut, days.split
    plan = Plan(days, notes=source.notes)

    # What happened, and who and what there is.
    catalogue = plan.add(source.catalogue((T, days.day)))
    users, items, id_map = (catalogue.at(T)[name] for name in ("users", "items", "id_map"))
    log = Log(plan.add(source.events(days.days, known=catalogue.at(days.day))))

    # What the window says: Spark.
    window = log.watches(days.train)
    positives = plan.add(interactions(date=T, watches=window, config=config.interactions))["interactions"]
    facts = plan.add(
        features.over(
            (T, S),
            watches=lambda date: log.watches(d for d in days.train if d <= date),
            impressions=lambda date: log.impressions(d for d in days.train if d <= date),
            searches=lambda date: log.searches(d for d in days.train if d <= date),
            items=items,
            config=config.features,
        )
    )
    now, then = facts.at(T), facts.at(S)
    popular = plan.add(popularity(date=T, watches=window, config=config.popularity))["popularity"]
    factors = plan.add(als(date=T, interactions=positives, config=config.als))
    neighbours = plan.add(item_similarity(date=T, interactions=positives, config=config.item_similarity))
    alike = plan.add(content_similarity(date=T, items=items, config=config.content))

    # Retrieval: vectors of users and items, and an index of them.
    typed = log.searches(days.train)
    tower = plan.add(towers(date=T, watches=window, searches=typed, users=users, items=items, config=config.towers))[
        "towers"
    ]
    vectors = plan.add(embeddings(date=T, towers=tower, items=items, config=config.embeddings))["embeddings"]
    shards = plan.add(
        index(date=T, embeddings=vectors, towers=tower, users=users, histories=now["histories"], config=config.index)
    )["index"]

    # What comes next, for the systems that ask: a transformer over everything that people did.
    pipeline = pipeline_of(config.system, config.pipeline)
    foundation: tuple[Ref, ...] = ()
    if needs_transformer(pipeline):
        said = plan.add(
            sentences(
                date=T,
                watches=window,
                actions=log.actions(days.train),
                searches=log.searches(days.train),
                config=config.sentences,
            )
        )["sentences"]
        model = plan.add(transformer(date=T, sentences=said, items=items, config=config.transformer))["transformer"]
        both = plan.add(foundation_embeddings(date=T, transformer=model, sentences=said, users=users, items=items))
        foundation = (model, both["member_embeddings"], both["title_embeddings"])

    # Models of the catalogue that the pipeline asks for, each a source of its own.
    others = tuple(
        artifact
        for model in asked_of_catalogue(pipeline)
        for artifact in plan.add(
            source_of(model)(
                date=T, watches=window, users=users, items=items, config=getattr(config.models, model.name)
            )
        ).artifacts
    )

    # Ranking: learnt on the last training days, from what was known before them.
    ranks = plan.add(
        ranker(
            date=T,
            impressions=log.impressions(days.rank),
            watches=log.watches(days.rank),
            users=users,
            items=items,
            **{name: then[name] for name in FACTS},
            towers=tower,
            embeddings=vectors,
            config=config.ranker,
        )
    )["ranker"]

    # Everything a consumer needs, and what it recommends.
    package = plan.add(
        bundle(
            date=T,
            towers=tower,
            embeddings=vectors,
            index=shards,
            ranker=ranks,
            als_user_factors=factors["als_user_factors"],
            als_item_factors=factors["als_item_factors"],
            item_similarity=neighbours["item_similarity"],
            content_similarity=alike["content_similarity"],
            popularity=popular,
            users=users,
            items=items,
            id_map=id_map,
            **{name: now[name] for name in FACTS},
            foundation=foundation,
            sources=others,
            config=pipeline,
        )
    )["bundle"]
    lists = plan.add(recommendations(date=days.day, bundle=package))["recommendations"]

    # Judged on days that nothing was learnt from, released, reported.
    oracle = [plan.add(s)["oracle"] for s in source.oracle(days, window, users, items)]
    judged = plan.add(
        evaluation(
            date=days.day,
            bundle=package,
            recommendations=lists,
            watches=log.watches(days.judge),
            users=users,
            items=items,
            histories=now["histories"],
            popularity=popular,
            oracle=tuple(oracle),
            config=config.evaluation,
        )
    )["evaluation"]
    released = plan.add(
        release(
            date=days.day,
            bundle=package,
            recommendations=lists,
            evaluation=judged,
            index=shards,
            alias=config.release.alias,
        )
    )["release"]
    told: dict[str, Inputs] = {
        "evaluation": judged,
        "recommendations": lists,
        "bundle": package,
        "towers": tower,
        "ranker": ranks,
        "index": shards,
        "transformer": foundation[:1],
        "watches": log.watches(days.days),
        "impressions": log.impressions(days.days),
        "users": users,
        "items": items,
        "id_map": id_map,
        "histories": now["histories"],
        "popularity": popular,
        "release": released,
    }
    beside = plan.refs_beside(told.values())
    decided = {"system": config.system, "config": config.report, "template": template_digest()}
    plan.add(report(date=days.day, **told, others=beside, **decided))
    return plan


def plan_request(request: NightRequest, home: Path, source: NightSource | None = None) -> Plan:
    """The plan of a request; reads the source's days, runs nothing.

    Raises:
        UserError: there is no data of the day, or no such stage.
    """
    source = source or open_source(request.config, home)
    day = request.date or request.config.date or source.last_day(request.config.window)
    if day > source.latest:
        raise UserError(f"date {day}: the data ends on {source.latest}; choose that day or an earlier one")
    plan = plan_night(request.config, calendar(request.config.window, day, source.first), source)
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
        lake: Lake URL; by default the folder `lake` of the home.
        catch_up_days: Most days that a scheduled night makes up for, where nights before it were missed (≤ 366).
        system: Recommender to build and serve; `docs/systems.md` says what each is.
        stages: Only these stages and what they need; by default all of them, up to the release.
    """
    sections = {name: value for name, value in locals().items() if name in SECTIONS}
    home = home_folder()
    prepare(home)
    request = NightRequest(
        config=NightlyConfig(**sections), date=date, lake=lake or str(home / "lake"), stages=tuple(stages or ())
    )
    day = watcher_by_tags(home, list(flow_run.tags or ()))
    if day:  # a backfill has handed the night to the work pool
        one = replace(request, promotes=False)
        return day.watch(one.id, lambda: run_in_this_flow(one, plan_request(one, home), home, day))
    return run_due_nights(request, home, plan_request, catch_up_days)
