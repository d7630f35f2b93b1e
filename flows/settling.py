"""A home that is new, was copied, or was made by earlier code: what it says of itself is put right, once.

A moved home is the same home. A copy is another one: it has an id of its own, by which a lake that both share tells
them apart, and knows nothing of the service that runs in the first.
"""

import uuid
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from expectations.errors import Failure
from expectations.files import read_json, write_json
from expectations.locks import lock
from tasks.machine.home import OWN_LAKE, HomeFacts, facts_of, from_here, mark_of, place_of, told
from tasks.registry.mlflow_internals import files_of

PLACES = (
    ("runs/*/run.json", "", ("lake", "registry")),
    ("runs/*/run.json", "release", ("report", "data_docs")),
    ("backfills/*/backfill.json", "request", ("lake",)),
)
"""Records that tell of places: which, in which part, under which names."""


def settle(home: Path) -> None:
    """Have a home say who it is.

    Raises:
        UserError: what it says is damaged.
        Failure: it cannot be written.
    """
    facts, mark, place = facts_of(home), mark_of(home), place_of(home)
    if facts and (facts.mark, facts.place) == (mark, place):
        return
    with lock(home / ".settling"):
        facts = facts_of(home)  # another process may have come first
        if facts is None:
            before = _former(home)
            if before != home:
                _forget_services(home)
            _tell_relatively(home, before)
            HomeFacts(mark=mark, place=place, **_last_released(home)).save(home)
        elif facts.mark != mark and facts.place != place:
            _forget_services(home)
            replace(facts, id=uuid.uuid4().hex, mark=mark, place=place).save(home)
        elif (facts.mark, facts.place) != (mark, place):  # moved, or on a disk that was mounted anew
            replace(facts, mark=mark, place=place).save(home)


def _former(home: Path) -> Path:
    """The folder that a home of earlier code was in, by what such code wrote; its present one where nothing did."""
    found = files_of(home / "mlflow" / "mlflow.db")
    if found and found.parts[-2:] == ("mlflow", "artifacts"):
        return found.parents[1]
    for path in sorted(home.glob("runs/*/run.json"), reverse=True):
        report = Path(str(_within(_read(path), "release").get("report", "")))
        if report.is_absolute() and report.parts[-4:-3] == ("reports",):
            return report.parents[3]
    return home


def _tell_relatively(home: Path, before: Path) -> None:
    """Records tell of what is in the home relative to it, whichever folder it was in."""
    for pattern, part, names in PLACES:
        for path in home.glob(pattern):
            record = _read(path)
            values = _within(record, part) if part else record
            known = {name: values[name] for name in names if isinstance(values.get(name), str)}
            # What was written relatively was meant from the folder that commands are called in.
            values |= {name: told(home, told(before, from_here(place))) for name, place in known.items()}
            if known:
                write_json(path, record)


def _last_released(home: Path) -> dict[str, str]:
    """Lake and registry of the newest night that earlier code released: its commands worked on these."""
    for path in sorted(home.glob("runs/*/run.json"), reverse=True):
        record = _read(path)
        if record.get("release") and isinstance(record.get("lake"), str):
            lake = record["lake"]
            return {"lake": "" if lake == OWN_LAKE else lake, "registry": str(record.get("registry", ""))}
    return {}


def _forget_services(home: Path) -> None:
    """What was started in the folder that this is a copy of is not this home's to look at, or to end."""
    for path in (home / "service").glob("*.pid.json"):
        path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    """A record, whoever may set it aside later; empty when it is none."""
    with suppress(OSError, ValueError):
        found = read_json(path)
        return found if isinstance(found, dict) else {}
    return {}


def _within(record: dict[str, Any], part: str) -> dict[str, Any]:
    found = record.get(part)
    return found if isinstance(found, dict) else {}


def settle_if_possible(home: Path) -> None:
    """As `settle`; a home that is not there, or cannot be written, says nothing."""
    if home.is_dir():
        with suppress(Failure, OSError):
            settle(home)
