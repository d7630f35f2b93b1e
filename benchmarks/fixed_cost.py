"""What a night costs that has next to nothing to do: `python -m benchmarks.fixed_cost --beside OTHER_CHECKOUT`.

Each round: a small night in a fresh home, then the same night again, all cached; nights of another checkout (which
has been set up too) take turns with ours. Seconds by the clock, and of processor time of the command and all that it
waited for.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NIGHT = """
world: {num_users: 150, num_items: 250, num_days: 12}
window: {train_days: 10, judge_days: 2, rank_days: 3}
als: {factors: 8, iterations: 2}
towers: {dim: 16, fit: {max_epochs: 1}}
ranker: {fit: {max_epochs: 1}}
evaluation: {max_ablation_users: 20, num_resamples: 100}
pipeline: {k: 10}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, help="another checkout, such as one of an earlier commit")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    checkouts = [ROOT, *([options.beside.resolve()] if options.beside else [])]
    seconds: dict[tuple[Path, str], list[tuple[float, float]]] = {}
    for _ in range(options.rounds):
        for checkout in checkouts:
            with tempfile.TemporaryDirectory(prefix="nightjar-fixed-cost-") as folder:
                for what in ("small night", "again, cached"):
                    seconds.setdefault((checkout, what), []).append(run(checkout, Path(folder)))
    print(f"{'checkout':<40}{'':<16}{'clock, s':>20}{'processor, s':>20}")
    for (checkout, what), found in seconds.items():
        print(f"{str(checkout)[-39:]:<40}{what:<16}" + "".join(f"{spread(v):>20}" for v in zip(*found, strict=True)))


def run(checkout: Path, folder: Path) -> tuple[float, float]:
    """Seconds of one command: by the clock, of processor time."""
    (folder / "night.yaml").write_text(NIGHT)
    command = [str(checkout / ".venv/bin/python"), "-m", "flows", "run", str(folder / "night.yaml")]
    environment = {**os.environ, "NIGHTJAR_HOME": str(folder / "home")}
    before, began = _children(), time.monotonic()
    subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began, _children() - before


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def spread(values: tuple[float, ...]) -> str:
    """Median, smallest and largest."""
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


if __name__ == "__main__":
    main()
