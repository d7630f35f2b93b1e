"""A source as it stood at a scan, kept in scratch: its days, its ids, its users and items."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from expectations.errors import Failure, UserError
from expectations.files import read_json
from expectations.records import read_record
from expectations.substitutes import Substitute
from tasks.sources.days import Day, iso_day, make_day
from tasks.sources.ids import Ids
from tasks.sources.parsed_files import EPOCH, load_run

STATE = "scan.json"
SLICE_TYPE = np.dtype([("day", "<i4"), ("run", "<i4"), ("start", "<i8"), ("stop", "<i8")])
"""Rows of one day in one run."""


@dataclass
class LogReader:
    """Reads single days out of parsed files.

    Attributes:
        parts: folder of the parsed files.
        runs: part and number of each run.
        slices: `SLICE_TYPE`, by day.
        dense: kind -> one int32 array a run, from places in the run to dense ids.
        bars: column -> value from which on it is a positive.
    """

    parts: Path
    runs: list[tuple[str, int]]
    slices: np.ndarray
    dense: dict[str, list[np.ndarray]]
    bars: Mapping[str, float]
    _open: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    def run(self, number: int) -> np.ndarray:
        """Rows of a run, memory-mapped; mapped once, because a long log asks for each run on thousands of days."""
        if number not in self._open:
            part, own = self.runs[number]
            self._open[number] = load_run(self.parts / part, own)
        return self._open[number]

    def rows(self, day: int) -> np.ndarray:
        """Rows of a day, with dense ids, in no order."""
        start, stop = np.searchsorted(self.slices["day"], [day, day + 1])
        pieces = [self._piece(*one.tolist()[1:]) for one in self.slices[start:stop]]
        return np.concatenate(pieces) if pieces else np.empty(0, self.run(0).dtype)

    def _piece(self, run: int, start: int, stop: int) -> np.ndarray:
        rows = np.array(self.run(run)[start:stop])
        for kind, dense in self.dense.items():
            rows[kind] = dense[run][rows[kind]]
        return rows


@dataclass(frozen=True)
class Scan:
    """What a night needs to know of a source before it runs. Days are ISO dates.

    Attributes:
        days: every calendar day from the first event to the last -> digest of its watches; days without events too.
        rows: number of watches of each day.
        positives: number of those that count as liked.
        unreached: why none does, in a sentence; empty where some do.
        last_full_day: the last day that the log has whole; the default of `--date`.
        notes: what was left out or looks odd, one sentence each; not part of any key.
        substitutes: what stands in for what the source lacks.
    """

    folder: Path
    days: dict[str, str]
    rows: dict[str, int]
    positives: dict[str, int]
    unreached: str
    last_full_day: str
    num_users: int
    num_items: int
    notes: tuple[str, ...]
    substitutes: tuple[Substitute, ...]

    @property
    def first_day(self) -> str:
        return next(iter(self.days))

    @property
    def last_day(self) -> str:
        return next(reversed(self.days))

    def digest(self, date: str) -> str:
        """Digest of the watches of a day.

        Raises:
            UserError: the log does not have the day.
        """
        if date not in self.days:
            raise UserError(
                f"date {date}: the log has the days {self.first_day} to {self.last_day}, "
                f"the last whole one is {self.last_full_day}; choose one of them"
            )
        return self.days[date]

    @cached_property
    def reader(self) -> LogReader:
        """Reads its days."""
        state = read_json(self.folder / STATE)
        bounds = {kind: np.cumsum(state["run_ids"][kind])[:-1] for kind in ("user", "item")}
        dense = {k: np.split(np.load(self.folder / f"{k}-dense.npy", mmap_mode="r"), b) for k, b in bounds.items()}
        slices = np.load(self.folder / "slices.npy", mmap_mode="r")
        runs = [(part, number) for part, number in state["runs"]]
        return LogReader(self.folder.parent.parent / "parts", runs, slices, dense, state["bars"])

    def ids(self, kind: str) -> Ids:
        """All ids of a kind."""
        table = pq.read_table(self.folder / f"{kind}-ids.parquet").combine_chunks()
        numbers = {n: table[n].to_numpy() for n in ("known_day", "first_time", "listed_row")}
        return Ids(table["external_id"].combine_chunks(), **numbers)

    def listing(self, kind: str) -> pa.Table:
        """What the users or items file says."""
        return pq.read_table(self.folder / f"{kind}-listing.parquet")

    def has(self, what: str, date: str, digest: str) -> bool:
        """Whether this is the scan that a digest of `watches` or of the `catalogue` of a day came from."""
        if what == "watches":
            return self.days.get(date) == digest
        return self.catalogue_mark(date, digest).exists()

    def catalogue_mark(self, date: str, digest: str) -> Path:
        """Empty file that says which catalogue was made from this scan."""
        return self.folder / f"catalogue-{date}-{digest}"


def watches_of(scan: Scan, date_: str) -> Day:
    """The watches of a day.

    A function of its own: how watches are made decides nothing about users and items, which a scan has, too.
    """
    return read_day(scan.reader, (date.fromisoformat(date_) - EPOCH).days)


def watches_until(scan: Scan, last_day: str) -> Iterator[pa.Table]:
    """The watches of every day up to one, an ISO date, that has some."""
    return (watches_of(scan, day).table for day, rows in scan.rows.items() if rows and day <= last_day)


def read_day(reader: LogReader, day: int) -> Day:
    """The watches of a day, which is counted from 1970."""
    return make_day(reader.rows(day), day, reader.bars)


def save_state(
    folder: Path, scan: Mapping[str, Any], reader: LogReader, ids: Mapping[str, Ids], listings: Mapping[str, pa.Table]
) -> None:
    """Write a scan so that `load_scan` and `Scan` find everything again."""
    np.save(folder / "slices.npy", reader.slices)
    for kind, known in ids.items():
        np.save(folder / f"{kind}-dense.npy", np.concatenate(reader.dense[kind]))
        columns = {n: getattr(known, n) for n in ("known_day", "first_time", "listed_row")}
        pq.write_table(pa.table({"external_id": known.external, **columns}), folder / f"{kind}-ids.parquet")
        pq.write_table(listings[kind], folder / f"{kind}-listing.parquet")
    run_ids = {kind: [len(d) for d in reader.dense[kind]] for kind in ids}
    state = {**scan, "runs": reader.runs, "run_ids": run_ids, "bars": dict(reader.bars)}
    (folder / STATE).write_text(json.dumps(state))


def load_scan(folder: Path, today: str) -> Scan | None:
    """Read a scan back; None when there is none, or a damaged one.

    Args:
        today: ISO date, never a full day, whatever the log has of it.
    """
    yesterday = (date.fromisoformat(today) - EPOCH).days - 1

    def make(state: Any) -> Scan:
        return Scan(
            folder=folder,
            days=dict(state["days"]),
            rows=dict(state["rows"]),
            positives=dict(state["positives"]),
            unreached=state["unreached"],
            last_full_day=iso_day(min(state["last_whole_day"], yesterday)),
            num_users=state["num_users"],
            num_items=state["num_items"],
            notes=tuple(state["notes"]),
            substitutes=tuple(Substitute(name, figures) for name, figures in state["substitutes"]),
        )

    return read_record(folder / STATE, make, "the next night looks through its source again")


def find_scan(home: Path, what: str, date: str, digest: str) -> Scan:
    """The scan that a digest in a stage's key came from.

    A stage is told a digest and no path, because where data lies must not decide what a night makes.

    Raises:
        Failure: its scratch is gone.
    """
    for path in sorted((home / "scratch" / "sources").glob(f"*/states/*/{STATE}")):
        scan = _loaded(path.parent, path.stat().st_mtime_ns)
        if scan and scan.has(what, date, digest):
            return scan
    raise Failure(f"{what} of {date}: the parsed source is gone from {home / 'scratch'}; run again, which rebuilds it")


@lru_cache(maxsize=16)
def _loaded(folder: Path, changed: int) -> Scan | None:
    """A stage runs once a day of the log; the states are many thousand lines of JSON."""
    return load_scan(folder, date.max.isoformat())
