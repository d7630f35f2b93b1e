"""Whether all is well around a night: that it does not take too long, its lake, its registry, room on its disk.

With `flows/service/health.py` the one definition for `nightjar status` and the deployment `watch`.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from expectations.errors import FREES_SPACE, Failure
from expectations.passwords import redacted
from flows.night.records import RunRecord, began
from flows.service.asking import ask_side_by_side
from flows.service.health import LIMIT_S, Trouble, trouble_of

ROOM_BYTES = 2**30
"""A disk with less room than this is nearly full: a night's scratch alone may take as much."""


def long_nights(runs: Sequence[RunRecord]) -> Iterator[Trouble]:
    """Nights that run for longer than they may."""
    for run in runs:
        hours = (time.time() - began(run.id)) / 3600
        if run.state == "running" and run.night_hours and hours > run.night_hours:
            yield Trouble(
                "night",
                f"that of {run.date} has been running for {hours:.1f} h, longer than resources.night_hours "
                f"({run.night_hours:g})",
                f"end process {run.owner.partition('.')[0]} and run it again",
            )


def lake_trouble(url: str, home: Path) -> Trouble | None:
    """Whether the lake can be listed."""
    from tasks.engine.lake import Lake

    lake, remedy = Lake(url, home / "scratch" / "lake"), "start or mount what holds it"
    try:
        if lake.is_local and not lake.root.is_dir():
            return Trouble("lake", f"the folder {lake.root} is not there", remedy)
        lake.record_names("current")
    except Exception as error:  # whatever a file system throws
        why = next(iter(str(error).splitlines()), type(error).__name__)[:200]
        return Trouble("lake", f"{redacted(url.partition('?')[0])} cannot be read ({redacted(why)})", remedy)
    return disk_trouble(lake.root) if lake.is_local else None


def disk_trouble(folder: Path) -> Trouble | None:
    """Whether there is room left for what a night writes."""
    free = shutil.disk_usage(folder).free
    if free >= ROOM_BYTES:
        return None
    return Trouble("disk", f"only {free / 2**20:.0f} MiB are left at {folder}", f"free some space ({FREES_SPACE})")


def registry_trouble(home: Path, url: str) -> Trouble | None:
    """Whether releases can be looked up."""
    from tasks.registry.registry import Registry

    try:
        Registry(home, url).check()
    except Failure as error:
        return Trouble("registry", str(error), "then try again")
    return None


def needs(home: Path, lake: str, registry: str = "") -> list[Trouble]:
    """What is not well among that which a night needs wherever it runs: lake, disk, registry; within `LIMIT_S`."""
    questions: dict[str, Callable[[], Trouble | None]] = {
        "lake": lambda: lake_trouble(lake, home),
        "disk": lambda: disk_trouble(home),
        "registry": lambda: registry_trouble(home, registry),
    }
    heard = ask_side_by_side(questions, LIMIT_S)
    return [trouble for name, answer in heard.items() if (trouble := trouble_of(name, answer))]
