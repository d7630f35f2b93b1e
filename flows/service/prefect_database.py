"""Prefect's SQLite database while its tables are made: some 130 steps, which a kill leaves half done for good.

A database in which Prefect has recorded a flow has been whole once. One without is worth nothing: whoever starts a
server on it, `nightjar up` or the server of a `nightjar run`, makes it anew, and the next to come waits meanwhile.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.service.http import answers
from flows.service.state import load
from tasks.processes import end_leftovers


def ready(home: Path) -> None:
    """Before the first flow of a command that has a server of its own: start it on a whole database."""
    if os.environ.get("PREFECT_API_URL") or is_whole(home):
        return
    from prefect import get_client

    with first_use(home), get_client(sync_client=True) as client:
        client.create_flow_from_name("nightly")


@contextmanager
def first_use(home: Path) -> Iterator[None]:
    """Start a server and have it record a flow inside this: on a whole database, or on none while others wait."""
    if is_whole(home):
        yield
        return
    with (home / "prefect" / "making.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_whole(home) and not _service_is_making_it(home):
            end_leftovers(str(home))
            _put_aside(home)
        yield


def _service_is_making_it(home: Path, patience_s: float = 120.0) -> bool:
    """Wait for a server that an interrupted `nightjar up` left starting; False when there is none."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        record = load(home, "prefect")
        if record is None or record.process() is None:
            return False
        if answers(record.health_url):
            break
        time.sleep(0.2)
    return True


def is_whole(home: Path) -> bool:
    """Whether Prefect has recorded a flow there; its API does so only when every table is made."""
    path = home / "prefect" / "prefect.db"
    if not path.exists():
        return False
    try:
        database = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)
        try:
            return database.execute("select 1 from flow limit 1").fetchone() is not None
        finally:
            database.close()
    except sqlite3.DatabaseError as error:
        # Busy is no sign of damage.
        return "locked" in str(error)


def _put_aside(home: Path) -> None:
    """Put a half-made database aside, where it can be looked at."""
    for suffix in ("-wal", "-shm", ""):
        path = home / "prefect" / f"prefect.db{suffix}"
        if path.exists():
            path.replace(home / "prefect" / f"unfinished.db{suffix}")
