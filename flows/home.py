"""The home: one folder for all that is written.

`prepare` is called once by the command before anything heavy is imported; the libraries read the environment then.
"""

import hashlib
import os
import re
import stat
from pathlib import Path

from expectations.errors import UserError
from flows.environment import variables
from flows.service.connection import connection
from flows.settling import settle, settle_if_possible

LINKS = Path("/var/tmp")
"""Where homes of odd names are linked from."""

PLAIN = re.compile(r"[\w/.,:=@+~-]*")
"""Paths that every library takes for what they are."""

FOLDERS = ("lake", "tmp", "scratch", "runs", "prefect", "mlflow", "cache")


def home_folder() -> Path:
    """`NIGHTJAR_HOME`, or `.nightjar` in the current folder; one that was copied is another home from then on.

    A home whose path has odd characters goes by the name of a link to it, see `plain_name`.

    Raises:
        UserError: what it says of itself is damaged.
    """
    home = Path(os.environ.get("NIGHTJAR_HOME") or ".nightjar").resolve()
    if any((home / name).is_dir() for name in FOLDERS):
        settle_if_possible(plain_name(home))
    return plain_name(home)


def plain_name(home: Path) -> Path:
    """A name of the home without characters that libraries take for something else; the home's own where it has none.

    Spark takes `%2F` for a slash, SQLAlchemy `?` for the end of a path, Great Expectations and Prefect `#`, `$x` and
    spaces for other things yet. The link lies where no clean-up of temporary files comes by for long, and is made anew.

    Raises:
        UserError: somebody else has that name.
    """
    if PLAIN.fullmatch(str(home)):
        return home
    link = LINKS / f"nightjar-{os.getuid()}-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(home, target_is_directory=True)
    except FileExistsError:
        pass  # of two at once, the other; or somebody else, who is refused below
    except OSError as error:
        raise UserError(
            f"home {home} cannot be written or linked to from {link} ({error.strerror}); name one without odd "
            "characters in its path with NIGHTJAR_HOME"
        ) from error
    if link.lstat().st_uid != os.getuid() or not link.is_symlink() or link.readlink() != home:
        raise UserError(
            f"{link}, by which the home {home} would go, is somebody else's; name another with NIGHTJAR_HOME"
        )
    return link


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
