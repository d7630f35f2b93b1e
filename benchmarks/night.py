"""Seconds and peak memory of whole nights on made data, by size: `python -m benchmarks.night 50k 1m 10m`.

Every night runs in a home of its own, as a user would run it (`nightjar run`), and prints for each stage its seconds
and the peak resident memory of the whole process tree; then for the night: wall seconds, peak, rows of events, and the
share of the wall in which no stage was running (starting Prefect and Spark, planning, concluding). `--sequential` runs
one stage at a time, so that a stage's seconds and memory are its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Users and items that make about as many events (rows of the four logs) in the 30 days of a night.
SIZES = {"50k": (100, 500), "1m": (2_000, 4_000), "10m": (20_000, 20_000)}
EVENTS = ("impressions", "watches", "actions", "searches")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="+", choices=SIZES)
    parser.add_argument("--sequential", action="store_true", help="one stage at a time")
    parser.add_argument("--memory-gib", type=float, default=10)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    figures = {}
    for size in options.sizes:
        figures[size] = night(size, options.sequential, options.memory_gib)
        show(size, figures[size])
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def night(size: str, sequential: bool, memory_gib: float) -> dict[str, Any]:
    """Run one night in a fresh home; returns its run record with wall seconds and rows of events."""
    users, items = SIZES[size]
    with tempfile.TemporaryDirectory(prefix=f"nightjar-{size}-") as home:
        values = {
            "world.num_users": users,
            "world.num_items": items,
            "resources.memory_gib": memory_gib,
        }
        command = [sys.executable, "-m", "flows", "run", "deployments/demo.yaml"]
        command += [a for k, v in values.items() for a in ("--set", f"{k}={v}")] + ["--sequential"] * sequential
        began = time.monotonic()
        subprocess.run(command, env={**os.environ, "NIGHTJAR_HOME": home}, check=True, stdout=subprocess.DEVNULL)
        wall = time.monotonic() - began
        (path,) = Path(home).glob("runs/*/run.json")
        record: dict[str, Any] = json.loads(path.read_text())
        lake = Path(record["lake"])
        rows = {
            name: sum(json.loads((lake / f / "manifest.json").read_text())["rows"] for f in record["refs"][name])
            for name in EVENTS
        }
    return {**record, "wall": wall, "rows": rows, "idle": wall - _covered(record["steps"])}


def _covered(steps: list[dict[str, Any]]) -> float:
    """Seconds in which at least one stage was running."""
    covered, until = 0.0, float("-inf")
    for began, ended in sorted((s["began"], s["began"] + s["seconds"]) for s in steps):
        covered += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return covered


def show(size: str, figures: dict[str, Any]) -> None:
    print(f"\n{size}: " + ", ".join(f"{n:,} {name}" for name, n in figures["rows"].items()))
    print(f"{'stage':<20}{'seconds':>9}{'peak MiB':>10}{'rows':>14}")
    for step in figures["steps"]:
        print(f"{step['step']:<20}{step['seconds']:>9.1f}{step['peak_bytes'] / 2**20:>10.0f}{step['rows']:>14,}")
    share = figures["idle"] / figures["wall"]
    print(f"{'whole night':<20}{figures['wall']:>9.1f}{figures['peak_bytes'] / 2**20:>10.0f}")
    print(f"no stage running: {figures['idle']:.1f} s, {share:.0%} of the wall")


if __name__ == "__main__":
    main()
