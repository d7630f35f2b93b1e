"""`up` and `down`: bring the service to what is wanted, whatever state it is in, and say what was done."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from expectations.errors import Failure
from expectations.processes import end
from flows.service import parts
from flows.service.api import Api
from flows.service.health import database_listens, database_trouble, is_ready, silent_workers
from flows.service.http import answers
from flows.service.notifications import await_posted, notify
from flows.service.parts import HEARTBEAT_S, PORTS, Part
from flows.service.prefect_database import make_database
from flows.service.processes import (
    END_WITHIN_S,
    await_health,
    end_runs,
    end_service,
    flow_runs,
    next_free,
    start,
    strays,
)
from flows.service.registration import register
from flows.service.settings import Settings, known_settings
from flows.service.state import Record, Say, alone, load, load_all

PATIENCE_S = 15.0
"""For a living server to answer: a busy machine is no reason to restart it."""


def up(home: Path, settings: Settings, say: Say) -> dict[str, Record]:
    """Start what does not run, mend what is broken, register the deployments; returns the services by name."""
    with alone(home, say):
        before = load_all(home)
        settings.save(home)
        end(strays(home), END_WITHIN_S)
        if not settings.prefect_database:
            make_database(home)
        servers = {name: _server(home, settings, name, say) for name in PORTS}
        _await_ready(servers["prefect"], home, settings)
        api = Api(f"{servers['prefect'].url}/api", settings.auth)
        if mended := api.make_pool():
            say(f"work pool {parts.POOL}: its template of jobs was not Prefect's own; putting it right")
        registered = register(home, home / settings.config, api, say)
        notified = notify(home, api, settings.notify, say)
        # Not before: they would run what somebody has made of a deployment.
        _workers(home, settings, api, say)
        _await_ready(servers["mlflow"], home, settings)
        _mend_runs(home, api, say)
        after = load_all(home)
        if registered:
            say("deployments registered")
        if notified:
            say(
                "failed, crashed and late runs are told from now on"
                if settings.notify
                else "nobody is notified any more"
            )
        if before == after and not (mended or registered or notified):
            say("everything is up already; nothing changed")
        return {r.name: r for r in after}


def down(home: Path, say: Say) -> None:
    """End workers, the runs they carry, then the servers. A scheduled night that this interrupts goes on after `up`."""
    with alone(home, say):
        records = load_all(home)
        workers, servers = [r for r in records if r.name not in PORTS], [r for r in records if r.name in PORTS]
        under_way = len(flow_runs(home))
        for record in workers:
            _end(record, home, say)
        end_runs(home)
        if under_way:
            say(f"ended {under_way} run(s) under way; what was published stands")
        prefect = load(home, "prefect")
        if prefect and prefect.process() and answers(prefect.health_url):
            api = Api(f"{prefect.url}/api", known_settings(home).auth)
            try:
                _mend_runs(home, api, say)
            except Failure as error:  # no reason to let the servers run
                say(f"runs that have lost their process are told by the next `nightjar up` only: {error}")
            try:
                why = "" if await_posted(api) else "Prefect took too long"
            except Failure as error:
                why = str(error)
            if why:
                say(f"of a run that ended badly just now perhaps nobody was notified: {why}")
        for record in reversed(servers):
            _end(record, home, say)
        end(strays(home), END_WITHIN_S)
        if not records:
            say("nothing was up")


def _end(record: Record, home: Path, say: Say) -> None:
    lived = record.process() is not None
    end_service(record, home)
    say(f"{record.name}: {'ended' if lived else 'was gone already'}")


def _server(home: Path, settings: Settings, name: str, say: Say) -> Record:
    """The server of this name, started when it must be."""
    make = {"prefect": parts.prefect_server, "mlflow": parts.mlflow_server}[name]
    asked = getattr(settings, f"{name}_port")
    record = load(home, name)
    # A service that had to take another port stays there, until a port is asked for anew.
    port = record.port if record and record.asked == asked else asked or PORTS[name]
    if record and _is_well(record, make(settings, port), home, say):
        return record
    free = next_free(port, {r.port for r in load_all(home) if r.name != name})
    if free != port:
        say(f"{name}: port {port} is taken; using {free}")
    return start(make(settings, free), home, asked)


def _is_well(record: Record, wanted: Part, home: Path, say: Say) -> bool:
    """Whether a service runs as it should; one that does not is ended, and the reason told."""
    name, pid = record.name, record.pid
    if record.process() is None:
        what = f"pid {pid} is another process now" if record.is_anothers() else f"process {pid} is gone"
        say(f"{name}: {what}; starting it again")
        return False
    if record.digest != wanted.digest:
        say(f"{name}: its settings have changed; restarting it")
    elif record.url and not _answers_in_time(record):
        say(f"{name}: process {pid} lives but does not answer at {record.url}; restarting it")
    else:
        return True
    end_service(record, home)
    return False


def _answers_in_time(record: Record) -> bool:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if answers(record.health_url):
            return True
        time.sleep(0.2)
    return False


def _await_ready(record: Record, home: Path, settings: Settings) -> None:
    """Wait until a server answers, and answers from its database.

    Raises:
        Failure: it does not in time, or its database is not there; no restart of the server would help.
    """
    try:
        await_health(record, home)
    except Failure as error:
        if database_listens(record.name, settings):
            raise
        raise Failure(f"{error}\n{database_trouble(record.name, settings)}") from error
    until = time.monotonic() + PATIENCE_S
    while not is_ready(record, settings.auth):
        if time.monotonic() > until:
            raise Failure(str(database_trouble(record.name, settings)))
        time.sleep(0.2)


def _workers(home: Path, settings: Settings, api: Api, say: Say) -> None:
    """See to as many workers as are wanted; one whose heartbeat has stopped is started again."""
    silent = silent_workers(api, [r for r in load_all(home) if r.name not in PORTS])
    for number in range(1, settings.workers + 1):
        part = parts.worker(settings, number, api.url)
        record = load(home, part.name)
        if record and part.name in silent and record.process():
            say(f"{part.name}: process {record.pid} lives but has not been heard of; restarting it")
            end_service(record, home)
            record = None
        if record is None or not _is_well(record, part, home, say):
            start(part, home)
    for record in load_all(home):
        if record.name not in PORTS and int(record.name.rpartition("-")[2]) > settings.workers:
            say(f"{record.name}: no longer wanted; ending it")
            end_service(record, home)


def _mend_runs(home: Path, api: Api, say: Say) -> None:
    """Runs that the server takes for running while their process is gone: they would hold their place for ever.

    A night of the schedule is scheduled again and continues where it stopped; another run is told as crashed.
    """
    alive, long_ago = flow_runs(home), (datetime.now(UTC) - timedelta(seconds=HEARTBEAT_S)).isoformat()
    for run in api.runs(("PENDING", "RUNNING", "CANCELLING")):
        # A run without a deployment is a command's own, and in its process; one may just be about to get a process.
        pending = run["state_type"] == "PENDING"
        if run["id"] in alive or not run["deployment_id"] or (pending and run["state"]["timestamp"] > long_ago):
            continue
        if pending or (run["auto_scheduled"] and run["state_type"] == "RUNNING"):
            why = "its process is gone; it continues where it stopped"
            api.set_state(run["id"], "SCHEDULED", "AwaitingRetry", why)
            say(f"run {run['name']} has lost its process; it runs again")
        else:
            api.set_state(run["id"], "CRASHED", "Crashed", "its process is gone")
            say(f"run {run['name']} has lost its process; it is marked as crashed")
