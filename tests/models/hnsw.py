"""What FAISS keeps of a graph, inside of what maps ids to it."""

from typing import Any

import faiss


def hnsw_of(index: faiss.Index) -> Any:
    """The graph of an HNSW shard, a `faiss.HNSW`; FAISS's own types know few of its fields."""
    assert isinstance(index, faiss.IndexIDMap)
    core = faiss.downcast_index(index.index)
    assert isinstance(core, faiss.IndexHNSW)
    return core.hnsw
