"""Who made which release the champion, when and why: append-only, in the registry itself.

Every entry is a version of the registered model `nightjar-ledger`, so its number is the sequence, and the registry
gives a number to one writer only. A writer states the entry that it saw last; an entry that came too late stands in the
ledger and moves nothing, for every reader alike. The alias of `nightjar-recommender` follows from the ledger and is set
again wherever it disagrees.
"""

import getpass
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from expectations.errors import Failure, UserError
from expectations.records import checked
from models.gates import GateVerdict
from tasks.engine import fault_points
from tasks.registry.registry import MODEL, Registry
from tasks.registry.signing import DATE_TAG

LEDGER = "nightjar-ledger"
CHAMPION = "champion"
MAX_WHY = 1000
"""Characters of a reason; MLflow refuses longer tags on some stores."""

Action = Literal["promote", "rollback", "gate"]


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Attributes:
        after: sequence of the move that the writer saw last; 0 for none.
        before, to: versions, as they were numbered then; 0 for none. An entry of the gates that refused a release
            names it and moves nothing.
        release: digest of the release that `to` was, which says what is meant: versions may be deleted, and a model
            that is made anew numbers from 1. Empty in ledgers of earlier code, and then the number counts.
        when: UTC, ISO 8601.
        gates: gate -> its verdict with figures.
        valid: whether no other move came in between; follows from the entries before.
    """

    sequence: int
    after: int
    action: Action
    alias: str
    before: int
    to: int
    who: str
    when: str
    why: str
    gates: dict[str, Any] = field(default_factory=dict)
    valid: bool = True
    release: str = ""

    @property
    def moves(self) -> bool:
        return self.valid and self.action != "gate"


@dataclass(frozen=True)
class Ledger:
    """The ledger of a registry."""

    registry: Registry

    def entries(self) -> list[Entry]:
        """Every entry that can be read, oldest first."""
        return judged(entry for entry in self._read().values() if entry)

    def unreadable(self) -> list[int]:
        """Sequences of versions of the ledger that are no entries, as somebody has made or edited them by hand."""
        return [sequence for sequence, entry in self._read().items() if not entry]

    def _read(self) -> dict[int, Entry | None]:
        client, token = self.registry.client, None
        found: dict[int, Entry | None] = {}
        while True:
            page = client.search_model_versions(f"name = '{LEDGER}'", page_token=token)
            found |= {int(v.version): _entry(int(v.version), v.tags) for v in page}
            token = page.token
            if not token:
                return dict(sorted(found.items()))

    def at_hand(self) -> Callable[[Entry], int]:
        """Tells of an entry which version its release is now; 0 where it is gone from the registry."""
        versions = self.registry.versions()
        digests = {v.number: v.digest for v in versions}
        numbers = {v.digest: v.number for v in versions if v.digest}  # the first of several

        def number(entry: Entry) -> int:
            if entry.to in digests and entry.release in ("", digests[entry.to]):
                return entry.to
            return numbers.get(entry.release, 0)

        return number

    def champion(self, alias: str = CHAMPION) -> int:
        """The version that is champion; 0 where there is none, or its version is gone."""
        newest = head(self.entries(), alias)
        return self.at_hand()(newest) if newest else 0

    def move(
        self,
        to: int,
        why: str,
        action: Action = "promote",
        alias: str = CHAMPION,
        after: int | None = None,
        gates: Mapping[str, Any] | None = None,
    ) -> Entry | None:
        """Make a version the champion.

        Returns:
            The entry; None, and no entry is made, when the version is the champion already: a rollback goes back over
            moves, and one that changes nothing would stand in its way.

        Args:
            after: sequence of the move that the decision was based on, 0 for none; by default the newest.

        Raises:
            UserError: `after` is no move.
            Failure: the version is of no real day, or somebody else moved the alias in between; nothing is moved.
        """
        check_why(why)
        for version in self.registry.versions():
            if version.number == to and not version.day:
                day = version.tags.get(DATE_TAG, "")
                raise Failure(
                    f"version {to} is of {day[:40]!r}, which is no day, or was still to come when it was made: it "
                    f"takes no alias; {alias} stays"
                )
        entries = self.entries()
        newest = head(entries, alias)
        seen = newest if after is None else next((e for e in entries if e.sequence == after), None)
        if after and not (seen and seen.moves):
            raise UserError(f"entry {after} is no move of {alias}; see nightjar history")
        if newest and newest == seen and self.at_hand()(newest) == to:
            self.repair(alias)
            return None
        made = self._append(action, to, why, alias, seen, gates or {})
        entries = self.entries()
        mine = next(e for e in entries if e.sequence == made)
        self.repair(alias)
        if not mine.valid:
            won = [e for e in entries if e.moves and e.alias == alias and e.sequence < made][-1]
            raise Failure(
                f"{alias} was moved meanwhile: {won.who} made version {won.to} {alias} at {won.when} ({won.why}); "
                f"entry {made} moved nothing. Look at it with `nightjar history`, and try again if it still holds"
            )
        return mine

    def note(self, to: int, why: str, gates: Mapping[str, Any], alias: str = CHAMPION) -> Entry:
        """Remember that the gates refused a version; moves nothing."""
        check_why(why)
        made = self._append("gate", to, why, alias, head(self.entries(), alias), gates)
        return next(e for e in self.entries() if e.sequence == made)

    def repair(self, alias: str = CHAMPION) -> int:
        """Set the alias to what the ledger says, and give that version's number; 0 for none, and for one that is gone.

        Read again after each change, as another writer may have come between reading and setting, and somebody may have
        deleted what was to be set.
        """
        from mlflow.exceptions import MlflowException

        while True:
            wanted, there = self.champion(alias), self.registry.aliases().get(alias, 0)
            if there == wanted:
                return wanted
            try:
                if wanted:
                    self.registry.point(alias, wanted)
                else:
                    self.registry.client.delete_registered_model_alias(MODEL, alias)
            except MlflowException:
                if (self.champion(alias), self.registry.aliases().get(alias, 0)) == (wanted, there):
                    raise

    def _append(
        self, action: Action, to: int, why: str, alias: str, seen: Entry | None, gates: Mapping[str, Any]
    ) -> int:
        self._ensure()
        digest = next((v.digest for v in self.registry.versions() if v.number == to), "")
        tags = {
            "after": seen.sequence if seen else 0, "action": action, "alias": alias,
            "from": (self.at_hand()(seen) or seen.to) if seen else 0, "to": to, "release": digest,
            "who": who(), "why": why.strip(),
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            # A tag a gate: one for all could be longer than a tag may be.
            **{f"gate.{name}": json.dumps(verdict) for name, verdict in gates.items()},
        }  # fmt: skip
        fault_points.point("ledger:before")
        made = self.registry.client.create_model_version(
            LEDGER, source=f"models:/{MODEL}/{to}", tags={k: str(v) for k, v in tags.items()}
        )
        fault_points.point("ledger:written")
        return int(made.version)

    def _ensure(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.registry.client.create_registered_model(LEDGER, description="Who made which release what, and why")
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise Failure(f"registry at {self.registry.uri}: {error}") from error


def check_why(why: str) -> None:
    """Raise UserError for a reason that says nothing, or too much."""
    if not why.strip() or len(why) > MAX_WHY:
        raise UserError(f'--why: say in 1 to {MAX_WHY} characters why, such as --why "recall is back to normal"')


def _entry(sequence: int, tags: Mapping[str, str]) -> Entry | None:
    """What the tags of a version of the ledger say; None where that is no entry."""
    try:
        gates = {k.removeprefix("gate."): json.loads(v) for k, v in tags.items() if k.startswith("gate.")}
        action: Any = tags["action"]
        moment = datetime.fromisoformat(tags["when"])
        made = Entry(
            sequence, int(tags["after"]), action, tags["alias"], int(tags["from"]), int(tags["to"]),
            tags["who"], tags["when"], tags["why"], gates, release=tags.get("release", ""),
        )  # fmt: skip
    except (KeyError, ValueError):
        return None
    return made if action in get_args(Action) and moment.tzinfo else None


def verdicts_of(rows: Iterable[Any]) -> tuple[GateVerdict, ...]:
    """Verdicts of gates as they were noted; what somebody has edited into something else is none."""
    found = []
    for row in rows:
        with suppress(ValueError):
            found.append(checked(GateVerdict, row))
    return tuple(found)


def judged(entries: Iterable[Entry]) -> list[Entry]:
    """Entries in order with their validity: a move counts when it was based on the move that was newest.

    One that was based on an entry which somebody has deleted since counts too, unless a later one is known.
    """
    entries = list(entries)
    there = {entry.sequence for entry in entries}
    heads: dict[str, int] = {}
    told = []
    for entry in entries:
        newest = heads.get(entry.alias, 0)
        on_newest = entry.after == newest or (newest < entry.after < entry.sequence and entry.after not in there)
        valid = entry.action == "gate" or on_newest
        told.append(Entry(**{**asdict(entry), "valid": valid}))
        if told[-1].moves:
            heads[entry.alias] = entry.sequence
    return told


def head(entries: Iterable[Entry], alias: str = CHAMPION) -> Entry | None:
    """The newest move of an alias."""
    return next((e for e in reversed(list(entries)) if e.moves and e.alias == alias), None)


@dataclass(frozen=True)
class Before:
    """What was champion before.

    Attributes:
        version: its number now; 0 for none.
        gone: versions that were champion between it and the one that is, and are gone from the registry, as they were
            numbered then; the newest first.
    """

    version: int = 0
    gone: tuple[int, ...] = ()


def champion_before(
    entries: Iterable[Entry], alias: str = CHAMPION, at_hand: Callable[[Entry], int] = lambda entry: entry.to
) -> Before:
    """The newest version that was champion before the one that is, and is still there.

    Moves from a version to itself, which ledgers of earlier code have, changed nothing and are passed over.

    Args:
        at_hand: see `Ledger.at_hand`.
    """
    moves = [entry for entry in entries if entry.moves and entry.alias == alias]
    if not moves:
        return Before()
    *earlier, now = moves
    gone: dict[int, None] = {}
    for entry in reversed(earlier):
        number = at_hand(entry)
        if number not in (0, at_hand(now)):
            return Before(number, tuple(gone))
        if not number and entry.to != now.to:
            gone[entry.to] = None
    return Before(0, tuple(gone))


def champion_at(entries: Iterable[Entry], moment: datetime, alias: str = CHAMPION) -> Entry | None:
    """The move that held at a moment."""
    return head([e for e in entries if datetime.fromisoformat(e.when) <= moment], alias)


def who() -> str:
    """`NIGHTJAR_WHO`, or user@host."""
    named = os.environ.get("NIGHTJAR_WHO")
    if named:
        return named
    try:
        return f"{getpass.getuser()}@{platform.node()}"
    except (KeyError, OSError):  # a container's user may have no name
        return f"{os.getuid()}@{platform.node()}"
