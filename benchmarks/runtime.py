"""How fast the bundle's runtime recommends: `python -m benchmarks.runtime --users 50000 --items 20000`.

Prints seconds to load, users a second, and peak memory. The bundle is made up; its tables have real sizes.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

from benchmarks.made_bundle import make_bundle, make_tables
from models.runtime import Bundle
from models.serving.config import PipelineConfig
from tasks.engine.stage import plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=5_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--history", type=int, default=40)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tables = make_tables(args.users, args.items, args.dim, args.history)
        path = make_bundle(Path(scratch), tables, plain(PipelineConfig()))
        start = time.perf_counter()
        bundle = Bundle(path, threads=args.threads)
        loaded = time.perf_counter()
        rows = sum(result.table.num_rows for result in bundle.stream(range(args.users)))
        seconds = time.perf_counter() - loaded
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"loaded in {loaded - start:.2f} s; {rows:,} rows for {args.users:,} users in {seconds:.1f} s")
    print(f"{args.users / seconds:,.0f} users/s on {args.threads} threads; peak {peak_gib:.2f} GiB")


if __name__ == "__main__":
    main()
