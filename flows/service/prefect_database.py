"""Prefect's SQLite database in a fresh home: there before any server starts on it, with every table."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from expectations.errors import Failure
from expectations.prepared import prepared
from tasks.machine.databases import place


def make_database(home: Path) -> None:
    """Make Prefect's database, when it is not there."""
    place(home / "prefect" / "prefect.db", template(), make_tables)


def template() -> Path:
    """The empty database that set-up made, for this version of Prefect."""
    return prepared(f"prefect-{version('prefect')}.db")


def make_tables(path: Path) -> None:
    """Make a new database by Prefect's own command.

    Raises:
        Failure: the command failed; with its last words.
    """
    environment = {**os.environ, "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{path}"}
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Failure(f"Prefect's database could not be made at {path}: {' '.join(words)}")
