"""Starting and ending the processes of a service."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from expectations.errors import Failure
from expectations.passwords import redacted
from expectations.processes import end
from flows.service.http import answers
from flows.service.parts import TAG, Part
from flows.service.prefect_internals import FLOW_RUN
from flows.service.state import Record, load_all, log_file, open_log
from tasks.machine.processes import OWNER, end_leftovers

ROOT = Path(__file__).resolve().parents[2]
END_WITHIN_S = 10.0
"""What a service is given to end by itself."""


def start(part: Part, home: Path, asked: int = 0) -> Record:
    """Start a process that outlives this one, its output in its log; recorded at once with the port asked for."""
    with open_log(log_file(home, part.name)) as out:
        process = subprocess.Popen(
            part.command,
            cwd=ROOT,
            env=part.full_environment(home),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started = psutil.Process(process.pid).create_time()
    record = Record(part.name, process.pid, started, asked, part.port, part.url, part.command, part.digest)
    record.save(home)
    return record


def await_health(record: Record, home: Path, patience_s: float = 180.0) -> None:
    """Wait until a server answers.

    Raises:
        Failure: it ended, or did not answer in time; with the end of its log.
    """
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if answers(record.health_url):
            return
        if record.process() is None:
            raise Failure(_told(record, home, "ended while it was starting"))
        time.sleep(0.1)
    raise Failure(_told(record, home, f"did not answer within {patience_s:.0f} s"))


def _told(record: Record, home: Path, what: str) -> str:
    log = log_file(home, record.name)
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-3:]
    return f"{record.name}: {what}; its log {log} ends:\n" + "\n".join(f"  {redacted(line)[:300]}" for line in lines)


def end_service(record: Record, home: Path) -> None:
    """End a service with its children, and forget it."""
    process = record.process()
    if process:
        with suppress(psutil.Error):
            children = [c for c in process.children(recursive=True) if FLOW_RUN not in _environment(c)]
            end([process, *children], END_WITHIN_S)
    record.forget(home)


def strays(home: Path) -> list[Any]:
    """Processes that an `up` started and was killed before it could record; not what a worker started."""
    known = {r.pid for r in load_all(home)}
    return [
        p
        for p, environment in _ours(home)
        if TAG in environment
        and not {OWNER, FLOW_RUN} & environment.keys()
        and p.pid not in known
        and os.getsid(p.pid) == p.pid
    ]


def flow_runs(home: Path) -> dict[str, list[Any]]:
    """Processes of the runs that are under way on this machine, by the id of the run."""
    found: dict[str, list[Any]] = {}
    for process, environment in _ours(home):
        if environment.get(FLOW_RUN):
            found.setdefault(environment[FLOW_RUN], []).append(process)
    return found


def end_runs(home: Path) -> None:
    """End every run under way and what it started, at once: a run that is asked to end reports itself as crashed."""
    end([p for processes in flow_runs(home).values() for p in processes], 0)
    end_leftovers(str(home))


def _ours(home: Path) -> Iterator[tuple[Any, dict[str, str]]]:
    for process in psutil.process_iter():
        environment = _environment(process)
        if environment.get("NIGHTJAR_HOME") == str(home):
            yield process, environment


def _environment(process: Any) -> dict[str, str]:
    try:
        return dict(process.environ())
    except (psutil.Error, OSError):
        return {}


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def next_free(port: int, avoid: set[int]) -> int:
    """The first free port from `port` upwards.

    Raises:
        Failure: there is none in a hundred.
    """
    for candidate in range(port, min(port + 100, 65536)):
        if candidate not in avoid and is_free(candidate):
            return candidate
    raise Failure(f"no free port from {port} to {port + 99}; name another")
