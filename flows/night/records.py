"""Records of runs: what was asked for, what every stage did and why; `explain` and `show` start from the last one."""

import calendar
import secrets
import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from expectations.errors import UserError
from expectations.files import write_json, write_text
from expectations.records import checked, read_record
from tasks.machine.home import lake_of, opened
from tasks.machine.processes import owner_is_alive


@dataclass
class RunRecord:
    """One run of a night, kept in `<home>/runs/<id>/run.json`.

    Attributes:
        config, overrides: the config file, and settings given beside it.
        settings: all of them, of a run that was started from no file; `save` makes it one, `night.yaml`.
        lake, registry: as the home tells of them, see `tasks.machine.home`; so are the places in `release`.
        planned: artifacts of its plan, made or not; `nightjar gc` keeps them as long as the record.
        notes: what its source left out or found odd, and which state of it was read.
        night_hours: how long it may take; 0 for ever.
        owner: tag of the process that ran it; a run that a dead process called running was interrupted.
    """

    id: str
    config: str
    overrides: list[str]
    lake: str
    date: str
    registry: str = ""
    owner: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    state: str = "running"
    night_hours: float = 0.0
    seconds: float = 0.0
    peak_bytes: int = 0
    steps: list[dict[str, Any]] = field(default_factory=list)
    release: dict[str, Any] = field(default_factory=dict)
    refs: dict[str, list[str]] = field(default_factory=dict)
    planned: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str = ""

    def save(self, home: Path) -> None:
        write_json(folder(home, self.id) / "run.json", asdict(self), private=True)  # a registry may have a password
        if self.settings and not self._file(home).exists():
            write_text(self._file(home), yaml.safe_dump(self.settings, sort_keys=False))

    def command(self, home: Path, changes: Sequence[str] = ()) -> str:
        """What makes this night again, of the same day and in the same lake, with further settings changed.

        How it ran (`--force`, `--from`, `--sequential`) decides nothing that comes out, and is left out.
        """
        settings = [*(one for one in self.overrides if one not in changes), *changes]
        elsewhere = ["--lake", self.lake_in(home)] if self.lake_in(home) != lake_of(home) else []
        words = ["--date", self.date, *(w for s in settings for w in ("--set", s)), *elsewhere]
        return shlex.join(["nightjar", "run", self.config or str(self._file(home)), *words])

    def lake_in(self, home: Path) -> str:
        """URL or path of its lake."""
        return opened(home, self.lake)

    def _file(self, home: Path) -> Path:
        return folder(home, self.id) / "night.yaml"


TIME = "%Y%m%dT%H%M%S"
"""The beginning of an id: UTC, which no move of a machine or of its clocks by an hour puts out of order."""


def new_id() -> str:
    """Sortable by time, unique beside other runs."""
    return time.strftime(TIME, time.gmtime()) + "-" + secrets.token_hex(2)


def began(id_: str) -> float:
    """When it was that an id was given out, in seconds since 1970.

    Raises:
        ValueError: it is no id.
    """
    return calendar.timegm(time.strptime(id_.partition("-")[0], TIME))


def folder(home: Path, run_id: str) -> Path:
    return home / "runs" / run_id


def all_runs(home: Path) -> list[RunRecord]:
    """Every recorded run, oldest first; a damaged record is set aside."""
    runs = [run for p in sorted((home / "runs").glob("*/run.json")) if (run := _read(p))]
    for run in runs:
        if run.state == "running" and run.owner and not owner_is_alive(run.owner):
            run.state, run.error = "interrupted", "its process is gone"
    return runs


def last_run(home: Path) -> RunRecord:
    """The newest run.

    Raises:
        UserError: nothing has run yet.
    """
    runs = all_runs(home)
    if not runs:
        raise UserError(f"no run yet in {home}; start with: nightjar run deployments/demo.yaml")
    return runs[-1]


def check_id(id_: str, path: Path) -> None:
    """A record stands in the folder of its id; by that it is found, and its folder deleted.

    Raises:
        ValueError: it is another's, or no id.
    """
    if id_ != path.parent.name:
        raise ValueError(f"it is of {id_!r}")
    began(id_)


def _read(path: Path) -> RunRecord | None:
    def make(values: Any) -> RunRecord:
        run = checked(RunRecord, values)
        check_id(run.id, path)
        return run

    return read_record(path, make, "the run is listed no more; gc keeps what it made only where another needs it")
