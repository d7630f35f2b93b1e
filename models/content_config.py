"""Settings of the similarity of items by what they are. Imports nothing heavy."""

from typing import Annotated

from pydantic import Field

from expectations.settings import settings


@settings
class ContentConfig:
    """Nearest items by TF-IDF of title, genres, series, creator, language and description."""

    num_neighbours: Annotated[int, Field(ge=1, le=1000)] = 50
    """Neighbours kept for each item."""
    min_similarity: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Cosine below which two items are no neighbours."""
    max_item_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Terms that a larger share of all items has say nothing and are left out."""
