"""Settings of the Spark jobs that decide what comes out. Imports nothing heavy."""

from typing import Annotated, Literal

from pydantic import Field

from expectations.settings import settings


@settings
class InteractionsConfig:
    """How the window's watches become one row a user and item."""

    half_life_days: Annotated[float, Field(ge=0, le=3650)] = 0
    """A watch this much older than the end of the window weighs half, in days; 0 weighs all the same."""


@settings
class PopularityConfig:
    """How the window's watches become a ranking of items."""

    half_life_days: Annotated[float, Field(ge=0, le=3650)] = 7
    """A positive this much older than the end of the window counts half, in days; 0 counts all the same."""


@settings
class FeaturesConfig:
    """What is told of users and items, as of one day."""

    history_length: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Newest positives kept in a user's history."""
    search_words: Annotated[int, Field(ge=0, le=1000)] = 50
    """Last words searched for that are kept in a user's history; 0 keeps none."""
    exposure_days: Annotated[int, Field(ge=1, le=365)] = 14
    """Last days of the window whose impressions count as exposures."""
    recent_half_life_days: Annotated[float, Field(gt=0, le=3650)] = 3
    """Half-life of an item's `recent_watches`, in days."""
    watch_rate_prior: Annotated[float, Field(ge=0, le=1e6)] = 50
    """Impressions at the mean watch rate that every item is credited with; 0 takes the raw rate."""


@settings
class SentencesConfig:
    """Histories of heterogeneous tokens, for the transformer."""

    length: Annotated[int, Field(ge=1, le=10_000)] = 300
    """Newest tokens kept of a user."""
    actions: tuple[Literal["browse", "search", "rate", "like", "share", "complete", "pause"], ...] = (
        "search",
        "rate",
        "like",
    )
    """Kinds of tokens beside plays."""


@settings
class AlsConfig:
    """Matrix factorisation by alternating least squares."""

    feedback: Literal["implicit", "explicit"] = "implicit"
    """`implicit`: every pair counts, those watched with confidence 1 + alpha * weight (Hu, Koren, Volinsky 2008);
    `explicit`: only rated pairs count, by their rating."""
    factors: Annotated[int, Field(ge=1, le=1024)] = 64
    """Latent factors of a user and an item."""
    iterations: Annotated[int, Field(ge=1, le=1000)] = 10
    """Sweeps; each solves all users, then all items."""
    regularisation: Annotated[float, Field(ge=0, le=1e6)] = 0.3
    """Ridge penalty on the factors."""
    weighted_regularisation: bool = True
    """The penalty of a user or item grows with its number of interactions (Zhou et al. 2008), so that one value suits
    logs of any size."""
    alpha: Annotated[float, Field(gt=0, le=1e6)] = 2
    """Confidence that a unit of weight adds; implicit only."""
    cg_steps: Annotated[int, Field(ge=1, le=1024)] = 3
    """Conjugate-gradient steps a row and sweep (Takács, Pilászy, Tikk 2011); as many as factors solve exactly."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Decides the factors that the first sweep starts from."""


@settings
class ItemSimilarityConfig:
    """Neighbours of items by who watched them."""

    metric: Literal["cosine", "jaccard", "lift"] = "cosine"
    """How co-occurrence is set against how often each of the two occurs."""
    asymmetry: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of the cosine (Aiolli 2013): above 0.5 an item's neighbours are rather popular ones, at 1 those that most of its
    own users have; below 0.5 rather rare ones."""
    user_damping: Annotated[float, Field(ge=0, le=2)] = 0
    """What a user tells of two items is divided by the user's number of items to this power, so that those who watch
    everything do not decide (Breese, Heckerman, Kadie 1998, of items); 0 is off."""
    top_k: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Most neighbours kept of an item."""
    shrinkage: Annotated[float, Field(ge=0, le=1e6)] = 10
    """Scores are multiplied by c / (c + shrinkage), c the users in common (Bell and Koren 2007); 0 is off."""
    popularity_damping: Annotated[float, Field(ge=0, le=2)] = 0
    """Scores are divided by the neighbour's number of users to this power (Deshpande and Karypis 2004); 0 is off."""
    half_life_days: Annotated[float, Field(ge=0, le=3650)] = 0
    """A watch this much older than the end of the window weighs half, in days; 0 weighs all the same."""
    max_items_per_user: Annotated[int, Field(ge=2, le=100_000)] = 500
    """Newest items of a user that count; what a user adds to the work grows with the square."""
