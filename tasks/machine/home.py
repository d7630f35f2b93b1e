"""What a home says of itself in `<home>/home.json`, and how it tells of places: those within it relative to it.

So a home can be moved, copied and restored: nothing in it names the folder that it was in.
"""

import hashlib
import os
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from expectations.errors import UserError
from expectations.files import read_json, write_json
from expectations.records import checked

FILE = "home.json"
OWN_LAKE = "lake"
LOCAL = ("sqlite:///", "file://")
"""How URLs begin whose rest is a path."""


@dataclass(frozen=True)
class HomeFacts:
    """What a home says of itself.

    Attributes:
        id: of this home and no other, also where several share a lake.
        mark, place: of the folder that the id was given to, see `mark_of` and `place_of`.
        lake, registry: what its commands work on when they are given no other, as `told` tells it; empty for its own.
    """

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    mark: str = ""
    place: str = ""
    lake: str = ""
    registry: str = ""

    def save(self, home: Path) -> None:
        """Write it down; only its owner can read it, as a registry's URL may have a password in it."""
        write_json(home / FILE, asdict(self), private=True)


def facts_of(home: Path) -> HomeFacts | None:
    """What a home says of itself; None where it says nothing yet.

    Raises:
        UserError: the file is damaged. Nobody guesses then: what is deleted in another lake is gone.
    """
    path = home / FILE
    try:
        return checked(HomeFacts, _with_id(read_json(path)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} cannot be read ({str(error).splitlines()[0]}); delete it, and name the home's lake and registry "
            "again where they are not its own: nightjar home --lake URL --registry URL"
        ) from None


def _with_id(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "id": values["id"]}


def change(home: Path, **choices: str | None) -> HomeFacts:
    """Choose another lake or registry for a home; None was not chosen, an empty text returns to its own."""
    chosen = {name: told(home, value) for name, value in choices.items() if value is not None}
    facts = replace(facts_of(home) or HomeFacts(mark=mark_of(home), place=place_of(home)), **chosen)
    facts.save(home)
    return facts


def mark_of(home: Path) -> str:
    """What its file system calls a folder: the same after it was moved within it, another for a copy."""
    return f"{os.statvfs(home).f_fsid:x}-{home.stat().st_ino:x}"


def place_of(home: Path) -> str:
    """Where a folder is, as a digest: a mark alone would change with a disk that is mounted anew."""
    return hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:16]


def lake_of(home: Path, lake: str = "") -> str:
    """URL or path of a lake, as a record or a parameter tells it; without one the home's."""
    facts = facts_of(home)
    return opened(home, lake or (facts.lake if facts else "") or OWN_LAKE)


def registry_of(home: Path) -> str:
    """URL of the registry that a home has chosen; empty for its own."""
    facts = facts_of(home)
    return opened(home, facts.registry) if facts else ""


def from_here(place: str) -> str:
    """A path or URL as somebody writes it in the current folder, for every folder."""
    begins, path = _parts(place)
    return place if path is None else begins + os.path.normpath(Path(path).expanduser().absolute())


def told(home: Path, place: str) -> str:
    """A path or URL as a home keeps it: relative where it is within the home."""
    begins, path = _parts(place)
    if path is None or not Path(path).is_absolute():
        return place
    for whole in (Path(path), Path(path).resolve()):
        if whole.is_relative_to(home):
            return begins + whole.relative_to(home).as_posix()
    return place


def opened(home: Path, place: str) -> str:
    """A path or URL that a home has kept, for use."""
    begins, path = _parts(place)
    return place if path is None else begins + str(home / path)


def _parts(place: str) -> tuple[str, str | None]:
    """How a place begins, and its path; none where it is elsewhere than in the file system, or nowhere."""
    begins = next((one for one in LOCAL if place.startswith(one)), "")
    path = place.removeprefix(begins)
    if not path or "://" in path or path.startswith(":"):
        return begins, None
    return ("", unquote(path)) if begins == "file://" else (begins, path)
