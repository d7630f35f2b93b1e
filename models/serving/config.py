"""Settings of the pipeline from retrieval to order. They travel in the bundle as `pipeline.json`; the runtime reads
nothing else. Imports nothing heavy.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from expectations.settings import settings
from models.catalogue import Model
from models.runtime.systems import SYSTEMS
from models.serving.sources import FROM_CATALOGUE, KINDS

if TYPE_CHECKING:
    System = str
else:
    System = Literal[*SYSTEMS]
"""Which recommender the night builds and serves, from the same parts."""

Share = Annotated[float, Field(ge=0, le=1)]
Power = Annotated[float, Field(ge=0, le=10)]


@settings
class SourceConfig:
    """One retrieval source."""

    num_candidates: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Items asked of the source for every user; 0 switches it off."""
    weight: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Weight of the source in the reciprocal rank fusion of all sources."""
    items: Literal["all", "cold", "warm"] = "all"
    """Items it may propose: cold ones have no positive watch in the window, warm ones have."""


@settings
class SourcesConfig:
    """Where candidates come from."""

    towers: SourceConfig = SourceConfig(num_candidates=150)
    """Nearest items of the user's tower vector in the index; knows cold items and cold users by their features."""
    als: SourceConfig = SourceConfig(num_candidates=150, items="warm")
    """Matrix factorisation."""
    item_item: SourceConfig = SourceConfig(weight=1.5, items="warm")
    """Sum of the similarities to the items of the history."""
    content: SourceConfig = SourceConfig(weight=2.0)
    """Neighbours by TF-IDF of the items of the history: the way in for items that nobody has watched yet. With
    `items="cold"` it proposes only those."""
    transformer: SourceConfig = SourceConfig(num_candidates=0)
    """What the transformer expects next. A night trains one when this is on, and for systems that ask its score."""
    popularity: SourceConfig = SourceConfig(weight=0.7)
    """What everybody watches; with the towers the way for users without a history."""

    # Models of the catalogue that are sources of their own.
    LEFT_OUT_BY_DEFAULT: ClassVar = dict.fromkeys(FROM_CATALOGUE, SourceConfig(num_candidates=0))
    for _name, _model in FROM_CATALOGUE.items():
        __annotations__[_name] = Annotated[SourceConfig, Field(description=_model.summary)]
        vars()[_name] = LEFT_OUT_BY_DEFAULT[_name]


ON_BY_DEFAULT = tuple(
    field.name for field in dataclasses.fields(SourcesConfig) if getattr(SourcesConfig(), field.name).num_candidates
)
"""Sources that every night makes, so that any release can be asked for them."""


@settings
class HistoryConfig:
    """How sources by neighbours, such as `item_item` and `content`, look at what a user has watched."""

    length: Annotated[int, Field(ge=1, le=1000)] = 20
    """Last items of the history whose neighbours are proposed."""
    half_life: Annotated[float, Field(gt=0, le=1e6)] = 5.0
    """An item so many places further back in the history counts half."""
    num_neighbours: Annotated[int, Field(ge=1, le=1000)] = 20
    """Neighbours of each of them."""


@settings
class FiltersConfig:
    """What must not be recommended to whom. Each filter counts what it removes."""

    seen: bool = True
    """Drop what the user has watched or rated."""
    seen_filter: Literal["exact", "bloom"] = "exact"
    """`bloom` needs a tenth of the memory and also drops a few items that were not seen."""
    bloom_false_positive_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    """Share of the items not seen that the Bloom filter drops."""
    region: bool = True
    """Drop items without rights where the account lives; an unknown region has unrestricted items only."""
    tier: bool = True
    """Drop items above the subscription; an unknown subscription counts as free."""
    maturity: bool = True
    """Drop items for older people."""
    default_age: Annotated[int, Field(ge=0, le=120)] = 18
    """Age that the maturity filter takes for users of unknown age, years."""
    availability: bool = True
    """Drop items that are not yet, or no longer, available at the end of the data day."""


@settings
class RankConfig:
    """How candidates are scored. `models/runtime/systems.py` says which system looks at which of these."""

    ranker_weight: Share = 0.15
    """Exponent of the ranker's score in the product with the retrieval's, which gets the rest; 0 leaves the ranker out,
    1 the retrieval. The ranker knows what is watched of what is shown, retrieval what is worth showing."""
    click_power: Power = 1.0
    """Exponent of the click probability."""
    watch_power: Power = 0.1
    """Exponent of the expected watch seconds."""
    completion_power: Power = 0.25
    """Exponent of the completion probability."""
    watch_time_weight: Share = 0.15
    """`youtube`: exponent of the expected watch seconds in the product with the towers' score, which gets the rest."""
    foundation_weight: Share = 0.4
    """`netflix`: share of the transformer's score, the rest being matrix factorisation's."""
    engagement_weight: Share = 0.6
    """`hybrid`: share of the ranker's score (engagement) beside the transformer's (relevance)."""
    cf_weight: Share = 0.4
    """`hybrid`: share of matrix factorisation's score, the rest being that of transformer and ranker."""
    rank_constant: Annotated[float, Field(gt=0, le=1000)] = 10.0
    """Constant c of the reciprocal ranks 1 / (c + rank) that the sources give; smaller favours the heads of their
    lists."""


@settings
class OrderConfig:
    """How the best candidates become a list."""

    mmr_lambda: Share = 0.9
    """Share of relevance in maximal marginal relevance, the rest being distance to what is already in the list; 1
    switches diversification off."""
    genre_weight: Share = 0.3
    """Share of genres in the similarity of two items, the rest being their vectors."""
    genre_coverage: Share = 0.0
    """xQuAD: weight of how much of a user's history has an item's primary genre, while nothing in the list has it; the
    rest is maximal marginal relevance. 0 switches it off."""
    by_relevance: bool = False
    """Let what was picked stand in the order of its relevance, not in that of the picking."""
    series_cap: Annotated[int, Field(ge=0, le=1000)] = 4
    """Most items of one series in a list while there are others; 0 means no cap."""
    creator_cap: Annotated[int, Field(ge=0, le=1000)] = 5
    """Most items of one creator in a list while there are others; 0 means no cap."""
    fresh_quota: Annotated[int, Field(ge=0, le=1000)] = 1
    """Least number of new items in a list while there are candidates; 0 switches the quota off."""
    fresh_days: Annotated[float, Field(gt=0, le=3650)] = 7.0
    """Items uploaded at most this long before the end of the data day are new. Days."""
    exploration_position: Annotated[int, Field(ge=0, le=1000)] = 15
    """Place of the exploration slot, from 1: a random candidate from outside the head. Shorter lists have no such slot,
    and with 0 none has."""
    exploration_head: Annotated[int, Field(ge=0, le=10_000)] = 40
    """Candidates at the top of the ranking that the exploration slot does not draw from."""
    exploration_seed: Annotated[int, Field(ge=0)] = 0
    """With the user and the day decides the draw."""


@settings
class PipelineConfig:
    """From retrieval to order."""

    system: System = "fusion"
    """Set by the config's top-level `system`."""
    k: Annotated[int, Field(ge=1, le=1000)] = 20
    """Length of a list."""
    candidates: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Items asked for every user of each source that the system names. `fusion` names none: it asks whichever is on for
    its `num_candidates`."""
    pool_size: Annotated[int, Field(ge=1, le=10_000)] = 150
    """Candidates of a user, of all sources together and after the filters, that are ranked."""
    sources: SourcesConfig = SourcesConfig()
    history: HistoryConfig = HistoryConfig()
    filters: FiltersConfig = FiltersConfig()
    rank: RankConfig = RankConfig()
    order: OrderConfig = OrderConfig()

    def __post_init__(self) -> None:
        if self.pool_size < self.k:
            raise ValueError(f"pool_size is {self.pool_size}; it must be at least k, which is {self.k}")
        if not any(source.num_candidates for _, source in _each(self.sources)):
            raise ValueError("sources: every num_candidates is 0; at least one source must be on")


def looks_at(system: System, setting: str) -> bool:
    """Whether what a system recommends depends on a setting of the pipeline, such as `rank.cf_weight`."""
    section, _, name = setting.partition(".")
    asked = SYSTEMS[system].sources
    if setting == "candidates":
        return bool(asked)
    if section == "rank":
        return name in SYSTEMS[system].settings
    if not asked:
        return True
    if section == "sources":
        source, _, of_source = name.partition(".")
        # `candidates` decides how many are asked for, and a weight needs another one to be weighed against.
        return source in asked and of_source != "num_candidates" and (of_source != "weight" or len(asked) > 1)
    return section != "history" or any(KINDS[source] == "neighbours" for source in asked)


def pipeline_of(system: System, config: PipelineConfig) -> PipelineConfig:
    """The pipeline of a system: its sources asked for `candidates` each, all others off."""
    asked = SYSTEMS[system].sources
    if not asked:
        return dataclasses.replace(config, system=system)
    sources = {
        name: dataclasses.replace(source, num_candidates=config.candidates if name in asked else 0)
        for name, source in _each(config.sources)
    }
    most = config.candidates * len(asked)
    return dataclasses.replace(
        config, system=system, sources=SourcesConfig(**sources), pool_size=max(config.k, min(config.pool_size, most))
    )


def asked_sources(config: PipelineConfig) -> set[str]:
    """Sources that the pipeline asks for candidates, or its system for scores."""
    on = {name for name, source in _each(config.sources) if source.num_candidates}
    return on.union(SYSTEMS[config.system].scored_by)


def asked_of_catalogue(config: PipelineConfig) -> list[Model]:
    """Models of the catalogue that are sources of the pipeline."""
    asked = asked_sources(config)
    return [model for name, model in FROM_CATALOGUE.items() if name in asked]


def without_each_part(config: PipelineConfig) -> Iterator[tuple[str, PipelineConfig]]:
    """The ablations: the pipeline with each source and each step taken out in turn, by name."""
    for name, source in _each(config.sources):
        others = [s for n, s in _each(config.sources) if n != name]
        if source.num_candidates and any(s.num_candidates for s in others):
            off = dataclasses.replace(source, num_candidates=0)
            yield name, dataclasses.replace(config, sources=dataclasses.replace(config.sources, **{name: off}))
    steps: dict[str, tuple[str, Mapping[str, Any]]] = {
        **{name: ("rank", changes) for name, changes in SYSTEMS[config.system].without.items()},
        "mmr": ("order", {"mmr_lambda": 1.0}),
        "genre_coverage": ("order", {"genre_coverage": 0.0}),
        "by_relevance": ("order", {"by_relevance": False}),
        "caps": ("order", {"series_cap": 0, "creator_cap": 0}),
        "fresh_quota": ("order", {"fresh_quota": 0}),
        "exploration": ("order", {"exploration_position": 0}),
    }
    for name, (section, changes) in steps.items():
        part = dataclasses.replace(getattr(config, section), **changes)
        if part != getattr(config, section):
            yield name, dataclasses.replace(config, **{section: part})


def _each(sources: SourcesConfig) -> list[tuple[str, SourceConfig]]:
    return [(f.name, getattr(sources, f.name)) for f in dataclasses.fields(SourcesConfig)]
