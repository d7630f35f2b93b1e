"""What a source says beside the plays: what was shown, what else was done, what was searched for.

    <home>/scratch/sources/<source>/states/<state>/impressions/slices.npy ...   such a log as it stood at a scan

Parsed, kept and cut into days as the plays are. Ids that only such a log has are known from the day on which they occur
there first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations.datasets import WATCHES
from expectations.errors import Failure
from expectations.records import read_record
from tasks.sources.actions import actions_of
from tasks.sources.days import Day
from tasks.sources.impressions import Shown, impressions_of, linked
from tasks.sources.parsed_files import load_ids
from tasks.sources.searches import searches_of
from tasks.sources.state import STATE, LogReader, Scan, read_day

_LOST = "the next night looks through its source again"


@dataclass(frozen=True)
class Kind:
    """A kind of log beside the plays.

    Attributes:
        word: what a row of it is called.
        texts: fields of its runs that are places in texts, but for ids.
    """

    word: str
    texts: tuple[str, ...]


KINDS: Mapping[str, Kind] = {
    "impressions": Kind("impression", ("surface",)),
    "actions": Kind("action", ()),
    "searches": Kind("search", ("query",)),
}
"""Dataset -> what is to be known of such logs."""


@dataclass
class LogBeside:
    """A log beside the plays, day by day.

    Attributes:
        texts: field of its runs -> the texts that it numbers.
        days, rows: day -> digest and number of rows of its table, of the days of the plays.
        num_repeated: rows left out because they were there already.
        num_outside: rows of days that the plays do not have.
    """

    name: str
    reader: LogReader
    texts: dict[str, pa.Array] = field(default_factory=dict)
    days: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    num_repeated: int = 0
    num_outside: int = 0

    @property
    def fields(self) -> tuple[str, ...]:
        """Those of its runs that are places in ids or texts."""
        there = self.reader.run(0).dtype.names or ()
        return tuple(name for name in ("user", "item", *KINDS[self.name].texts) if name in there)

    def number_texts(self) -> None:
        """Number the texts of all runs, in order of the alphabet, and give the reader the way to them."""
        for name in KINDS[self.name].texts:
            if name not in self.fields:
                continue
            in_runs = [load_ids(self.reader.parts / part, number, name) for part, number in self.reader.runs]
            encoded = pa.concat_arrays(in_runs).dictionary_encode()
            order = pc.array_sort_indices(encoded.dictionary)
            numbers = np.empty(len(order), np.int32)
            numbers[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
            self.texts[name] = encoded.dictionary.take(order)
            codes = numbers[encoded.indices.to_numpy()]
            self.reader.dense[name] = with_none(np.split(codes, np.cumsum([len(run) for run in in_runs])[:-1]))

    def save(self, state: Path) -> dict[str, Any]:
        """Write it into the folder of a state; gives what the state's record must have to `load` it."""
        folder = state / self.name
        folder.mkdir()
        np.save(folder / "slices.npy", self.reader.slices)
        for name, dense in self.reader.dense.items():
            np.save(folder / f"{name}-dense.npy", np.concatenate(dense))
        for name, texts in self.texts.items():
            pq.write_table(pa.table({"text": texts}), folder / f"{name}-texts.parquet", compression="zstd")
        sizes = {name: [len(d) for d in dense] for name, dense in self.reader.dense.items()}
        return {"runs": self.reader.runs, "sizes": sizes, "days": self.days, "rows": self.rows}

    @classmethod
    def load(cls, state: Path, name: str, facts: Any) -> "LogBeside":
        """Read it back from the folder of a state."""
        folder = state / name
        dense = {
            n: np.split(np.load(folder / f"{n}-dense.npy", mmap_mode="r"), np.cumsum(sizes)[:-1])
            for n, sizes in facts["sizes"].items()
        }
        texts = {
            n: pq.read_table(folder / f"{n}-texts.parquet")["text"].combine_chunks()
            for n in KINDS[name].texts
            if n in dense
        }
        runs, slices = [(part, number) for part, number in facts["runs"]], np.load(folder / "slices.npy", mmap_mode="r")
        reader = LogReader(state.parent.parent / "parts", runs, slices, dense, {})
        return cls(name, reader, texts, dict(facts["days"]), dict(facts["rows"]))


def with_none(dense: list[np.ndarray]) -> list[np.ndarray]:
    """The way from places in each run to numbers, by which the place -1 leads to -1."""
    return [np.append(run, np.int32(-1)) for run in dense]


def impressions_on(log: LogBeside, day: int) -> Shown:
    """Those of a day, which is counted from 1970."""
    return impressions_of(log.reader.rows(day), day, log.texts.get("surface"))


def actions_on(log: LogBeside, day: int) -> Day:
    """Those of a day, which is counted from 1970."""
    return actions_of(log.reader.rows(day), day)


def searches_on(log: LogBeside, day: int) -> Day:
    """Those of a day, which is counted from 1970."""
    return searches_of(log.reader.rows(day), day, log.texts["query"])


DAY_OF: Mapping[str, Callable[[LogBeside, int], Day]] = {
    "impressions": impressions_on,
    "actions": actions_on,
    "searches": searches_on,
}
"""Dataset -> what makes its table of a day. A stage calls its own by name, so that no edit of another reruns it."""


def day_tables(reader: LogReader, beside: Mapping[str, LogBeside], day: int) -> dict[str, Day]:
    """All tables of a day: the plays, linked to what was shown where that is known, and those of the logs beside."""
    made = {"watches": read_day(reader, day), **{name: DAY_OF[name](log, day) for name, log in beside.items()}}
    if isinstance(shown := made.get("impressions"), Shown):
        made["watches"] = linked(made["watches"], shown)
    return made


def linked_watches(scan: Scan, day: int) -> pa.Table:
    """The plays of a day, which is counted from 1970, with all declared columns, linked to what was shown."""
    watches, beside = read_day(scan.reader, day), logs_beside(scan)
    if "impressions" in beside:
        watches = linked(watches, impressions_on(beside["impressions"], day))
    table = watches.table
    there = {name: table[name] for name in table.column_names}
    whole = {f.name: there.get(f.name, pa.nulls(table.num_rows, f.type)) for f in WATCHES.schema}
    return pa.table(whole, schema=WATCHES.schema)


def logs_beside(scan: Scan) -> dict[str, LogBeside]:
    """Those that a scan has."""
    changed = _changed(scan.folder)
    return {name: _loaded(scan.folder, name, changed) for name in _facts(scan.folder, changed)}


def find_beside(home: Path, name: str, date_: str, digest: str) -> LogBeside:
    """The log that the digest of a day in a stage's key came from.

    Raises:
        Failure: its scratch is gone.
    """
    for path in sorted((home / "scratch" / "sources").glob(f"*/states/*/{STATE}")):
        changed = _changed(path.parent)
        facts = _facts(path.parent, changed).get(name)
        if facts and facts["days"].get(date_) == digest:
            return _loaded(path.parent, name, changed)
    raise Failure(f"{name} of {date_}: the parsed source is gone from {home / 'scratch'}; run again, which rebuilds it")


def _changed(state: Path) -> int:
    return (state / STATE).stat().st_mtime_ns


@lru_cache(maxsize=16)
def _facts(state: Path, changed: int) -> dict[str, Any]:
    """A stage runs once a day of the log; the states are many thousand lines of JSON."""
    found: dict[str, Any] = read_record(state / STATE, lambda facts: facts.get("beside", {}), _LOST) or {}
    return found


@lru_cache(maxsize=16)
def _loaded(state: Path, name: str, changed: int) -> LogBeside:
    return LogBeside.load(state, name, _facts(state, changed)[name])
