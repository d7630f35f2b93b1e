"""SQLite databases of Prefect and MLflow in a fresh home: whole from their first moment, or not there.

Both make their tables in many steps (Prefect 130, MLflow 50), and a kill among these leaves a file that no later start
repairs. So a database is made aside and linked into place. Set-up makes one of each, empty, that homes copy.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from expectations.errors import Failure
from tasks.machine.processes import owner_is_alive, owner_tag


def place(path: Path, template: Path, make: Callable[[Path], None]) -> None:
    """Bring a database to `path` when there is none: a copy of `template`, or what `make` makes.

    Of two who do so at once, the first to finish wins. What a killed one left behind is removed.
    """
    if path.exists():
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
