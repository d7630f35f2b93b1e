"""Settings of the ranker. Imports nothing heavy."""

from typing import Annotated, Literal

from pydantic import Field

from expectations.settings import settings
from models.config import FitConfig

Width = Annotated[int, Field(ge=1, le=4096)]


@settings
class RankerConfig:
    """How the multi-task ranker is built and trained."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Decides the initial weights, the order of examples and what is sampled."""
    max_examples: Annotated[int, Field(ge=1)] = 2_000_000
    """Most training and validation rows; beyond that whole requests are sampled. Bounds memory."""
    validation_days: Annotated[int, Field(ge=1, le=365)] = 1
    """Last days of the impressions, held out to stop early and to measure quality."""
    hidden: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)] = (64, 32)
    """Widths of the hidden layers that the tasks share."""
    num_experts: Annotated[int, Field(ge=1, le=64)] = 1
    """1: one shared bottom. More: multi-gate mixture of that many experts, one gate a task."""
    batch_size: Annotated[int, Field(ge=1)] = 512
    """Examples a step."""
    fit: FitConfig = FitConfig(learning_rate=3e-3, final_learning_rate_share=0.1, max_epochs=8, patience=2, threads=1)
    """The epoch loop. One thread: the network is so small that a second one gains little and waits for a busy core."""
    click_weight: Annotated[float, Field(ge=0)] = 1.0
    """Share of the click loss in the sum of losses."""
    watch_weight: Annotated[float, Field(ge=0)] = 1.0
    """Share of the watch time loss in the sum of losses."""
    completion_weight: Annotated[float, Field(ge=0)] = 0.3
    """Share of the completion loss in the sum of losses."""
    completion_threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the duration from which a watch counts as completed."""
    max_watch_s: Annotated[float, Field(gt=0)] = 4 * 3600.0
    """Longer watches count as this long, and nothing is predicted above it: one forgotten player must not outweigh
    a thousand viewers. Seconds."""
    watch_odds: Literal["exact", "paper"] = "exact"
    """`paper`: unit weight on unwatched impressions only, as published; odds are E[watch] / (1 - P(click)).
    `exact`: unit weight on every impression; odds are E[watch]."""
    position_bias: bool = True
    """Learn how much of a click is owed to the place on the page, so that serving can leave it out."""
    max_position: Annotated[int, Field(ge=1, le=1000)] = 50
    """Places below this one share its bias."""
    inverse_propensity: bool = False
    """Weight impressions by 1 / propensity, as if the logging policy had shown everything alike."""
    min_propensity: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Smaller propensities count as this one, which bounds the weights."""
    roll_exposures: bool = True
    """Add the impressions of earlier days of the training set to the exposure counts of later ones."""
    negatives: Literal["uniform", "popularity"] = "uniform"
    """Where no impressions exist: how items that stand for `shown and not watched` are drawn."""
    num_negatives: Annotated[int, Field(ge=1, le=1000)] = 4
    """Where no impressions exist: items drawn for each positive."""
