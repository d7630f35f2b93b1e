"""How fast the bundle's runtime recommends: `python -m benchmarks.runtime --users 50000 --items 20000`.

Prints seconds to load, users a second, milliseconds of each question about one user or item, and peak memory. Every
question is asked in turn as a release asks FAISS and with FAISS's own choice of threads, which is all cores. The bundle
is made up; its tables have real sizes.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.made_bundle import make_bundle, make_tables
from models.runtime import Bundle
from models.serving.config import PipelineConfig
from tasks.engine.stage import plain


def questions(bundle: Bundle) -> dict[str, Callable[[int], Any]]:
    """What is asked about one user or item, by its number."""
    vectors = bundle.item_vectors
    return {
        "ids": lambda number: bundle.ids("user", [f"u{number}"]),
        "similar": lambda number: bundle.similar(number),
        "search": lambda number: bundle.search(vectors[number][None], 100),
        "retrieve, towers": lambda number: bundle.retrieve("towers", [number], 100),
        "retrieve, als": lambda number: bundle.retrieve("als", [number], 100),
        "recommend": lambda number: bundle.recommend([number]),
        "recommend_for_history": lambda number: bundle.recommend_for_history([number, number + 1]),
    }


def ask_one_by_one(bundle: Bundle, rounds: int) -> None:
    """Print the median and the 99th percentile of every question, both ways in turn."""
    ways = {"runtime": None, "all cores": patch("models.runtime.release.faiss_threads", lambda *_: nullcontext())}
    for name, ask in questions(bundle).items():
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        ask(0)
        for number in range(rounds):
            for way, changed in ways.items():
                with changed or nullcontext():
                    start = time.perf_counter()
                    ask(number)
                    seconds[way].append(time.perf_counter() - start)
        told = (f"{way} {np.median(s) * 1e3:8.2f} / {np.percentile(s, 99) * 1e3:8.2f}" for way, s in seconds.items())
        print(f"{name:<24} p50 / p99, ms: {'   '.join(told)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=5_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--history", type=int, default=40)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=200, help="times that every question is asked, both ways")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tables = make_tables(args.users, args.items, args.dim, args.history)
        path = make_bundle(Path(scratch), tables, plain(PipelineConfig()))
        start = time.perf_counter()
        bundle = Bundle(path, threads=args.threads)
        loaded = time.perf_counter()
        rows = sum(result.table.num_rows for result in bundle.stream(range(args.users)))
        seconds = time.perf_counter() - loaded
        ask_one_by_one(bundle, args.rounds)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"loaded in {loaded - start:.2f} s; {rows:,} rows for {args.users:,} users in {seconds:.1f} s")
    print(f"{args.users / seconds:,.0f} users/s on {args.threads} threads; peak {peak_gib:.2f} GiB")


if __name__ == "__main__":
    main()
