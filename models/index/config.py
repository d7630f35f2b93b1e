"""Settings of the vector index. Imports nothing heavy."""

from typing import Annotated, Literal

from pydantic import Field

from expectations.settings import settings

IndexType = Literal["flat", "ivf", "ivf_pq", "hnsw"]
TYPES_IN_WORDS: dict[IndexType, str] = {"flat": "exact search", "ivf": "IVF", "ivf_pq": "IVF-PQ", "hnsw": "HNSW"}
"""What pages call each type."""

PARAMETER: dict[IndexType, str] = {"ivf": "nprobe", "ivf_pq": "nprobe", "hnsw": "efSearch"}
"""What FAISS calls the search effort of each type; a flat index has none."""


@settings
class IndexConfig:
    """Which FAISS index holds the item vectors, and how much of the exact answer it must find."""

    type: Literal["auto", IndexType] = "auto"
    """`auto` goes by the number of items: flat (exact) below `ivf_from_items`, IVF below `ivf_pq_from_items`, then
    IVF-PQ. HNSW answers fastest, but takes most memory and time to build."""
    ivf_from_items: Annotated[int, Field(ge=1)] = 50_000
    """Items from which on `auto` stops searching exhaustively."""
    ivf_pq_from_items: Annotated[int, Field(ge=1)] = 2_000_000
    """Items from which on `auto` compresses the vectors."""
    min_recall: Annotated[float, Field(ge=0, le=1)] = 0.95
    """Share of the exact nearest items that the index must find; below it nothing is published."""
    recall_k: Annotated[int, Field(ge=1, le=1000)] = 100
    """Nearest items that count for the recall."""
    num_queries: Annotated[int, Field(ge=1)] = 500
    """Users whose vectors are the queries with which recall and latency are measured."""
    num_lists: Annotated[int, Field(ge=0)] = 0
    """Inverted lists of a shard of IVF or IVF-PQ; 0 takes four times the square root of its items."""
    pq_code_bytes: Annotated[int, Field(ge=0)] = 0
    """Bytes of a vector compressed by IVF-PQ; must divide its dimensions. 0 takes one byte a dimension, a quarter of
    the vector; fewer lose recall."""
    hnsw_links: Annotated[int, Field(ge=2, le=256)] = 32
    """Links of an item in HNSW."""
    hnsw_build_beam: Annotated[int, Field(ge=1)] = 200
    """Candidates that HNSW keeps while it links a new item."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Decides the clusters of IVF and PQ, and which users are asked."""
