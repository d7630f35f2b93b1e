"""How fast the runtime finds the nearest items: `python -m benchmarks.retrieval --items 100000 1000000`.

One thread, one query at a time, k = 100. Item vectors and queries are random unit vectors from one mixture of
Gaussians. The index is the one that the night would build for so many items, at the effort that the night would choose.
Raw FAISS answers each query on the same index in the same run, in turn before and after the runtime, so that neither
always finds the processor's caches warm. Filtered searches allow a random share of the items; their recall is of the
exact nearest among these. An index of a million items takes minutes to build.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from models.index.build import build_shards
from models.index.config import PARAMETER, IndexConfig
from models.index.recall import exact, recall_at_k, tune
from models.runtime.index import ItemIndex

K = 100
SHARES = (0.1, 0.01)

Search = Callable[[np.ndarray], Any]


def mixture(num: int, dim: int, centres: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32 `[num, dim]`: unit vectors around unit centres, at a cosine of about 0.7 with their own."""
    vectors = rng.normal(scale=dim**-0.5, size=(num, dim)).astype(np.float32)
    vectors += centres[rng.integers(0, len(centres), num)]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def timed(searches: dict[str, Search], queries: np.ndarray, rounds: int) -> dict[str, np.ndarray]:
    """Median and 99th percentile of one query's milliseconds, by name; all search for each query in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    for turn in range(rounds):
        for number, query in enumerate(queries):
            names = list(searches) if (turn + number) % 2 else list(searches)[::-1]
            for name in names:
                start = time.perf_counter()
                searches[name](query[None])
                seconds[name].append(time.perf_counter() - start)
    return {name: np.percentile(values, (50, 99)) * 1e3 for name, values in seconds.items()}


def measure(num_items: int, dim: int, num_queries: int, rounds: int) -> None:
    """Build, tune and time one index."""
    rng, config = np.random.default_rng(0), IndexConfig()
    centres = rng.normal(scale=dim**-0.5, size=(round(num_items**0.5), dim)).astype(np.float32)
    items, queries = mixture(num_items, dim, centres, rng), mixture(num_queries, dim, centres, rng)
    shard, began = (np.arange(num_items), items), time.perf_counter()
    chosen, (index,) = build_shards([shard], config, threads=1)
    rung = tune(chosen, [index], [shard], queries, config)[-1]
    built_s = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "shard.faiss"
        faiss.write_index(index, str(file))
        towers = ItemIndex([file], np.ones(num_items, dtype=bool))
    raw = towers.shards[0].index
    effort = f", {PARAMETER[chosen]} {rung.parameter}" if rung.parameter else ""
    print(f"{num_items:,} items: {chosen}{effort}, built and tuned in {built_s:.0f} s")
    found = timed({"runtime": lambda q: towers.search(q, K), "raw": lambda q: raw.search(q, K)}, queries, rounds)
    recall = recall_at_k(towers.search(queries, K)[0], exact([shard], queries, K))
    for name, (p50, p99) in found.items():
        print(f"  {name:<16} p50 {p50:7.3f} ms  p99 {p99:7.3f} ms  recall@{K} {recall:.4f}")
    p50, p99 = found["runtime"] / found["raw"]
    print(f"  runtime / raw    p50 {p50:7.3f}     p99 {p99:7.3f}")
    for share in SHARES:
        allowed = rng.random(num_items) < share
        p50, p99 = timed({"filtered": partial(towers.search, k=K, allowed=allowed)}, queries, 1)["filtered"]
        kept = np.flatnonzero(allowed)
        truth = exact([(kept, items[kept])], queries, K)
        recall = recall_at_k(towers.search(queries, K, allowed)[0], truth)
        print(f"  {share:>4.0%} allowed     p50 {p50:7.3f} ms  p99 {p99:7.3f} ms  recall@{K} {recall:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=4, help="times that every query is asked for")
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    for num_items in options.items:
        measure(num_items, options.dim, options.queries, options.rounds)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
