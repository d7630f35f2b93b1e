"""The lake that a home's nights write to."""

from pathlib import Path

from flows.night.records import all_runs
from tasks.engine.lake import Lake
from tasks.engine.pointers import mend_pointers


def open_lake(home: Path, url: str = "") -> Lake:
    """The lake at a URL; without one the last run's, and before the first run the home's own.

    Pointers of it that are damaged are mended.
    """
    if not url:
        runs = all_runs(home)
        url = runs[-1].lake if runs else str(home / "lake")
    lake = Lake(url, home / "scratch" / "lake")
    mend_pointers(lake)
    return lake
