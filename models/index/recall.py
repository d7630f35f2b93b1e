"""How much of the exact answer an index finds, and the least search effort that finds enough."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from expectations.errors import Failure
from models.index.build import Shard
from models.index.config import PARAMETER, IndexConfig, IndexType


@dataclass(frozen=True)
class Measured:
    """One rung of the ladder: the search parameter (None for an exact index) and the recall it reaches."""

    parameter: int | None
    recall: float


def search(indexes: Sequence[faiss.Index], queries: np.ndarray, k: int) -> np.ndarray:
    """Ids of the k nearest items over all shards, int64 `[Q, k]`, best first, ties by id; -1 where fewer are found."""
    found = [index.search(queries, k) for index in indexes]
    scores = np.concatenate([scores for scores, _ in found], axis=1)
    ids = np.concatenate([ids for _, ids in found], axis=1)
    order = np.lexsort((ids, np.where(ids < 0, np.inf, -scores)))[:, :k]
    return np.take_along_axis(ids, order, axis=1)


def exact(shards: Sequence[Shard], queries: np.ndarray, k: int) -> np.ndarray:
    """The same by exhaustive search, shard by shard."""
    flats = []
    for ids, vectors in shards:
        flat = faiss.IndexIDMap2(faiss.IndexFlatIP(vectors.shape[1]))
        flat.add_with_ids(vectors, ids)
        flats.append(flat)
    return search(flats, queries, k)


def recall_at_k(found: np.ndarray, truth: np.ndarray) -> float:
    """Share of all ids of `truth` that the same row of `found` has; ids of -1 in `truth` do not count."""
    hits = sum(np.isin(wanted[wanted >= 0], got).sum() for got, wanted in zip(found, truth, strict=True))
    return float(hits / (truth >= 0).sum())


def tune(
    chosen: IndexType, indexes: Sequence[faiss.Index], shards: Sequence[Shard], queries: np.ndarray, config: IndexConfig
) -> list[Measured]:
    """Climb the ladder of search efforts until the recall is enough, and leave the indexes at that rung.

    The search effort is part of a FAISS file, so whoever reads it searches alike.

    Args:
        queries: `[Q, d]` vectors of real users.

    Returns:
        What every rung reached, the last being the one that the indexes now have.

    Raises:
        Failure: the highest rung stays below `config.min_recall`.
    """
    k = min(config.recall_k, sum(len(ids) for ids, _ in shards))
    truth = exact(shards, queries, k)
    rungs = []
    for parameter in _ladder(chosen, indexes, k):
        for index in indexes:
            _set(chosen, index, parameter)
        rungs.append(Measured(parameter, recall_at_k(search(indexes, queries, k), truth)))
        if rungs[-1].recall >= config.min_recall:
            return rungs
    raise Failure(
        f"index: the {chosen} index finds {rungs[-1].recall:.3f} of the exact {k} nearest items, "
        f"index.min_recall asks for {config.min_recall}; nothing was published. {_REMEDY[chosen]}"
    )


_REMEDY = {
    "flat": "A flat index is exact: look for NaN among the vectors.",
    "ivf": "Every list was searched: look for NaN among the vectors.",
    "ivf_pq": "Raise index.pq_code_bytes, or set index.type to ivf or flat.",
    "hnsw": "Raise index.hnsw_links and index.hnsw_build_beam, or set index.type to ivf or flat.",
}


def _ladder(chosen: IndexType, indexes: Sequence[faiss.Index], k: int) -> list[int | None]:
    """Search efforts from the least to the most, each about twice the one before."""
    if chosen == "flat":
        return [None]
    if chosen == "hnsw":
        return sorted({max(k, 2**power) for power in range(6, 12)})
    num_lists = max(faiss.extract_index_ivf(index).nlist for index in indexes)
    return [*(2**power for power in range((num_lists - 1).bit_length())), num_lists]


def _set(chosen: IndexType, index: faiss.Index, parameter: int | None) -> None:
    if parameter is not None:
        faiss.ParameterSpace().set_index_parameter(index, PARAMETER[chosen], parameter)


def latencies_ms(indexes: Sequence[faiss.Index], queries: np.ndarray, k: int) -> dict[str, float]:
    """Median and 99th percentile of answering one query alone, on one thread, in milliseconds."""
    faiss.omp_set_num_threads(1)
    seconds = []
    for query in queries:
        start = time.perf_counter()
        search(indexes, query[None], k)
        seconds.append(time.perf_counter() - start)
    p50, p99 = np.percentile(seconds, (50, 99)) * 1e3
    return {"p50": round(float(p50), 4), "p99": round(float(p99), 4)}
