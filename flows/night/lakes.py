"""The lake that a command works on: the one it is given, else the home's; never the one that a run had last."""

from pathlib import Path

from tasks.engine.lake import Lake
from tasks.engine.pointers import mend_pointers
from tasks.machine.home import from_here, lake_of, opened


def named_lake(home: Path, option: str) -> str:
    """URL or path of the lake that a command's `--lake` names, from the current folder; without one the home's."""
    return from_here(option) if option else lake_of(home)


def open_lake(home: Path, url: str = "") -> Lake:
    """The lake at a URL; without one the home's. Pointers of it that are damaged are mended."""
    lake = Lake(opened(home, url) if url else lake_of(home), home / "scratch" / "lake")
    mend_pointers(lake)
    return lake
