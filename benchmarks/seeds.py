"""The demo night over several made worlds: `python -m benchmarks.seeds 0 1 2`.

Every seed is another service with other people, titles and tastes. Prints NDCG@10 of the final lists, of each source
alone, of popularity, chance and the oracle, then the mean and the spread over the seeds, and how many times
popularity and what share of the oracle the lists reach.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="+", type=int)
    parser.add_argument("--config", default="deployments/demo.yaml")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    rows = [night(seed, options.config) for seed in options.seeds]
    show(options.seeds, rows)
    if options.json:
        options.json.write_text(json.dumps(dict(zip(options.seeds, rows, strict=True)), indent=2) + "\n")


def night(seed: int, config: str) -> dict[str, float]:
    """NDCG@10 of every system in a night of the world with this seed."""
    with tempfile.TemporaryDirectory(prefix="nightjar-seed-") as home:
        command = [sys.executable, "-m", "flows", "run", config, "--set", f"world.seed={seed}"]
        subprocess.run(command, env={**os.environ, "NIGHTJAR_HOME": home}, check=True, stdout=subprocess.DEVNULL)
        (file,) = Path(home).glob("lake/evaluation/date=*/*/part-*.parquet")
        rows = pq.read_table(file).to_pylist()
    chosen = [r for r in rows if (r["segment"], r["metric"], r["k"]) == ("all", "ndcg", 10)]
    figures = {r["system"]: r["value"] for r in chosen if not r["system"].startswith("without")}
    return {**figures, "x popularity": figures["final"] / figures["popularity"],
            "of oracle": figures["final"] / figures["oracle"]}  # fmt: skip


def show(seeds: list[int], rows: list[dict[str, float]]) -> None:
    print(f"{'NDCG@10':<14}" + "".join(f"{f'seed {s}':>10}" for s in seeds) + f"{'mean':>10}{'spread':>10}")
    for name in rows[0]:
        values = [row[name] for row in rows]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(
            f"{name:<14}" + "".join(f"{v:>10.4f}" for v in values) + f"{statistics.mean(values):>10.4f}{spread:>10.4f}"
        )


if __name__ == "__main__":
    main()
