"""The state of a backfill on disk: `<home>/backfills/<id>/`, one small file a day, each replaced in one move.

backfill.json        what was asked for
days/<day>.json      how the day stands, stage by stage
driver.json, lock    the process that runs it; the lock is the operating system's and goes with that process
cancelled            somebody has stopped it
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import psutil
from filelock import Timeout

from expectations.errors import UserError
from expectations.files import write_json
from expectations.locks import is_locked, lock
from expectations.records import checked, read_record, text_of
from flows.backfilling.request import BackfillRequest
from flows.finding import find
from flows.night.records import check_id, new_id
from tasks.machine.home import opened, told
from tasks.machine.processes import owner_is_alive, owner_tag

State = Literal["planned", "queued", "running", "succeeded", "failed", "interrupted", "skipped", "stale"]

CANCELLED = "cancelled"


@dataclass
class StageState:
    """One stage of one day.

    Attributes:
        artifacts: how many it makes; of the log one a day of the window that no earlier night of the backfill makes.
        seconds: estimated from past runs while it is planned, measured afterwards; None when unknown.
    """

    state: State = "planned"
    reason: str = ""
    artifacts: int = 0
    rows: int = 0
    seconds: float | None = None


@dataclass
class DayState:
    """One logical day.

    Attributes:
        owner: tag of the process that runs it.
        run: id of its last run record.
        version, digest: number of its release in the registry of that night, and what it is in every one.
    """

    day: str
    state: State = "planned"
    reason: str = ""
    attempts: int = 0
    owner: str = ""
    run: str = ""
    seconds: float | None = None
    version: int | None = None
    digest: str = ""
    stages: dict[str, StageState] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "DayState":
        """Back from JSON; what its dead process called running is interrupted."""
        found = checked(cls, values)
        if found.state == "running" and not owner_is_alive(found.owner):
            found.interrupt("the process that ran it is gone")
        return found

    @property
    def failure(self) -> str:
        """Why it failed, if it did."""
        return self.reason if self.state == "failed" else ""

    def interrupt(self, why: str) -> None:
        self.state, self.reason = "interrupted", why
        for stage in self.stages.values():
            if stage.state in ("running", "queued"):
                stage.state = "interrupted" if stage.state == "running" else "planned"


@dataclass(frozen=True)
class Backfill:
    """One backfill by its id.

    Attributes:
        created: seconds since 1970.
        flow_run: id of the Prefect run that made it, when that was started from its deployment.
    """

    home: Path
    id: str
    created: float
    request: BackfillRequest
    flow_run: str = ""

    @property
    def folder(self) -> Path:
        return backfills_folder(self.home) / self.id

    @property
    def tag(self) -> str:
        """On every Prefect run that belongs to it."""
        return f"backfill:{self.id}"

    @classmethod
    def create(cls, home: Path, request: BackfillRequest, flow_run: str = "") -> "Backfill":
        """A new one, written down; nothing is planned yet."""
        made = cls(home, new_id(), time.time(), request, flow_run)
        (made.folder / "days").mkdir(parents=True)
        facts = {"id": made.id, "created": made.created, "flow_run": flow_run}
        facts["request"] = {**request.to_dict(), "lake": told(home, request.lake)}
        write_json(made.folder / "backfill.json", facts)
        return made

    # --- days --------------------------------------------------------------------------------------------------

    def day(self, day: str) -> DayState:
        """How a day stands; one whose state is damaged is planned again, which finds in the lake what it has made."""
        path = self.folder / "days" / f"{day}.json"

        def make(values: Any) -> DayState:
            state = DayState.from_dict(values)
            if state.day != day:
                raise ValueError(f"it is of {state.day!r}")
            return state

        lost = f"the day counts as planned, what it made stands: nightjar backfill resume {self.id}"
        return read_record(path, make, lost) or DayState(day)

    def days(self) -> list[DayState]:
        """Every day, by date; a queue that nobody works on is a plan."""
        days = [self.day(day) for day in sorted(self.request.days)]
        if not self.is_driven:
            for day in days:
                day.state = "planned" if day.state == "queued" else day.state
        return days

    def save(self, state: DayState) -> None:
        write_json(self.folder / "days" / f"{state.day}.json", asdict(state))

    # --- the process that runs it ------------------------------------------------------------------------------

    @contextmanager
    def driven(self) -> Iterator[None]:
        """Be the one process that runs it.

        Raises:
            UserError: another process does.
        """
        try:
            mine = lock(self.folder / "lock", wait_s=0.7)  # a `status` holds it a moment
        except Timeout:
            raise UserError(
                f"backfill {self.id} is running already; look: nightjar backfill status {self.id}"
            ) from None
        with mine:
            write_json(self.folder / "driver.json", {"owner": owner_tag()})
            yield

    @property
    def is_driven(self) -> bool:
        return is_locked(self.folder / "lock")

    @property
    def driver(self) -> psutil.Process | None:
        """The process that runs it, if one does."""
        if not self.is_driven:
            return None
        lost = "which process runs the backfill is not known until it is resumed"
        owner = read_record(self.folder / "driver.json", lambda values: text_of(values, "owner"), lost)
        with suppress(psutil.Error):
            if owner and owner_is_alive(owner):
                return psutil.Process(int(owner.partition(".")[0]))
        return None

    @property
    def is_cancelled(self) -> bool:
        return (self.folder / CANCELLED).exists()

    def mark_cancelled(self) -> None:
        (self.folder / CANCELLED).touch()

    def mark_resumed(self) -> None:
        (self.folder / CANCELLED).unlink(missing_ok=True)

    # --- as a whole --------------------------------------------------------------------------------------------

    def state(self, days: list[DayState]) -> str:
        """`running`, `succeeded`, `failed`, `cancelled`, or `interrupted` when days are open and nobody runs them."""
        states = {d.state for d in days}
        if self.is_driven:
            return "running"
        if self.is_cancelled:
            return CANCELLED
        if "failed" in states:
            return "failed"
        return "interrupted" if states & {"planned", "queued", "running", "interrupted"} else "succeeded"

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON types."""
        days = self.days()
        return {
            "id": self.id,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.created)),
            "state": self.state(days),
            "counts": counts(days),
            "request": {k: v for k, v in self.request.to_dict().items() if k != "config"},
            "resume": f"nightjar backfill resume {self.id}",
            "days": [asdict(d) for d in days],
        }


def counts(days: list[DayState]) -> dict[str, int]:
    """How many days are in each state."""
    return {s: n for s in get_args(State) if (n := sum(d.state == s for d in days))}


def backfills_folder(home: Path) -> Path:
    return home / "backfills"


def all_backfills(home: Path) -> list[Backfill]:
    """Every backfill, newest first; a damaged one is set aside."""
    found = [one for path in backfills_folder(home).glob("*/backfill.json") if (one := _read(home, path))]
    return sorted(found, key=lambda b: (b.created, b.id), reverse=True)


def find_backfill(home: Path, id_: str) -> Backfill:
    """The backfill with an id, or the only one whose id begins so.

    Raises:
        UserError: there is none, or several.
    """
    return find(all_backfills(home), id_, "backfill", "backfill")


def _read(home: Path, path: Path) -> Backfill | None:
    def make(values: Any) -> Backfill:
        request = {**values["request"], "lake": opened(home, text_of(values["request"], "lake"))}
        one = checked(Backfill, {**values, "home": home, "request": request})
        check_id(one.id, path)
        return one

    return read_record(path, make, "the backfill is listed no more; the same command begins it anew with what it made")
