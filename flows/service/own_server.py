"""The Prefect server of one command, in a home whose service is down.

Prefect would start one itself, but late, when the first client is made, with all of the server's imports in this
process too, and on a port that two commands may both have found free: both would then talk to the same server. Here it
is the first thing that a command starts, and it gets a socket that is bound already.
"""

import atexit
import gc
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from expectations.errors import FREES_SPACE, Failure
from expectations.processes import end
from flows.service.http import answers
from flows.service.prefect_database import make_database
from flows.service.prefect_internals import TEMPORARY_SERVER
from flows.service.rotation import bound_output
from flows.service.state import open_log
from tasks.machine.processes import claim_ownership

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 180.0
LOG = "logs/prefect.log"
FULL_BYTES = 2**20
"""A disk with less room than this has none for a database."""
ENVIRONMENT = {
    **TEMPORARY_SERVER,
    # Nights use none of Prefect's block types. Two servers that start at once on a fresh database would both register
    # them, and one would fail. Nor may it note that this is done: a service's server registers them.
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "0",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "0",
    # Into the log.
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
}


class _Server:
    """What this process has started, if anything."""

    process: subprocess.Popen[bytes] | None = None
    url = ""
    log = Path()


def start_server(home: Path) -> None:
    """Start a server where the environment names none; to be called before Prefect is imported, which reads that."""
    # What Prefect's own threads say while its server is away, with tracebacks: the command says it in a sentence.
    os.environ.setdefault("PREFECT_INTERNAL_LOGGING_LEVEL", "CRITICAL")
    if os.environ.get("PREFECT_API_URL"):
        return
    make_database(home)
    claim_ownership()  # so that the next run ends the server if this one is killed
    _Server.log = home / LOG
    with socket.socket() as bound, open_log(_Server.log) as log:
        bound.bind(("127.0.0.1", 0))
        _Server.process = subprocess.Popen(
            [sys.executable, "-m", "flows.service.own_server", str(bound.fileno()), str(os.getpid())],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},
            pass_fds=[bound.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the command, which tells the server how its run ended
        )
        _Server.url = f"http://127.0.0.1:{bound.getsockname()[1]}/api"
    os.environ["PREFECT_API_URL"] = _Server.url
    atexit.register(_end)


def await_server() -> None:
    """Wait until the server that `start_server` has started answers; at once where it has started none.

    Raises:
        Failure: it ended, or did not answer in time.
    """
    if _Server.process is None:
        return
    until = time.monotonic() + PATIENCE_S
    while not answers(f"{_Server.url}/health"):
        if _Server.process.poll() is not None or time.monotonic() > until:
            raise Failure(_why_not(_Server.process.poll(), _Server.log))
        time.sleep(0.05)


def _why_not(code: int | None, log: Path) -> str:
    """Why the server did not start, also where there is no room for a log that would say it."""
    if shutil.disk_usage(log.parent).free < FULL_BYTES:
        return (
            f"Prefect's server did not start: the disk is full at {log.parent}; free some space ({FREES_SPACE}) and "
            "run the same command again: what was published stands"
        )
    words = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-3:]
    if words:
        return f"Prefect's server did not start; its log {log} ends:\n  " + "\n  ".join(words)
    how = f"it ended with {code}" if code is not None else f"it did not answer within {PATIENCE_S:.0f} s"
    return f"Prefect's server did not start: {how}, and its log {log} says nothing; run the same command again"


def serve(descriptor: int, owner: int) -> None:
    """Be that server, on a bound socket, for as long as the process that started it lives."""
    gc.set_threshold(100_000, 50, 50)  # as in `flows.__main__`: imports make a million objects that stay
    threading.Thread(target=_go_with, args=(owner,), daemon=True).start()
    bound_output()
    import uvicorn

    from flows.service.prefect_server import application

    config = uvicorn.Config(application(), log_level="error", lifespan="on")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


def _go_with(owner: int) -> None:
    """A command that is killed ends nothing; its orphan ends itself."""
    while os.getppid() == owner:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _end() -> None:
    server = _Server.process
    if server is not None and server.poll() is None:
        end([psutil.Process(server.pid)], 5)
        server.wait()


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:3]))
