"""Prefect's SQLite database in a fresh home: there before any server starts on it, with every table."""

import sys
from importlib.metadata import version
from pathlib import Path

from expectations.prepared import prepared
from tasks.machine.databases import make_by_command, place


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
    environment = {"PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{path}"}
    make_by_command(
        "Prefect", [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"], path, environment
    )
