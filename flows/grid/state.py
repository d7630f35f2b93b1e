"""A sweep on disk: `<home>/grids/<id>/`, one folder for all runs of the same request.

grid.json       what was asked for, and which artifacts it has made
*.journal       what a search has asked and been told (Optuna)
results.parquet, effects.parquet, winner.yaml, winners/, report.html     what came out
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from filelock import Timeout

from expectations.errors import UserError
from expectations.files import write_json
from expectations.locks import lock
from expectations.records import checked, read_record
from flows.finding import find
from flows.night.records import check_id, new_id
from tasks.machine.home import opened
from tasks.machine.processes import owner_is_alive, owner_tag

State = Literal["running", "interrupted", "cancelled", "failed", "succeeded"]


@dataclass
class Sweep:
    """One sweep.

    Attributes:
        digest: of all that decides what comes out: the request, the code, the data.
        owner: tag of the process that runs it, or ran it last.
        counts: what there was to do, by name.
        refs: artifacts that it has made or read, by dataset; `nightjar gc` keeps them.
        mlflow: run ids, by configuration; the parent's is "".
    """

    home: Path
    id: str
    digest: str
    request: dict[str, Any]
    owner: str = ""
    state: State = "running"
    error: str = ""
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    refs: dict[str, list[str]] = field(default_factory=dict)
    mlflow: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return grids_folder(self.home) / self.id

    def save(self) -> None:
        write_json(self.folder / "grid.json", {k: v for k, v in asdict(self).items() if k != "home"})

    @contextmanager
    def driven(self) -> Iterator[None]:
        """Be the one process that runs it.

        Raises:
            UserError: another process does.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            mine = lock(self.folder / "lock", wait_s=0)
        except Timeout:
            raise UserError(f"grid {self.id} is running already; look: nightjar grid show {self.id}") from None
        with mine:
            self.owner, self.state, self.error = owner_tag(), "running", ""
            self.save()
            yield


def sweep_of(home: Path, request: dict[str, Any], code: str) -> Sweep:
    """The sweep of a request: the one that stands, finished or not, or a new one.

    Args:
        code: key of a step of it, which follows from the code and the data.
    """
    digest = _digest(request, code)
    # Earlier code told the whole place of a lake.
    known = {digest, _digest({**request, "lake": opened(home, request["lake"])}, code)}
    found = next((s for s in all_sweeps(home) if s.digest in known), None)
    return found or Sweep(home, new_id(), digest, request)


def _digest(request: dict[str, Any], code: str) -> str:
    return hashlib.sha256(json.dumps([request, code], sort_keys=True, default=str).encode()).hexdigest()[:16]


def grids_folder(home: Path) -> Path:
    return home / "grids"


def all_sweeps(home: Path) -> list[Sweep]:
    """Every sweep, newest first; what a dead process called running was interrupted, a damaged one is set aside."""
    found = [sweep for path in grids_folder(home).glob("*/grid.json") if (sweep := _read(home, path))]
    for sweep in found:
        if sweep.state == "running" and not owner_is_alive(sweep.owner):
            sweep.state, sweep.error = "interrupted", "the process that ran it is gone; the same command continues it"
    return sorted(found, key=lambda s: s.id, reverse=True)


def lease_name(sweep_id: str) -> str:
    """What the lease of a sweep is called, see `tasks.engine.leases`."""
    return f"grid-{sweep_id}"


def find_sweep(home: Path, id_: str) -> Sweep:
    """The sweep with an id, or the only one whose id begins so.

    Raises:
        UserError: there is none, or several.
    """
    none = "none yet; start one: nightjar grid deployments/grid.yaml"
    return find(all_sweeps(home), id_, "grid", "sweep", none)


def _read(home: Path, path: Path) -> Sweep | None:
    def make(values: Any) -> Sweep:
        sweep = checked(Sweep, {**values, "home": home})
        check_id(sweep.id, path)
        return sweep

    return read_record(path, make, "the sweep is listed no more; the same command begins it anew with what it has made")
