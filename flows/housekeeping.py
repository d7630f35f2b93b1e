"""What may be deleted: artifacts that nothing which matters refers to.

Deletion is in two steps: what nothing needs is marked, and goes only when it was marked a while ago and still nothing
needs it. So whatever has just begun to use an artifact has the time to say so (`tasks.engine.leases`).
"""

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expectations.datasets import DATASETS
from expectations.locks import is_locked
from flows.backfilling.state import Backfill, DayState, all_backfills
from flows.grid.state import all_sweeps, lease_name
from flows.night.records import RunRecord, all_runs, began
from tasks.engine.lake import Lake, Ref
from tasks.engine.leases import FOLDER, leased
from tasks.machine.home import opened
from tasks.registry.registry import Registry
from tasks.releases.trust import source_of

RELEASED = ("bundle", "recommendations", "evaluation")
"""Tags of a version that name artifacts: what is released, and what `nightjar compare` reads."""

MARKS = "garbage"
"""Record of the lake: what was found to be needed by nothing, and when first."""

RESUMED_DAYS = 14
"""A backfill that was interrupted is expected to be resumed within so many days."""


@dataclass(frozen=True)
class Garbage:
    """Something that may go: its name, size and how to remove it, which gives False when it is needed after all."""

    name: str
    bytes: int
    remove: Callable[[], bool]


def garbage(home: Path, lake: Lake, keep_days: int) -> list[Garbage]:
    """Artifacts that no work in flight, no run or sweep of the last `keep_days` days, no registered release and no
    pointer refers to; what interrupted uploads left; old records of runs and copies of releases.

    What a kept artifact was made from is kept with it, so that its lineage can still be shown and its days need not
    be made again.
    """
    kept = _closure(lake, _roots(home, lake, keep_days))
    found = [_of_artifact(home, lake, ref) for d in DATASETS for ref in lake.refs(d) if ref not in kept]
    found += [_of_artifact(home, lake, ref, "unfinished ") for ref in lake.unfinished() if ref not in kept]
    found += [_of_run(lake, path) for path in _old_runs(home, keep_days)]
    return found + [_of_copy(path) for path in _old_copies(home, keep_days)]


def marked(lake: Lake, found: Iterable[Garbage]) -> dict[str, float]:
    """Mark what was found; gives since when each was found by every look, seconds since 1970."""
    before = lake.record(MARKS, _since, "what is found now is marked anew") or {}
    since = {one.name: before.get(one.name, time.time()) for one in found}
    lake.write_record(MARKS, {"since": since})
    return since


def _since(marks: Any) -> dict[str, float]:
    return {str(name): float(since) for name, since in marks["since"].items()}


def _of_artifact(home: Path, lake: Lake, ref: Ref, what: str = "") -> Garbage:
    size = sum(f["bytes"] for f in (lake.manifest(ref) or {}).get("files", {}).values())

    def remove() -> bool:
        with lake.claim([ref]):
            if ref in leased(lake, home, _holders(home)):
                return False
            lake.remove(ref)
        return True

    return Garbage(what + ref.folder, size, remove)


def _of_run(lake: Lake, path: Path) -> Garbage:
    def remove() -> bool:
        lake.remove_record(f"{FOLDER}/{path.name}")  # which would keep what the run stands on, as it has no record now
        shutil.rmtree(path)
        return True

    return Garbage(f"run {path.name}", _size(path), remove)


def _of_copy(path: Path) -> Garbage:
    def remove() -> bool:
        shutil.rmtree(path)
        return True

    return Garbage(f"copy of release {path.name}", _size(path), remove)


def _roots(home: Path, lake: Lake, keep_days: int) -> set[Ref]:
    horizon = time.time() - keep_days * 86_400
    runs, sweeps = all_runs(home), all_sweeps(home)
    roots = leased(lake, home, _holders(home))
    unfinished = {day.run for one in all_backfills(home) for day in _in_flight(one, keep_days)}
    for run in runs:
        # The newest night stays whole whatever its age: it is what the next one builds on.
        if began(run.id) >= horizon or run is runs[-1] or run.id in unfinished:
            roots |= {Ref.of(f) for folders in (*run.refs.values(), run.planned) for f in folders}
    for sweep in sweeps:
        if began(sweep.id) >= horizon:
            roots |= {Ref.of(f) for folders in sweep.refs.values() for f in folders}
    for dataset in DATASETS:
        current = lake.current(dataset)
        roots |= {current} if current else set()
    for registry in _registries(home, runs):
        for version in registry.versions():
            roots |= {ref for part in RELEASED if (ref := source_of(version, part))}
    return roots


def _holders(home: Path) -> set[str]:
    """Those of which the home has records, as leases call them."""
    return {run.id for run in all_runs(home)} | {lease_name(sweep.id) for sweep in all_sweeps(home)}


def _in_flight(backfill: Backfill, keep_days: int) -> list[DayState]:
    """The days of a backfill that runs, or that somebody may still resume."""
    days = backfill.days()
    resumed_from = time.time() - max(keep_days, RESUMED_DAYS) * 86_400
    state = backfill.state(days)
    is_open = state == "running" or (state == "interrupted" and backfill.created >= resumed_from)
    return days if is_open else []


def _registries(home: Path, runs: list[RunRecord]) -> list[Registry]:
    """The home's registry, and every other one that a run of it has released to.

    Raises:
        Failure: one of them does not answer, so that nobody knows what it needs.
    """
    own = Registry(home)
    released = {opened(home, run.registry) for run in runs if run.release} | {own.address}
    if own.database.exists():
        released.add(f"sqlite:///{own.database}")
    # A run that did not get to its end may have been given a registry that there is not.
    tried = {opened(home, run.registry) for run in runs} - released
    found = [Registry(home, url) for url in sorted(filter(None, released))]
    for registry in found:
        registry.check()
    return found + [registry for url in sorted(filter(None, tried)) if _answers(registry := Registry(home, url))]


def _answers(registry: Registry) -> bool:
    try:
        registry.check()
    except Exception:  # of whatever library its URL leads to
        return False
    return True


def _closure(lake: Lake, roots: set[Ref]) -> set[Ref]:
    kept: set[Ref] = set()
    queue = list(roots)
    while queue:
        ref = queue.pop()
        if ref in kept:
            continue
        kept.add(ref)
        inputs = (lake.manifest(ref) or {}).get("inputs", {})
        queue += [Ref.of(f) for folders in inputs.values() for f in folders]
    return kept


def _old_runs(home: Path, keep_days: int) -> list[Path]:
    horizon = time.time() - keep_days * 86_400
    old = [r for r in all_runs(home)[:-1] if began(r.id) < horizon and r.state != "running"]
    return [home / "runs" / r.id for r in old]


def _old_copies(home: Path, keep_days: int) -> list[Path]:
    """Releases that were pulled to be asked once, and can be pulled again; none that is being pulled."""
    horizon = time.time() - keep_days * 86_400
    folders = [p for p in sorted((home / "releases").glob("*")) if p.is_dir()]
    return [p for p in folders if p.stat().st_mtime < horizon and not is_locked(p)]


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
