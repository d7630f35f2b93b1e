"""The home: one folder for all that is written.

`prepare` is called once by the command before anything heavy is imported; the libraries read the environment then.
"""

import os
import stat
from pathlib import Path

from expectations.errors import UserError
from flows.environment import variables
from flows.service.connection import connection
from flows.settling import settle, settle_if_possible

FOLDERS = ("lake", "tmp", "scratch", "runs", "prefect", "mlflow", "cache")


def home_folder() -> Path:
    """`NIGHTJAR_HOME`, or `.nightjar` in the current folder; one that was copied is another home from then on.

    Raises:
        UserError: what it says of itself is damaged.
    """
    home = Path(os.environ.get("NIGHTJAR_HOME") or ".nightjar").resolve()
    if any((home / name).is_dir() for name in FOLDERS):
        settle_if_possible(home)
    return home


def prepare(home: Path) -> None:
    """Make the home's folders and point every library at them.

    Raises:
        UserError: the home cannot be written.
    """
    try:
        if not home.exists():
            # Passwords, logs and what people watched; whoever wants others to read along opens it by hand.
            home.parent.mkdir(parents=True, exist_ok=True)
            home.mkdir(mode=0o700, exist_ok=True)
        for name in FOLDERS:
            (home / name).mkdir(parents=True, exist_ok=True)
        probe = home / "tmp" / f".probe-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"home {home} cannot be written ({error.strerror}); make it writable, or name another with NIGHTJAR_HOME"
        ) from error
    settle(home)
    os.environ.update(variables(home))
    os.environ.update(connection(home))


def open_to(home: Path) -> str:
    """Who besides its owner may look into the home, in words; empty when nobody may."""
    mode = home.stat().st_mode
    every = {"everybody": stat.S_IRWXO, "its group": stat.S_IRWXG}
    return next((who for who, rights in every.items() if mode & rights), "")
