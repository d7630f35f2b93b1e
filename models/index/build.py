"""One FAISS index a shard: inner product over unit vectors, ids are item ids.

A shard is built by one thread, so its bytes depend on nothing but its vectors and the config; shards are built side by
side in threads (FAISS hangs in a child forked after its parent used it).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

import faiss
import numpy as np

from expectations.errors import UserError
from models.index.config import IndexConfig, IndexType

Shard = tuple[np.ndarray, np.ndarray]
"""Item ids int64 `[n]` and their vectors float32 `[n, d]`."""

Part = Callable[[str, Callable[[], Any]], Any]
"""Called with the name of a part of the work and what does it; gives what that gives."""

_POINTS_PER_LIST = 39  # FAISS warns below this many training points a cluster
_MAX_PQ_BITS = 8


def choose_type(config: IndexConfig, num_items: int) -> IndexType:
    """The configured type, or by the number of items of all shards."""
    if config.type != "auto":
        return config.type
    if num_items < config.ivf_from_items:
        return "flat"
    return "ivf" if num_items < config.ivf_pq_from_items else "ivf_pq"


def build_shards(
    shards: Sequence[Shard], config: IndexConfig, threads: int, part: Part = lambda name, work: work()
) -> tuple[IndexType, list[faiss.Index]]:
    """The type chosen for all shards, and one index each, `threads` of them at a time, each a `part`."""
    chosen, total = choose_type(config, sum(len(ids) for ids, _ in shards)), len(shards)
    with ThreadPoolExecutor(threads) as pool:
        # In a copy of the context, so that who looks at the parts knows which run they belong to.
        jobs = [
            pool.submit(copy_context().run, part, f"shard {n} of {total}", partial(build_shard, s, chosen, config))
            for n, s in enumerate(shards, 1)
        ]
        return chosen, [job.result() for job in jobs]


def build_shard(shard: Shard, chosen: IndexType, config: IndexConfig) -> faiss.Index:
    """An index of a shard's vectors that answers with its item ids.

    Raises:
        UserError: `pq_code_bytes` does not divide the dimensions.
    """
    # OpenMP keeps the count per thread: this one builds alone, whatever its neighbours do.
    faiss.omp_set_num_threads(1)
    ids, vectors = shard
    num_items, dim = vectors.shape
    index = _empty(chosen, num_items, dim, config)
    index.train(vectors)
    index.add_with_ids(vectors, ids)
    return index


def _empty(chosen: IndexType, num_items: int, dim: int, config: IndexConfig) -> faiss.Index:
    metric = faiss.METRIC_INNER_PRODUCT
    if chosen == "flat":
        return faiss.IndexIDMap2(faiss.IndexFlatIP(dim))
    if chosen == "hnsw":
        graph = faiss.IndexHNSWFlat(dim, config.hnsw_links, metric)
        graph.hnsw.efConstruction = config.hnsw_build_beam
        return faiss.IndexIDMap2(graph)
    num_lists = _num_lists(num_items, config)
    if chosen == "ivf_pq":
        return _ivf_pq(num_items, dim, num_lists, config)
    lists = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, num_lists, metric)
    _set_seed(lists.cp, config.seed)
    return lists


def _ivf_pq(num_items: int, dim: int, num_lists: int, config: IndexConfig) -> faiss.IndexIVFPQ:
    code_bytes = config.pq_code_bytes or dim
    if dim % code_bytes:
        raise UserError(
            f"index.pq_code_bytes is {code_bytes}, which does not divide the {dim} dimensions of the "
            f"vectors (towers.dim): take one of {[b for b in range(1, dim + 1) if dim % b == 0]}"
        )
    # A codebook of 2^bits centroids needs as many points.
    bits = min(_MAX_PQ_BITS, max(1, num_items.bit_length() - 1))
    quantizer = faiss.IndexFlatIP(dim)
    index = faiss.IndexIVFPQ(quantizer, dim, num_lists, code_bytes, bits, faiss.METRIC_INNER_PRODUCT)
    _set_seed(index.cp, config.seed)
    _set_seed(index.pq.cp, config.seed)
    return index


def _num_lists(num_items: int, config: IndexConfig) -> int:
    wanted = config.num_lists or round(4 * num_items**0.5)
    return max(1, min(wanted, num_items // _POINTS_PER_LIST))


def _set_seed(clustering: faiss.ClusteringParameters, seed: int) -> None:
    """Fix the seed; small shards are no reason for a warning on the terminal."""
    clustering.seed = seed
    clustering.min_points_per_centroid = 1
