"""What a backfill costs beyond its nights: `python -m benchmarks.backfill`.

Plans a year by `--dry-run`, then runs some days in a fresh home, one after the other in one process. Overhead of a day
is the part of its night in which no stage was running; what lies between the nights is told beside it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date as Date
from datetime import timedelta
from pathlib import Path
from typing import Any

FIRST = Date(2026, 3, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--planned", type=int, default=365, help="days that are only planned")
    parser.add_argument("--config", default="deployments/demo.yaml")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightjar-backfill-") as home:
        seconds = backfill(home, options.config, options.planned, "--dry-run")
        print(f"{options.planned} days planned in {seconds:.1f} s")
        seconds = backfill(home, options.config, options.days)
        nights = [json.loads(p.read_text()) for p in sorted(Path(home).glob("runs/*/run.json"))]
        show(nights, seconds)


def backfill(home: str, config: str, days: int, *options: str) -> float:
    """Seconds of a `nightjar backfill` over this many days."""
    end = FIRST + timedelta(days=days - 1)
    command = [sys.executable, "-m", "flows", "backfill", str(FIRST), str(end), "--config", config, *options]
    began = time.monotonic()
    subprocess.run(command, env={**os.environ, "NIGHTJAR_HOME": home}, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def show(nights: list[dict[str, Any]], seconds: float) -> None:
    """One line a day; the first also has Spark's start and the log of its whole window."""
    print(f"{'day':<12}{'night':>9}{'stages':>9}{'overhead':>10}")
    overheads = []
    for night in nights:
        stages = covered([(s["began"], s["began"] + s["seconds"]) for s in night["steps"]])
        overheads.append(night["seconds"] - stages)
        print(f"{night['date']:<12}{night['seconds']:>9.1f}{stages:>9.1f}{overheads[-1]:>10.1f}")
    later = overheads[1:]
    between = seconds - sum(n["seconds"] for n in nights)
    print(f"overhead of a day after the first: {sum(later) / len(later):.2f} s")
    print(f"before the first night, between nights and after the last: {between:.1f} s in all")


def covered(spans: list[tuple[float, float]]) -> float:
    """Seconds in which at least one of the spans lies."""
    if not spans:
        return 0.0
    total, reached = 0.0, min(begin for begin, _ in spans)
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


if __name__ == "__main__":
    main()
