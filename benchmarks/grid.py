"""Seconds of a grid with and without sharing: `python -m benchmarks.grid [deployments/grid.yaml]`.

With sharing: the whole grid by `nightjar grid`, in a fresh home, and once more, when everything stands. Without: some
configurations of each sweep, drawn by a seed, each by `nightjar grid` in a fresh home of its own, where nothing is
found; the mean of a sweep's, times its configurations, is what the sweep would take one after the other. That is an
extrapolation, and printed as one. CPU seconds are of the process and all its children: on a machine that does other
things too they say more than the clock.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from flows.grid.config import GridConfig, load_grid
from flows.grid.rows import all_rows

Seconds = tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=Path("deployments/grid.yaml"))
    parser.add_argument("--samples", type=int, default=2, help="configurations of each sweep made without sharing")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    grid, night = load_grid(options.file)
    rows = all_rows(grid, night)
    with tempfile.TemporaryDirectory(prefix="nightjar-grid-") as home:
        show(f"shared, all {len(rows)}", run(options.file, Path(home)))
        show("the same again", run(options.file, Path(home)))
    total = (0.0, 0.0)
    for name in grid.sweeps:
        of = [row.chosen for row in rows if row.sweep == name]
        some = random.Random(options.seed).sample(of, min(options.samples, len(of)))
        spent = [alone(grid, name, chosen) for chosen in some]
        mean = tuple(sum(s[n] for s in spent) / len(spent) for n in (0, 1))
        show(f"alone, {name}, mean of {len(spent)}", (mean[0], mean[1]))
        total = (total[0] + mean[0] * len(of), total[1] + mean[1] * len(of))
    show(f"without sharing, all {len(rows)}, extrapolated", total)


def alone(grid: GridConfig, sweep: str, chosen: dict[str, object]) -> Seconds:
    """One configuration in a home of its own."""
    keys = {name: getattr(axis, "keys", ()) or (name,) for name, axis in grid.sweeps[sweep].axes.items()}
    axes = {name: {"keys": list(keys[name]), "values": [value]} for name, value in chosen.items()}
    settings = dict(grid.sweeps[sweep].settings)
    with tempfile.TemporaryDirectory(prefix="nightjar-alone-") as home:
        file = Path(home) / "one.yaml"
        file.write_text(yaml.safe_dump({"night": grid.night, "sweeps": {sweep: {"settings": settings, "axes": axes}}}))
        return run(file, Path(home))


def run(file: Path, home: Path) -> Seconds:
    """Seconds by the clock and of CPU that `nightjar grid` takes."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "flows", "grid", str(file)]
    subprocess.run(command, env={**os.environ, "NIGHTJAR_HOME": str(home)}, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, cpu


def show(what: str, seconds: Seconds) -> None:
    print(f"{what:<44}{seconds[0]:>10.1f} s{seconds[1]:>10.1f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
