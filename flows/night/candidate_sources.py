"""Which steps make the sources of candidates that a night has beside its index."""

from collections.abc import Callable
from dataclasses import dataclass

from flows.config import NightlyConfig
from flows.night.plan import Plan
from models.serving.config import ON_BY_DEFAULT, PipelineConfig, asked_of_catalogue, asked_sources
from tasks.engine.groups import artifacts_of
from tasks.engine.lake import Artifact
from tasks.stages.foundation import foundation_embeddings, transformer
from tasks.stages.groups import Known, Sources
from tasks.stages.model_sources import source_step
from tasks.stages.recommendations import content_similarity
from tasks.stages.spark import als, item_similarity, sentences


@dataclass(frozen=True)
class Past:
    """What sources learn from: what happened up to a date, and who and what there was."""

    date: str
    watches: tuple[Artifact, ...]
    positives: Artifact
    popular: Artifact
    actions: tuple[Artifact, ...]
    searches: tuple[Artifact, ...]
    known: Known


def plan_sources(plan: Plan, past: Past, pipeline: PipelineConfig, config: NightlyConfig) -> Sources:
    """Add the steps of every source that is on by default, as any release may be asked for these, and of those that the
    pipeline asks for.
    """
    wanted = {*ON_BY_DEFAULT, *asked_sources(pipeline)}
    parts = [make(plan, past, config) for name, make in _WITH_STAGES.items() if name in wanted]
    for model in asked_of_catalogue(pipeline):
        step = source_step(model, past.date, past.watches, past.known, getattr(config.models, model.name))
        parts.append(Sources(artifacts_of(plan.add(step))))
    return Sources(tuple(t for part in parts for t in part.tables), tuple(m for part in parts for m in part.models))


def _popularity(plan: Plan, past: Past, config: NightlyConfig) -> Sources:
    return Sources((past.popular,))


def _als(plan: Plan, past: Past, config: NightlyConfig) -> Sources:
    rated = past.watches if config.als.feedback == "explicit" else ()
    return Sources(artifacts_of(plan.add(als(past.date, past.positives, config.als, rated))))


def _item_item(plan: Plan, past: Past, config: NightlyConfig) -> Sources:
    return Sources((plan.add(item_similarity(past.date, past.positives, config.item_similarity)),))


def _content(plan: Plan, past: Past, config: NightlyConfig) -> Sources:
    return Sources((plan.add(content_similarity(past.date, past.known.items, config.content)),))


def _transformer(plan: Plan, past: Past, config: NightlyConfig) -> Sources:
    """What comes next: a model of everything that people did, and its vectors."""
    said = plan.add(sentences(past.date, past.watches, past.actions, past.searches, config.sentences))
    model = plan.add(transformer(past.date, sentences=said, items=past.known.items, config=config.transformer))
    vectors = plan.add(foundation_embeddings(past.date, transformer=model, sentences=said, known=past.known))
    return Sources(artifacts_of(vectors), (model,))


_WITH_STAGES: dict[str, Callable[[Plan, Past, NightlyConfig], Sources]] = {
    "popularity": _popularity,
    "als": _als,
    "item_item": _item_item,
    "content": _content,
    "transformer": _transformer,
}
"""Sources that the night has stages of their own for, see `models.serving.sources`; the towers are its index."""
