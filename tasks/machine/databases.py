"""SQLite databases of Prefect and MLflow in a fresh home: whole from their first moment, or not there.

Both make their tables in many steps (Prefect 130, MLflow 50), and a kill among these leaves a file that no later start
repairs. So a database is made aside and linked into place. Set-up makes one of each, empty, that homes copy.
"""

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from expectations.errors import Failure
from tasks.machine.processes import owner_is_alive, owner_tag


def place(path: Path, template: Path, make: Callable[[Path], None]) -> None:
    """Bring a database to `path` when there is none: a copy of `template`, or what `make` makes.

    Of two who do so at once, the first to finish wins. What a killed one left behind is removed.

    Raises:
        Failure: there is a file without a table in it. Whoever filled that anew would forget what was there, unsaid.
    """
    if path.exists():
        if why := _why_it_is_none(path):
            raise Failure(
                f"{path} {why}: what was in it is lost, as after a loss of power or on a full disk. Put a backup of it "
                "in its place; or move it away, and a new one is begun"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(".making-*"):
        if not owner_is_alive(left.name.split("-")[1]):
            shutil.rmtree(left, ignore_errors=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".making-{owner_tag()}-") as aside:
        made = Path(aside) / path.name
        if template.exists():
            shutil.copyfile(template, made)
        else:
            make(made)
        with suppress(FileExistsError):
            path.hardlink_to(made)


def _why_it_is_none(path: Path) -> str:
    """Why a file is no database that somebody has filled; empty when it is one, or is locked, so that one works on it.

    Raises:
        Failure: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(len(_SQLITE))
    except OSError as error:
        raise Failure(f"{path} cannot be read ({error.strerror})") from error
    if beginning != _SQLITE:
        return "is no SQLite database" if beginning else "is empty"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)) as database:
            (tables,) = database.execute("select count(*) from sqlite_master where type = 'table'").fetchone()
    except sqlite3.OperationalError:
        return ""
    except sqlite3.DatabaseError as error:
        return f"is damaged ({error})"
    return "" if tables else "has no tables"


_SQLITE = b"SQLite format 3\0"


def make_by_command(
    whose: str, command: Sequence[str], path: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Run the command of a program that makes its new database at `path`.

    Raises:
        Failure: it failed; with its last words.
    """
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        # SQLAlchemy's errors end with the statement and a link, not with what went wrong.
        words = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)][-1:] or lines[-1:]
        raise Failure(f"{whose}'s database could not be made at {path}: {' '.join(words)}")
