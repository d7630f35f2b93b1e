"""Every model that learns from interactions alone, in one table: `nightjar models` lists it, the protocols run it, laws
hold for all of it, and a night takes whichever says what it can be there as a source. Imports nothing heavy.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from models.interactions import Interactions, Recommender, Trained, Training

SourceKind = Literal["lists", "neighbours", "vectors", "ranking", "index"]
"""What a release carries of a source of candidates (`models/source_tables.py` has what each asks of a model):

- `lists`: its best items for every user of the night. Somebody who comes later gets nothing from it.
- `neighbours`: similar items of each item. Whoever has a history is served by it.
- `vectors`: of users and items, whose inner products are its scores. Somebody who comes later gets nothing from it,
  unless there is an encoder for them.
- `ranking`: the same items for everybody.
- `index`: the towers' vectors in FAISS shards, asked with what the user tower says.
"""


@dataclass(frozen=True)
class Model:
    """One model.

    Attributes:
        train_at: `module:function` of (Interactions, settings, Training) -> Trained.
        class_at: `module:class` of the recommender that comes out, which can `load`.
        settings_at: `module:class` of its settings, with a default for each.
        section: section of a night's config that holds the same settings; by default `models.<name>`.
        trials: other settings than the default's that a protocol may try on its validation part, as changes by name.
        on_spark: whether its training runs Spark jobs, so that the application can be started early.
        source: what it is as a source of candidates of a night; None if it is none.
        source_name: of a source that the night has stages of its own for, as the data are many or it learns from more
            than interactions; every other source bears the model's name, is trained by `train`, and is off unless
            asked for.
        rates_with: settings under which it predicts ratings and ranks by them (`RatingPredictor`), `{}` where it always
            does; None if it never does.
        libraries: distributions whose version decides what comes out, besides numpy and pyarrow.
        memory_gib: what its training may hold at demo size.
    """

    name: str
    summary: str
    train_at: str
    class_at: str
    settings_at: str
    section: str = ""
    trials: tuple[Mapping[str, Any], ...] = ()
    on_spark: bool = False
    source: SourceKind | None = None
    source_name: str = ""
    rates_with: Mapping[str, Any] | None = None
    libraries: tuple[str, ...] = ()
    memory_gib: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "section", self.section or f"models.{self.name}")
        if self.source in ("ranking", "index") and not self.source_name:
            raise ValueError(f"{self.name}: as a source of its own a model is by lists, neighbours or vectors")

    def train(self, data: "Interactions", settings: Any, training: "Training") -> "Trained":
        train: Callable[..., Trained] = _found(self.train_at)
        return train(data, settings, training)

    def rates(self, settings: Any) -> bool:
        """Whether it predicts ratings under such settings."""
        return self.rates_with is not None and all(getattr(settings, n) == v for n, v in self.rates_with.items())

    @property
    def recommender(self) -> "type[Recommender]":
        return _found(self.class_at)

    @property
    def settings(self) -> type:
        return _found(self.settings_at)


def _found(place: str) -> Any:
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


_ALL: tuple[Model, ...] = (
    Model(
        name="popularity",
        summary="Items by decayed number of interactions, the same for everyone.",
        train_at="tasks.recommenders:train_popularity",
        class_at="models.collaborative.popularity:Popularity",
        settings_at="spark_jobs.config:PopularityConfig",
        section="popularity",
        trials=({"half_life_days": 0}, {"half_life_days": 3}, {"half_life_days": 30}),
        source="ranking",
        source_name="popularity",
    ),
    Model(
        name="als",
        summary="Matrix factorisation by alternating least squares; histories are folded in.",
        train_at="tasks.recommenders:train_als",
        class_at="models.collaborative.als:Als",
        settings_at="spark_jobs.config:AlsConfig",
        section="als",
        # Small dense logs want few factors, wide sparse ones many and bold ones; then those for ratings.
        trials=(
            {"regularisation": 0.1, "alpha": 4},
            {"factors": 256, "iterations": 8, "regularisation": 4, "alpha": 50},
            {"factors": 512, "iterations": 6, "regularisation": 4, "alpha": 50},
            {"feedback": "explicit", "factors": 50, "iterations": 15, "regularisation": 0.12},
            {"feedback": "explicit", "factors": 100, "iterations": 15, "regularisation": 0.1},
            {"feedback": "explicit", "factors": 100, "iterations": 15, "regularisation": 0.12},
        ),
        on_spark=True,
        source="vectors",
        source_name="als",
        rates_with={"feedback": "explicit"},
    ),
    Model(
        name="item_similarity",
        summary="Sum of the similarities to the items of a history, by who else had them.",
        train_at="tasks.recommenders:train_item_similarity",
        class_at="models.collaborative.neighbours:Neighbours",
        settings_at="spark_jobs.config:ItemSimilarityConfig",
        section="item_similarity",
        trials=(
            {"shrinkage": 0, "asymmetry": 0.75, "user_damping": 0.5, "top_k": 300},
            {"shrinkage": 1, "asymmetry": 0.6, "user_damping": 0.5},
            {"half_life_days": 30},
        ),
        on_spark=True,
        source="neighbours",
        source_name="item_item",
    ),
    Model(
        name="transformer",
        summary="Causal transformer over the history, by sampled softmax (SASRec, foundation model).",
        train_at="models.sequence.recommender:train",
        class_at="models.sequence.recommender:TransformerRecommender",
        settings_at="models.sequence.config:TransformerConfig",
        section="transformer",
        source="vectors",
        source_name="transformer",
    ),
    Model(
        name="two_tower",
        summary="Two towers over one table of items, by sampled softmax; a user is what they had.",
        train_at="models.retrieval.recommender:train_two_tower",
        class_at="models.retrieval.recommender:TwoTower",
        settings_at="models.retrieval.config:TwoTowerConfig",
        section="towers",
        trials=({"temperature": 0.085}, {"hidden": 128}),
        source="index",
        source_name="towers",
    ),
    Model(
        name="ease",
        summary="Weights between items by ridge regression, in closed form (EASE).",
        train_at="models.collaborative.ease:train",
        class_at="models.collaborative.ease:Ease",
        settings_at="models.collaborative.ease:EaseConfig",
        trials=({"regularisation": 100}, {"regularisation": 1000}),
        source="neighbours",
        libraries=("scipy",),
    ),
)

MODELS: dict[str, Model] = {m.name: m for m in _ALL}

SOURCES: dict[str, Model] = {n: model for n, model in MODELS.items() if model.source and not model.source_name}
"""Those that a night trains for whoever asks for them, each a source that bears its name."""
