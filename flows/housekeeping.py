"""What may be deleted: artifacts that nothing which matters refers to."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expectations.datasets import DATASETS
from expectations.files import read_json
from flows.grid.state import all_sweeps
from flows.night.records import RunRecord, all_runs
from tasks.engine.lake import MANIFEST, Lake, Ref
from tasks.registry.registry import Registry

RELEASED = ("nightjar.bundle", "nightjar.recommendations", "nightjar.evaluation")
"""Tags of a version that name artifacts: what is released, and what `nightjar compare` reads."""


@dataclass(frozen=True)
class Garbage:
    """Something that may go: its name, size and how to remove it."""

    name: str
    bytes: int
    remove: Callable[[], None]


def garbage(home: Path, lake: Lake, keep_days: int) -> list[Garbage]:
    """Artifacts that no run or sweep of the last `keep_days` days, no registered release and no pointer refers to.

    What a kept artifact was made from is kept with it, so that its lineage can still be shown and its days need not
    be made again.
    """
    kept = _closure(lake, _roots(home, lake, keep_days))
    found = []
    for dataset in DATASETS:
        for ref in lake.refs(dataset):
            if ref not in kept:
                size = sum(f["bytes"] for f in _manifest(lake, ref).get("files", {}).values())
                found.append(Garbage(ref.folder, size, lambda ref=ref: lake.remove(ref)))  # type: ignore[misc]
    folders = [(f"run {p.name}", p) for p in _old_runs(home, keep_days)]
    folders += [(f"copy of release {p.name}", p) for p in _old_copies(home, keep_days)]
    return found + [Garbage(name, _size(p), lambda p=p: shutil.rmtree(p)) for name, p in folders]  # type: ignore[misc]


def _roots(home: Path, lake: Lake, keep_days: int) -> set[Ref]:
    horizon = time.time() - keep_days * 86_400
    roots: set[Ref] = set()
    runs = all_runs(home)
    for run in runs:
        # The newest night stays whole whatever its age: it is what the next one builds on.
        if _began(run.id) >= horizon or run is runs[-1]:
            roots |= {_ref(f) for folders in run.refs.values() for f in folders}
    for sweep in all_sweeps(home):
        if _began(sweep.id) >= horizon:
            roots |= {_ref(f) for folders in sweep.refs.values() for f in folders}
    for dataset in DATASETS:
        current = lake.current(dataset)
        roots |= {current} if current else set()
    for registry in _registries(home, runs):
        for version in registry.versions():
            roots |= {_ref(version.tags[t]) for t in RELEASED if t in version.tags}
    return roots


def _registries(home: Path, runs: list[RunRecord]) -> list[Registry]:
    """Every registry that a run of this home has released to."""
    own = Registry(home)
    urls = {run.registry for run in runs} | {own.address}
    if own.database.exists():
        urls.add(f"sqlite:///{own.database}")
    return [Registry(home, url) for url in sorted(filter(None, urls))]


def _closure(lake: Lake, roots: set[Ref]) -> set[Ref]:
    kept: set[Ref] = set()
    queue = list(roots)
    while queue:
        ref = queue.pop()
        if ref in kept:
            continue
        kept.add(ref)
        queue += [_ref(f) for folders in _manifest(lake, ref).get("inputs", {}).values() for f in folders]
    return kept


def _manifest(lake: Lake, ref: Ref) -> dict[str, Any]:
    if not lake.is_local:
        lake.find(ref)
    path = lake.local(ref) / MANIFEST
    return dict(read_json(path)) if path.exists() else {}


def _old_runs(home: Path, keep_days: int) -> list[Path]:
    horizon = time.time() - keep_days * 86_400
    return [home / "runs" / r.id for r in all_runs(home)[:-1] if _began(r.id) < horizon]


def _old_copies(home: Path, keep_days: int) -> list[Path]:
    """Releases that were pulled to be asked once, and can be pulled again."""
    horizon = time.time() - keep_days * 86_400
    return [p for p in sorted((home / "releases").glob("*")) if p.is_dir() and p.stat().st_mtime < horizon]


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def _began(run_id: str) -> float:
    return time.mktime(time.strptime(run_id.split("-")[0], "%Y%m%dT%H%M%S"))


def _ref(folder: str) -> Ref:
    dataset, date, key = folder.split("/")[:3]
    return Ref(dataset, date.removeprefix("date="), key)
