"""Failures of what a night needs, in words for people: Prefect's server, the registry, the lake, a full disk.

Libraries tell these in many guises, often as a traceback that ends with an address. Here is one sentence for each, with
the remedy. All of them pass: the same command goes on where it was.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from expectations.errors import FREES_SPACE, Failure, UserError

FULL_BYTES = 2**20
"""A disk with less room than this is full."""

AGAIN = "run the same command again: what was published stands"

FULL = ("No space left on device", "database or disk is full")
PERHAPS_FULL, LITTLE_BYTES = ("disk I/O error", "unable to open database file"), 16 * 2**20
"""What SQLite says of a full disk too, and how much may be left of one then."""

AWAY = (
    "Max retries exceeded", "TEMPORARILY_UNAVAILABLE", "OperationalError", "InterfaceError", "Connection refused",
    "Connection reset", "Connection aborted", "timed out", "database system is shutting down", "database is locked",
)  # fmt: skip
"""What MLflow, and SQLAlchemy below it, say of a server or a database that does not answer."""
STORES = ("AWS Error", "google::cloud", "Azure", "HTTP response code")
"""What Arrow says of an object store."""


class Outage(Failure):
    """Something that a night needs is away, and will be back."""


def in_our_words(error: BaseException, home: Path, what: str = "") -> Exception | None:
    """An error as one sentence, when it says that something is away; what is told already stays as it is.

    Args:
        what: what it happened to, such as the name of a stage; begins the sentence.

    Returns:
        None for an error that says something else, or nothing that is known here.
    """
    chain = list(_chain(error))
    begin = f"{what}: " if what else ""
    perhaps = any(_says(str(one), PERHAPS_FULL) for one in chain)
    if any(_is_full(one) for one in chain) or _free(home) < (LITTLE_BYTES if perhaps else FULL_BYTES):
        return Outage(f"{begin}the disk is full at {home}; free some space ({FREES_SPACE}) and {AGAIN}")
    if isinstance(error, UserError | Failure):
        return error
    for one in chain:
        words, library = str(one), type(one).__module__.partition(".")[0]
        if library in ("httpx", "httpcore") or (library == "prefect" and _says(words, ("500", "503"))):
            server = os.environ.get("PREFECT_API_URL", "").removesuffix("/api") or "of this command"
            return Outage(
                f"{begin}Prefect's server {server} does not answer ({_briefly(one)}); where a service runs, see "
                f"`nightjar status` and bring it back (nightjar up); then {AGAIN}"
            )
        if library in ("mlflow", "sqlalchemy", "psycopg2", "sqlite3", "requests", "urllib3") and _says(words, AWAY):
            return Outage(
                f"{begin}the registry, or the database behind it, does not answer ({_briefly(one)}); see `nightjar "
                f"status` and bring it back (nightjar up, or start PostgreSQL); then {AGAIN}"
            )
        if isinstance(one, OSError) and _says(words, STORES):
            return Outage(
                f"{begin}the lake's object store does not answer ({_briefly(one)}); bring it back, then {AGAIN}"
            )
    return None


def _is_full(error: BaseException) -> bool:
    return (isinstance(error, OSError) and error.errno == errno.ENOSPC) or _says(str(error), FULL)


def _free(home: Path) -> int:
    try:
        return shutil.disk_usage(home).free
    except OSError:
        return FULL_BYTES


def _says(words: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in words for phrase in phrases)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from."""
    seen: set[int] = set()
    here: BaseException | None = error
    while here is not None and id(here) not in seen:
        yield here
        seen.add(id(here))
        here = here.__cause__ or here.__context__


def _briefly(error: BaseException) -> str:
    """What it says of why, without the statement or the address that libraries put around that."""
    words = " ".join(str(error).split())
    if _says(words, ("too many 503", "500 Internal Server Error", "503 Service Unavailable")):
        return "it fails, as it does when its database is away"
    for phrase in ("Connection refused", "Could not connect", "timed out", "Connection reset", "Connection aborted"):
        if phrase.lower() in words.lower():
            return phrase.lower()
    return f"{type(error).__name__}: {words[:160]}"
