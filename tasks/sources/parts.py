"""One log file, parsed once and kept in scratch: runs of fixed-width rows sorted by time, and their outside ids.

A run is `run-00000.npy`, a structured array that is memory-mapped when read, so that the rows of one day are found by
bisection and nothing else is touched. Its `user` and `item` are places in `run-00000-user.parquet` and `-item.parquet`.
Memory is bounded by one batch of the file, whatever its size.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.sources.config import EventColumns
from tasks.sources.reading import Batch, DataFile, Malformed, read_batches
from tasks.sources.refusals import NUM_EXAMPLES, Refusals
from tasks.sources.times import as_micros, time_form
from tasks.sources.values import MICROS_PER_DAY, as_number, encoded_ids

EARLIEST = date(1980, 1, 1)
"""No event was logged before; such times are missing values (0) or come from a wrong unit."""

EPOCH = date(1970, 1, 1)
VALUES = ("rating", "weight", "watch_s", "completion")


@dataclass(frozen=True)
class Reading:
    """How the columns of a log are to be understood.

    Attributes:
        time_form: `source.time_unit`, or `source.time_format` where there is one.
        today: ISO date; events after its end are in the future.
    """

    columns: EventColumns
    time_form: str
    today: str

    @property
    def values(self) -> tuple[str, ...]:
        """Numbers that a run carries besides ids and time."""
        mapped = [v for v in VALUES if getattr(self.columns, v)]
        derived = self.columns.watch_s and self.columns.duration_s and "completion" not in mapped
        return (*mapped, "completion") if derived else tuple(mapped)

    @property
    def run_type(self) -> np.dtype:
        """Rows of a run; `time` in microseconds since 1970, missing numbers as NaN."""
        fixed = [("time", "<i8"), ("user", "<i4"), ("item", "<i4")]
        return np.dtype([*fixed, *[(v, "<f4") for v in self.values]])


@dataclass(frozen=True)
class Parsed:
    """What parsing a file came to.

    Attributes:
        num_records: rows of the file by a count that is not the reader's own, where its format has one.
        notes: how the file was understood, where that is not plain.
        time_form: how its times are written, as `tasks.sources.times` has it; `auto` where there are none.
        num_replayed: completions above 1, which count as 1.
    """

    num_runs: int
    num_rows: int
    num_records: int | None
    num_future: int
    refusals: Refusals
    notes: tuple[str, ...]
    time_form: str
    num_replayed: int


def parse(file: DataFile, reading: Reading, folder: Path, progress: Callable[[int], None]) -> Parsed:
    """Parse a file into runs below `folder`.

    Args:
        progress: called with the number of rows read so far.

    Raises:
        UserError: the file cannot be read, lacks a column, or a column has an impossible type.
    """
    wanted = list(dict.fromkeys(name for name in _names(reading.columns).values() if name))
    refusals, malformed, forms = Refusals(), Malformed(), _Forms(reading.time_form)
    runs, rows, read, future, replayed = 0, 0, 0, 0, 0
    notes: tuple[str, ...] = ()
    records: int | None = 0
    for batch in read_batches(file, wanted):
        forms.look(file, batch, reading)
        checked = _Checked(file, batch, reading, forms)
        refusals.extend(checked.refusals)
        future += checked.num_future
        replayed += checked.num_replayed
        kept = checked.rows()
        if len(kept):
            _save(folder / f"run-{runs:05d}", kept, checked.ids)
            runs, rows = runs + 1, rows + len(kept)
        read += batch.rows
        progress(read)
        malformed, notes, records = batch.malformed, batch.notes, batch.records
    refusals.add(file.name, malformed.why, len(malformed.numbers), malformed.texts)
    return Parsed(runs, rows, records, future, refusals, notes, forms.time, replayed)


def _names(columns: EventColumns) -> dict[str, str]:
    return {f: getattr(columns, f) for f in ("user", "item", "time", *VALUES, "duration_s")}


@dataclass
class _Forms:
    """How a file writes what can be written in several ways: found where it first occurs, then held to.

    Attributes:
        percent: completions are no shares, but hundredths.
    """

    time: str
    percent: bool | None = None

    def look(self, file: DataFile, batch: Batch, reading: Reading) -> None:
        """Find out what is not known yet."""
        columns = reading.columns
        self.time = time_form(batch.columns[columns.time], self.time, f"{file.path}: column {columns.time!r}")
        if columns.completion and self.percent is None:
            numbers, bad = as_number(batch.columns[columns.completion], file.name, batch.decimal_comma)
            known = numbers[~bad & ~np.isnan(numbers)]
            # Of short films that are replayed, the median viewer still sees less than two in one go.
            self.percent = bool(np.median(known) > 2) if len(known) else None


@dataclass
class _Checked:
    """A batch with a mask of its usable rows; a row is refused for the first reason found."""

    file: DataFile
    batch: Batch
    reading: Reading
    forms: _Forms
    refusals: Refusals = field(default_factory=Refusals)
    num_future: int = 0
    num_replayed: int = 0

    def __post_init__(self) -> None:
        self.ok = np.ones(self.batch.rows, dtype=bool)
        names = _names(self.reading.columns)
        self.places: dict[str, np.ndarray] = {}
        self.ids = {kind: self._id(kind, names[kind]) for kind in ("user", "item")}
        self.time = self._time(names["time"])
        self.values = {v: self._value(v, names[v]) for v in (*VALUES, "duration_s") if names[v]}
        if "completion" in self.reading.values:
            if "completion" not in self.values:
                self.values["completion"] = self.values["watch_s"] / self.values["duration_s"]
            # A replayed scene makes a watch longer than the item.
            self.values["completion"] = np.minimum(self.values["completion"], 1.0)

    def rows(self) -> np.ndarray:
        """The usable rows, by time; `user` and `item` are places in `ids`, which is cut to what occurs."""
        kept = np.empty(int(self.ok.sum()), dtype=self.reading.run_type)
        order = np.argsort(self.time[self.ok], kind="stable")
        kept["time"] = self.time[self.ok][order]
        for kind, texts in self.ids.items():
            places = self.places[kind][self.ok]
            occurs = np.zeros(len(texts), dtype=bool)
            occurs[places] = True
            self.ids[kind] = texts.filter(pa.array(occurs))
            kept[kind] = (np.cumsum(occurs, dtype=np.int32) - 1)[places[order]]
        with np.errstate(over="ignore"):  # what does not fit a float is infinite, and the audit says so
            for name in self.reading.values:
                kept[name] = self.values[name][self.ok][order]
        return kept

    def _refuse(self, bad: np.ndarray, reason: str, column: str) -> None:
        bad = bad & self.ok
        if not bad.any():
            return
        raw, word = self.batch.columns[column], self.batch.row_word(self.file.format)
        places = np.flatnonzero(bad)[:NUM_EXAMPLES].tolist()
        told = [f"{column} {str(raw[p].as_py())!r}" if raw[p].is_valid else f"{column} is missing" for p in places]
        shown = [f"{word} {self.batch.number(p)}: {what}" for p, what in zip(places, told, strict=True)]
        self.refusals.add(self.file.name, reason, int(bad.sum()), shown)
        self.ok &= ~bad

    def _id(self, kind: str, column: str) -> pa.Array:
        self.places[kind], texts = encoded_ids(self.batch.columns[column], self._where(column))
        self._refuse(self.places[kind] < 0, f"no {kind}", column)
        return texts

    def _time(self, column: str) -> np.ndarray:
        values, form = self.batch.columns[column], self.forms.time
        micros, bad = as_micros(values, form, self._where(column), self.batch.decimal_comma)
        self._refuse(bad, "an impossible time" + (f", not of the form {form}" if "%" in form else ""), column)
        earliest = (EARLIEST - EPOCH).days * MICROS_PER_DAY
        tomorrow = ((date.fromisoformat(self.reading.today) - EPOCH).days + 1) * MICROS_PER_DAY
        if self.reading.time_form == "auto" and form in ("s", "ms", "us", "ns"):
            other = _of_another_unit(micros, earliest, tomorrow)
            self._refuse(other, f"a time of another unit than {form}, in which the file begins", column)
        self._refuse(micros < earliest, f"a time before {EARLIEST}, missing or of another source.time_unit", column)
        self.num_future = int((self.ok & (micros >= tomorrow)).sum())
        self._refuse(micros >= tomorrow, f"a time in the future, after {self.reading.today}", column)
        return micros

    def _value(self, name: str, column: str) -> np.ndarray:
        numbers, bad = as_number(self.batch.columns[column], self._where(column), self.batch.decimal_comma)
        self._refuse(bad, f"a {name} that is no number", column)
        with np.errstate(invalid="ignore"):
            above = numbers > 1
            bounds = {
                "weight": (numbers <= 0, "above 0"),
                "watch_s": (numbers < 0, "0 or more"),
                "completion": ((numbers < 0) | above & bool(self.forms.percent), "0 to 1"),
                "duration_s": (numbers <= 0, "above 0"),
            }
            if name in bounds:
                self._refuse(bounds[name][0], f"a {name} that is not {bounds[name][1]}", column)
        if name == "completion":
            self.num_replayed = int((above & self.ok).sum())
        return numbers

    def _where(self, column: str) -> str:
        return f"{self.file.path}: column {column!r}"


def _of_another_unit(micros: np.ndarray, earliest: int, tomorrow: int) -> np.ndarray:
    """Times that are none, but would be in another unit."""
    other = np.zeros(len(micros), dtype=bool)
    if not len(micros) or (micros.min() >= earliest and micros.max() < tomorrow):
        return other
    for factor in (10**3, 10**6, 10**9):
        other |= (micros // factor >= earliest) & (micros // factor < tomorrow)
        other |= (micros >= -(-earliest // factor)) & (micros < tomorrow // factor)
    return other & ((micros < earliest) | (micros >= tomorrow))


def _save(path: Path, rows: np.ndarray, ids: dict[str, pa.Array]) -> None:
    np.save(path.with_suffix(".npy"), rows)
    for kind, texts in ids.items():
        pq.write_table(pa.table({"external_id": texts}), f"{path}-{kind}.parquet", compression="zstd")


def load_run(folder: Path, number: int) -> np.ndarray:
    """A run's rows, memory-mapped."""
    # As a plain array: slicing the subclass for maps costs more than copying the rows of a day.
    rows: np.ndarray = np.load(folder / f"run-{number:05d}.npy", mmap_mode="r").view(np.ndarray)
    return rows


def load_ids(folder: Path, number: int, kind: str) -> pa.Array:
    """A run's outside ids of one kind."""
    return pq.read_table(folder / f"run-{number:05d}-{kind}.parquet")["external_id"].combine_chunks()
