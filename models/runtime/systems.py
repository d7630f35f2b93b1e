"""The systems, each an entry: where its candidates come from, and how it scores them. Whoever plans, checks, ranks,
leaves parts out or turns knobs reads this table. Imports nothing heavy, as settings are made from it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from .arrays import TINY
from .scores import RANKER, Scores

Settings = Mapping[str, float]
"""The pipeline's section `rank`."""


@dataclass(frozen=True)
class System:
    """One way from sources to relevance.

    Attributes:
        summary: what it recommends by, for whoever chooses one.
        score: relevance `[N, C]` of candidates, as a logarithm; asks no models but those of `asks`.
        sources: where its candidates come from, `pipeline.candidates` of each; empty: from whichever source is on, as
            many as `pipeline.sources` says.
        asks: models that its score is made of, `ranker` or sources that can score (see `Scoring`).
        settings: what it looks at of the section `rank`.
        without: part -> the settings under which the score is made without it, for ablations.
    """

    name: str
    summary: str
    score: Callable[[Scores, Settings], np.ndarray]
    sources: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    without: Mapping[str, Settings] = field(default_factory=dict)

    @property
    def scored_by(self) -> tuple[str, ...]:
        """Sources among the models that it asks."""
        return tuple(model for model in self.asks if model != RANKER)


def product(scores: Scores, share: float, asked: Callable[[], np.ndarray]) -> np.ndarray:
    """Weighted geometric mean of the fused retrieval score, which is made of ranks, and of what is asked, which is made
    of calibrated probabilities: neither has outliers, so products need no more.
    """
    blend: np.ndarray = (1 - share) * np.log(np.maximum(scores.retrieval, TINY))
    return blend + share * asked() if share > 0 else blend


def weighted_mean(scores: Scores, shares: Mapping[str, float]) -> np.ndarray:
    """Weighted mean of what models say, which has no common scale and so is standardised over a user's candidates."""
    said = {model: scores.of(model) for model, share in shares.items() if share > 0}
    blend = sum((shares[model] * standardised(values, scores.kept) for model, values in said.items()), 0.0)
    # Where nobody is asked, or all say the same, the order of the sources decides.
    return blend + TINY * standardised(scores.retrieval, scores.kept)


def standardised(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Values `[N, C]` less the mean of each row's kept ones, over their standard deviation; 0 elsewhere."""
    count = np.maximum(np.count_nonzero(kept, axis=1, keepdims=True), 1)
    values = np.where(kept, values, 0).astype(np.float64)
    centred = np.where(kept, values - values.sum(axis=1, keepdims=True) / count, 0)
    deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
    return centred / np.maximum(deviation, TINY)


def _fusion(scores: Scores, rank: Settings) -> np.ndarray:
    return product(scores, rank["ranker_weight"], lambda: scores.engagement)


def _youtube(scores: Scores, rank: Settings) -> np.ndarray:
    seconds = "watch_seconds"
    return product(scores, rank["watch_time_weight"], lambda: np.log(np.maximum(scores.expected[seconds], TINY)))


def _netflix(scores: Scores, rank: Settings) -> np.ndarray:
    share = rank["foundation_weight"]
    return weighted_mean(scores, {"transformer": share, "als": 1 - share})


def _hybrid(scores: Scores, rank: Settings) -> np.ndarray:
    cf, engagement = rank["cf_weight"], rank["engagement_weight"]
    own = (1 - cf) * (1 - engagement)
    return weighted_mean(scores, {"transformer": own, RANKER: (1 - cf) * engagement, "als": cf})


_POWERS = ("click_power", "watch_power", "completion_power")

_ALL = (
    System(
        name="fusion",
        summary="all sources that are on, and the ranker",
        score=_fusion,
        asks=(RANKER,),
        settings=("ranker_weight", *_POWERS, "rank_constant"),
        without={"ranker": {"ranker_weight": 0.0}, "retrieval_order": {"ranker_weight": 1.0}},
    ),
    System(
        name="youtube",
        summary="two towers and watch-time ranking",
        score=_youtube,
        sources=("towers",),
        asks=(RANKER,),
        settings=("watch_time_weight", "rank_constant"),
        without={"ranker": {"watch_time_weight": 0.0}, "retrieval_order": {"watch_time_weight": 1.0}},
    ),
    System(
        name="netflix",
        summary="a transformer with matrix factorisation",
        score=_netflix,
        sources=("transformer", "als"),
        asks=("transformer", "als"),
        settings=("foundation_weight", "rank_constant"),  # both sources are fused to choose the pool
        without={"transformer_score": {"foundation_weight": 0.0}, "als_score": {"foundation_weight": 1.0}},
    ),
    System(
        name="hybrid",
        summary="two towers, the transformer and a ranker, with matrix factorisation",
        score=_hybrid,
        sources=("towers",),
        asks=("transformer", RANKER, "als"),
        settings=("cf_weight", "engagement_weight", *_POWERS),  # one source has the same order with any constant
        without={
            "transformer_score": {"engagement_weight": 1.0},
            "ranker": {"engagement_weight": 0.0},
            "als_score": {"cf_weight": 0.0},
        },
    ),
)

SYSTEMS: dict[str, System] = {system.name: system for system in _ALL}
