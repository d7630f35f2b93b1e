"""Leases: what work in flight needs of a lake, told in the lake itself, so that nobody deletes it meanwhile.

Homes and machines that share a lake see each other's leases. A lease lapses a day after its holder last renewed it: who
was killed gives up its artifacts by and by, and has the time until then to go on.
"""

import socket
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expectations.records import text_of
from tasks.engine.lake import Lake, Ref
from tasks.machine.home import facts_of

FOLDER = "leases"
LASTS_S = 24 * 3600.0
RENEWED_S = LASTS_S / 4
KEPT_S = 14 * 24 * 3600.0
"""For so long what a finished night stands on is kept by who has no record of it: another home that shares its lake,
and its own when the record is damaged."""


@dataclass
class Lease:
    """Artifacts that somebody needs.

    Attributes:
        holder: who, such as the id of a run.
        home: where the holder keeps its records, as `home_name` says.
        until: seconds since 1970 at which it lapses.
        is_ended: the holder has finished; whoever has no record of it still looks at it.
        folders: of the artifacts, made or not, see `Ref.folder`.
    """

    lake: Lake
    holder: str
    home: str
    folders: set[str] = field(default_factory=set)
    until: float = 0.0
    is_ended: bool = False
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, refs: Iterable[Ref]) -> None:
        """Need these, too, from now on."""
        with self._lock:
            self.folders |= {ref.folder for ref in refs}
            self._write(LASTS_S)

    def end(self, keep_s: float = KEPT_S) -> None:
        """Need nothing any more; the second call does nothing.

        Args:
            keep_s: for how long those without a record of it keep it still.
        """
        with self._lock:
            if not self._over.is_set():
                self._over.set()
                self.is_ended = True
                self._write(keep_s)

    def _renew(self) -> None:
        while not self._over.wait(RENEWED_S):
            with self._lock:
                if not self._over.is_set():
                    self._write(LASTS_S)

    def _write(self, lasts_s: float) -> None:
        self.until = time.time() + lasts_s
        told = {name: getattr(self, name) for name in ("holder", "home", "until", "is_ended")}
        self.lake.write_record(f"{FOLDER}/{self.holder}", {**told, "folders": sorted(self.folders)})


def hold(lake: Lake, holder: str, home: Path, refs: Iterable[Ref]) -> Lease:
    """A lease of some artifacts, renewed in the background until it is ended, or the process is."""
    lease = Lease(lake, holder, home_name(home))
    lease.add(refs)
    threading.Thread(target=lease._renew, name=f"lease-{holder}", daemon=True).start()
    return lease


def home_name(home: Path) -> str:
    """A home as others that share its lake know it: by its id, which a moved one keeps and a copy does not."""
    facts = facts_of(home)
    return facts.id if facts else _place(home)


def _place(home: Path) -> str:
    """Its place, by which earlier code named it."""
    return f"{socket.gethostname()}:{home.resolve()}"


def leased(lake: Lake, home: Path, recorded: Collection[str] = ()) -> set[Ref]:
    """What somebody needs; leases that have lapsed are removed.

    Args:
        recorded: holders of this home of which it has records. When they have ended, those tell what they need.
    """
    needed: set[Ref] = set()
    own = {home_name(home), _place(home)}
    for name in lake.record_names(FOLDER):
        lease = lake.record(f"{FOLDER}/{name}", _read, "what its holder needs is kept as far as its own home tells")
        if lease and lease.until < time.time():
            lake.remove_record(f"{FOLDER}/{name}")
        elif lease and not (lease.is_ended and lease.home in own and lease.holder in recorded):
            needed |= lease.needs
    return needed


@dataclass(frozen=True)
class _Read:
    """A lease as its record tells."""

    holder: str
    home: str
    until: float
    is_ended: bool
    needs: frozenset[Ref]


def _read(told: Any) -> _Read:
    needs = frozenset(Ref.of(folder) for folder in told["folders"])
    return _Read(text_of(told, "holder"), text_of(told, "home"), float(told["until"]), bool(told["is_ended"]), needs)
