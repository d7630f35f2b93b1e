"""Whether the service is well: servers and their databases, workers, schedule.

The one definition for `nightjar status` and `nightjar up`. A server that answers is not enough: it is asked for
something that it must look up in its database.
"""

import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from expectations.errors import Failure
from flows.service.api import Api
from flows.service.asking import Unanswered
from flows.service.http import answers, call
from flows.service.parts import HEARTBEAT_S, PORTS
from flows.service.settings import Settings
from flows.service.state import Record

NIGHT = "nightly"
LIMIT_S = 8.0
"""Within which everything is asked."""
ANSWER_S = 4.0
"""For one request."""
LATE_S = 900.0
"""After which a night that has not begun is late."""


@dataclass(frozen=True)
class Trouble:
    """Something that is not well.

    Attributes:
        about: a service by its name, `schedule`, `night`, `lake`, `disk` or `registry`.
        what, remedy: in plain words.
    """

    about: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.about}: {self.what}; {self.remedy}"


# --- servers ---------------------------------------------------------------------------------------------------


def state_of(record: Record, settings: Settings) -> str:
    """How a process of the service is, as far as it is asked itself: `up`, `gone`, `does not answer`, or `database does
    not answer`.
    """
    if record.process() is None:
        return "gone"
    if not record.url:
        return "up"
    if not answers(record.health_url, ANSWER_S):
        return "does not answer"
    return "up" if is_ready(record, settings.auth) else "database does not answer"


def is_ready(record: Record, auth: str) -> bool:
    """Whether a server reaches its database."""
    if record.name == "prefect":
        return answers(f"{record.url}/api/ready", ANSWER_S)
    try:
        call(f"{record.url}/api/2.0/mlflow/experiments/search?max_results=1", auth=auth, timeout_s=ANSWER_S)
    except Failure as error:
        return ": 401 " in str(error)  # whoever has forgotten the password is told so by what needs it
    return True


def database_trouble(name: str, settings: Settings) -> Trouble:
    """That a server's database does not answer, and where it is."""
    url = settings.database_of(name)
    if url:
        place = url.rpartition("@")[2].partition("?")[0]
        return Trouble(name, f"its database at {place} does not answer", "start PostgreSQL there; then: nightjar up")
    remedy = f"is the disk full? look: nightjar logs {name}; then: nightjar up"
    return Trouble(name, "its SQLite database does not answer", remedy)


def database_listens(name: str, settings: Settings) -> bool:
    """Whether anybody listens where a server's PostgreSQL should be; a SQLite file is there for whoever opens it."""
    if not settings.database_of(name):
        return True
    place = urlsplit(settings.database_of(name))
    try:
        with socket.create_connection((place.hostname or "127.0.0.1", place.port or 5432), ANSWER_S):
            return True
    except OSError:
        return False


def server_trouble(record: Record, state: str, settings: Settings) -> Trouble | None:
    """What a state of `state_of` means, if it is not `up`."""
    if state == "up":
        return None
    if state == "database does not answer":
        return database_trouble(record.name, settings)
    words = {"gone": "is gone", "has no heartbeat": "lives but has not been heard of"}
    what = f"process {record.pid} {words.get(state, 'lives but does not answer')}"
    return Trouble(record.name, what, f"look: nightjar logs {record.name}; mend it with: nightjar up")


def missing_services(records: Sequence[Record]) -> Iterator[Trouble]:
    """Parts of a service that was never, or not wholly, started."""
    names = {record.name for record in records}
    for name in PORTS:
        if name not in names:
            yield Trouble(name, "it is not up", "start it with: nightjar up")
    if not names - set(PORTS):
        yield Trouble("worker", "there is none, no run is carried out", "start one with: nightjar up")


# --- what Prefect says -----------------------------------------------------------------------------------------


def silent_workers(api: Api, workers: Sequence[Record]) -> set[str]:
    """Workers that live and have not been heard of; one that has just started may not have spoken yet."""
    offline = api.offline_workers()
    return {w.name for w in workers if w.name in offline and time.time() - w.started > HEARTBEAT_S}


def schedule_troubles(api: Api, deployments: Sequence[dict[str, Any]]) -> Iterator[Trouble]:
    """What keeps nights from starting by themselves."""
    resume = "resume it in the UI of Prefect"
    nightly = next((d for d in deployments if d["name"] == NIGHT), None)
    if nightly is None:
        yield Trouble("schedule", f"the deployment {NIGHT} is not registered", "register it with: nightjar up")
    elif nightly["paused"]:
        yield Trouble("schedule", f"the deployment {NIGHT} is paused, no night starts", f"{resume} (Deployments)")
    elif not nightly["schedules"]:
        yield Trouble("schedule", f"{NIGHT} has none, no night starts by itself", "add one in the UI (Deployments)")
    elif not any(s["active"] for s in nightly["schedules"]):
        yield Trouble("schedule", f"that of {NIGHT} is paused, no night starts by itself", f"{resume} (Deployments)")
    if api.pool_is_paused():
        yield Trouble("schedule", "the work pool is paused, no run starts", f"{resume} (Work Pools)")


def waiting_troubles(api: Api) -> Iterator[Trouble]:
    """A night of the schedule that should have begun and does not, though no other is under way that it waits for."""
    flows = {"flows": {"name": {"any_": [NIGHT]}}}
    runs = api.runs(("SCHEDULED", "PENDING"), sort="EXPECTED_START_TIME_ASC", limit=20, **flows)
    waiting = [run for run in runs if run["auto_scheduled"] and run["expected_start_time"]]
    if not waiting or api.runs(("RUNNING",), limit=1, **flows):
        return
    late_s = (datetime.now(UTC) - datetime.fromisoformat(waiting[0]["expected_start_time"])).total_seconds()
    if late_s > LATE_S:
        yield Trouble(
            "night",
            f"run {waiting[0]['name']} should have begun {_hours(late_s)} ago and waits ({waiting[0]['state_name']})",
            "is a worker up? does a run that was lost hold its place? see it in the UI of Prefect; then: nightjar up",
        )


def trouble_of(about: str, answer: Any) -> Trouble | None:
    """An answer to a question about something, which may be none, or an error."""
    if isinstance(answer, Unanswered):
        return Trouble(about, str(answer), "it hangs: look at its machine, its disk and the network between")
    if isinstance(answer, Exception):
        return Trouble(about, f"cannot be asked ({type(answer).__name__}: {str(answer)[:200]})", "see: nightjar logs")
    return answer if isinstance(answer, Trouble) else None


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
