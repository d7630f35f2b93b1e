"""How fast days are made and written: events a second, over a pool of processes as the night uses one.

python benchmarks/generation.py --users 27000 --items 20000 --days 10 --workers 2
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date as Date
from datetime import timedelta
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import pyarrow.parquet as pq

from models.world.config import WorldConfig
from models.world.tables import events_of
from models.world.world import World


@dataclass(frozen=True)
class Made:
    """What one worker did: rows written by dataset, processor seconds, peak memory."""

    rows: dict[str, int]
    cpu_s: float
    peak_gib: float


def write_days(config: WorldConfig, days: Sequence[str], folder: Path) -> Made:
    """Make some days and write them to Parquet."""
    world, rows = World(config), dict[str, int]()
    for day in days:
        for dataset, table in events_of(world, day).items():
            pq.write_table(table, folder / f"{dataset}-{day}.parquet", compression="zstd")
            rows[dataset] = rows.get(dataset, 0) + table.num_rows
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return Made(rows, time.process_time(), peak_gib)


def spread(days: Sequence[str], workers: int) -> list[Sequence[str]]:
    """Consecutive days for each worker: what it works out for one day serves the next."""
    bounds = [len(days) * n // workers for n in range(workers + 1)]
    return [days[start:end] for start, end in pairwise(bounds) if end > start]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=27_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    config = WorldConfig(num_users=options.users, num_items=options.items)
    first = Date.fromisoformat(config.first_day)
    days = [(first + timedelta(days=n)).isoformat() for n in range(options.days)]
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        began = time.monotonic()
        shares = spread(days, options.workers)
        made = list(pool.map(write_days, [config] * len(shares), shares, [Path(folder)] * len(shares)))
        seconds = time.monotonic() - began
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    rows = {dataset: sum(m.rows[dataset] for m in made) for dataset in made[0].rows}
    total, cpu_s = sum(rows.values()), sum(m.cpu_s for m in made)
    print(", ".join(f"{dataset} {count:,}" for dataset, count in rows.items()))
    print(f"{total:,} events in {seconds:.1f} s: {total / seconds:,.0f} events/s with {options.workers} workers")
    print(f"{cpu_s:.1f} processor seconds: {total / cpu_s:,.0f} events/s a core; {size / total:.0f} bytes an event")
    print(f"peak memory of a worker {max(m.peak_gib for m in made):.2f} GiB")


if __name__ == "__main__":
    main()
