"""One log file, parsed once and kept in scratch: runs of fixed-width rows sorted by time, and their outside ids.

A run is `run-00000.npy`, a structured array that is memory-mapped when read, so that the rows of one day are found by
bisection and nothing else is touched. Its `user` and `item` are places in `run-00000-user.parquet` and `-item.parquet`.
Memory is bounded by one batch of the file, whatever its size.

What the rows of a log mean is a `Reading`: that of plays is here, those of what was shown, done and searched for are in
`tasks.sources.impressions`, `.actions` and `.searches`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

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


Texts = tuple[np.ndarray, pa.Array]
"""Text of each row: int32 places in different ones, -1 where there is none."""


@dataclass(frozen=True)
class Run:
    """Rows sorted by time, and by name the different texts that places in them mean."""

    rows: np.ndarray
    texts: Mapping[str, pa.Array]


@dataclass(frozen=True)
class Piece:
    """What came of a batch, or of a part of one.

    Attributes:
        runs: by the folder within the file's that they go to, `""` for the file's own.
        num_rows: rows of the file that are in them.
    """

    runs: Mapping[str, Run]
    num_rows: int
    refusals: Refusals
    num_future: int
    num_replayed: int = 0


@dataclass(frozen=True)
class Reading(ABC):
    """How the columns of a log are to be understood.

    Attributes:
        time_form: `source.time_unit`, or `source.time_format` where there is one.
        today: ISO date; events after its end are in the future.
    """

    time_form: str
    today: str

    code_at = ""
    """`module:class`: what a part came from, beside `parse`."""

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides how a file is understood but the day at which it is looked at."""
        return {n: v for n, v in asdict(self).items() if n != "today"}

    @property
    @abstractmethod
    def time(self) -> str:
        """The column of the time."""

    @property
    @abstractmethod
    def wanted(self) -> list[str]:
        """Columns that are read."""

    @abstractmethod
    def pieces(self, file: DataFile, batch: Batch, forms: "Forms") -> Iterator[Piece]:
        """The usable rows of a batch.

        Raises:
            UserError: a column has an impossible type.
        """


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
    refusals, malformed, forms = Refusals(), Malformed(), Forms(reading.time_form)
    runs, rows, read, future, replayed = 0, 0, 0, 0, 0
    notes: tuple[str, ...] = ()
    records: int | None = 0
    for batch in read_batches(file, reading.wanted):
        where = f"{file.path}: column {reading.time!r}"
        forms.time = time_form(batch.columns[reading.time], forms.time, where)
        for piece in reading.pieces(file, batch, forms):
            refusals.extend(piece.refusals)
            future += piece.num_future
            replayed += piece.num_replayed
            rows += piece.num_rows
            if any(len(run.rows) for run in piece.runs.values()):
                for name, run in piece.runs.items():
                    _save(folder / name / f"run-{runs:05d}", run)
                runs += 1
        read += batch.rows
        progress(read)
        malformed, notes, records = batch.malformed, batch.notes, batch.records
    refusals.add(file.name, malformed.why, len(malformed.numbers), malformed.texts)
    return Parsed(runs, rows, records, future, refusals, notes, forms.time, replayed)


@dataclass
class Forms:
    """How a file writes what can be written in several ways: found where it first occurs, then held to.

    Attributes:
        percent: completions are no shares, but hundredths.
    """

    time: str
    percent: bool | None = None


@dataclass
class Checked:
    """A batch with a mask of its usable rows; a row is refused for the first reason found."""

    file: DataFile
    batch: Batch
    reading: Reading
    forms: Forms
    refusals: Refusals = field(default_factory=Refusals)
    num_future: int = 0

    def __post_init__(self) -> None:
        self.ok = np.ones(self.batch.rows, dtype=bool)
        self.counts = np.ones(self.batch.rows, dtype=bool)

    def pass_over(self, rows: np.ndarray) -> None:
        """Rows that are of no interest: they are used up, whatever is in them."""
        self.counts &= ~rows

    def refuse(self, bad: np.ndarray, reason: str, column: str) -> None:
        """Leave rows out, with the values of a column as examples."""
        bad = bad & self.ok & self.counts
        if not bad.any():
            return
        raw, word = self.batch.columns[column], self.batch.row_word(self.file.format)
        places = np.flatnonzero(bad)[:NUM_EXAMPLES].tolist()
        told = [f"{column} {str(raw[p].as_py())[:80]!r}" if raw[p].is_valid else f"{column} is missing" for p in places]
        shown = [f"{word} {self.batch.number(p)}: {what}" for p, what in zip(places, told, strict=True)]
        self.refusals.add(self.file.name, reason, int(bad.sum()), shown)
        self.ok &= ~bad

    def ids(self, kind: str, column: str, required: bool = True) -> Texts:
        """Ids of each row, with a reason to refuse those that have none."""
        places, texts = encoded_ids(self.batch.columns[column], self.where(column))
        if required:
            self.refuse(places < 0, f"no {kind}", column)
        return places, texts

    def time(self, column: str) -> np.ndarray:
        """Microseconds since 1970."""
        values, form = self.batch.columns[column], self.forms.time
        micros, bad = as_micros(values, form, self.where(column), self.batch.decimal_comma)
        self.refuse(bad, "an impossible time" + (f", not of the form {form}" if "%" in form else ""), column)
        earliest = (EARLIEST - EPOCH).days * MICROS_PER_DAY
        tomorrow = ((date.fromisoformat(self.reading.today) - EPOCH).days + 1) * MICROS_PER_DAY
        if self.reading.time_form == "auto" and form in ("s", "ms", "us", "ns"):
            other = _of_another_unit(micros, earliest, tomorrow)
            self.refuse(other, f"a time of another unit than {form}, in which the file begins", column)
        self.refuse(micros < earliest, f"a time before {EARLIEST}, missing or of another source.time_unit", column)
        self.num_future = int((self.ok & self.counts & (micros >= tomorrow)).sum())
        self.refuse(micros >= tomorrow, f"a time in the future, after {self.reading.today}", column)
        return micros

    def number(self, name: str, column: str, required: np.ndarray | None = None) -> np.ndarray:
        """Numbers as float64, NaN where missing; a mask may say in which rows what is no number is refused."""
        numbers, bad = as_number(self.batch.columns[column], self.where(column), self.batch.decimal_comma)
        self.refuse(bad if required is None else bad & required, f"a {name} that is no number", column)
        return np.where(bad, np.nan, numbers)

    def where(self, column: str) -> str:
        """A column of the file, for messages."""
        return f"{self.file.path}: column {column!r}"


def run_of(type_: np.dtype, texts: Mapping[str, Texts], numbers: Mapping[str, np.ndarray], ok: np.ndarray) -> Run:
    """The rows of a mask, by time; texts are cut to those that occur.

    Args:
        type_: fields `time`, those of `texts` and those of `numbers`.
    """
    rows = np.empty(int(ok.sum()), dtype=type_)
    order = np.argsort(numbers["time"][ok], kind="stable")
    cut = {}
    for name, (places, different) in texts.items():
        kept = places[ok]
        occurs = np.zeros(len(different), dtype=bool)
        occurs[kept[kept >= 0]] = True
        cut[name] = different.filter(pa.array(occurs))
        rows[name] = np.append(np.cumsum(occurs, dtype=np.int32) - 1, np.int32(-1))[kept[order]]
    with np.errstate(over="ignore"):  # what does not fit a float is infinite, and the audit says so
        for name, values in numbers.items():
            rows[name] = values[ok][order]
    return Run(rows, cut)


# --- plays ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlaysReading(Reading):
    """How the plays are to be understood."""

    columns: EventColumns

    code_at = "tasks.sources.parsed_files:PlaysReading"

    @property
    def time(self) -> str:
        return self.columns.time

    @property
    def wanted(self) -> list[str]:
        return list(dict.fromkeys(name for name in _names(self.columns).values() if name))

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

    def pieces(self, file: DataFile, batch: Batch, forms: Forms) -> Iterator[Piece]:
        """All rows of the batch as one."""
        if self.columns.completion and forms.percent is None:
            shares, bad = as_number(batch.columns[self.columns.completion], file.name, batch.decimal_comma)
            known = shares[~bad & ~np.isnan(shares)]
            # Of short films that are replayed, the median viewer still sees less than two in one go.
            forms.percent = bool(np.median(known) > 2) if len(known) else None
        checked = _Plays(file, batch, self, forms)
        names = _names(self.columns)
        texts = {kind: checked.ids(kind, names[kind]) for kind in ("user", "item")}
        numbers: dict[str, np.ndarray] = {"time": checked.time(names["time"])}
        numbers |= {v: checked.value(v, names[v]) for v in (*VALUES, "duration_s") if names[v]}
        if "completion" in self.values:
            if "completion" not in numbers:
                numbers["completion"] = numbers["watch_s"] / numbers["duration_s"]
            # A replayed scene makes a watch longer than the item.
            numbers["completion"] = np.minimum(numbers["completion"], 1.0)
        kept = {name: numbers[name] for name in ("time", *self.values)}
        run = run_of(self.run_type, texts, kept, checked.ok)
        yield Piece({"": run}, len(run.rows), checked.refusals, checked.num_future, checked.num_replayed)


def _names(columns: EventColumns) -> dict[str, str]:
    return {f: getattr(columns, f) for f in ("user", "item", "time", *VALUES, "duration_s")}


@dataclass
class _Plays(Checked):
    """A batch of plays."""

    num_replayed: int = 0

    def value(self, name: str, column: str) -> np.ndarray:
        """Numbers within their bounds."""
        numbers = self.number(name, column)
        with np.errstate(invalid="ignore"):
            above = numbers > 1
            bounds = {
                "weight": (numbers <= 0, "above 0"),
                "watch_s": (numbers < 0, "0 or more"),
                "completion": ((numbers < 0) | above & bool(self.forms.percent), "0 to 1"),
                "duration_s": (numbers <= 0, "above 0"),
            }
            if name in bounds:
                self.refuse(bounds[name][0], f"a {name} that is not {bounds[name][1]}", column)
        if name == "completion":
            self.num_replayed = int((above & self.ok).sum())
        return numbers


def _of_another_unit(micros: np.ndarray, earliest: int, tomorrow: int) -> np.ndarray:
    """Times that are none, but would be in another unit."""
    other = np.zeros(len(micros), dtype=bool)
    if not len(micros) or (micros.min() >= earliest and micros.max() < tomorrow):
        return other
    for factor in (10**3, 10**6, 10**9):
        other |= (micros // factor >= earliest) & (micros // factor < tomorrow)
        other |= (micros >= -(-earliest // factor)) & (micros < tomorrow // factor)
    return other & ((micros < earliest) | (micros >= tomorrow))


def _save(path: Path, run: Run) -> None:
    path.parent.mkdir(exist_ok=True)
    np.save(path.with_suffix(".npy"), run.rows)
    for kind, texts in run.texts.items():
        pq.write_table(pa.table({"external_id": texts}), f"{path}-{kind}.parquet", compression="zstd")


def load_run(folder: Path, number: int) -> np.ndarray:
    """A run's rows, memory-mapped."""
    # As a plain array: slicing the subclass for maps costs more than copying the rows of a day.
    rows: np.ndarray = np.load(folder / f"run-{number:05d}.npy", mmap_mode="r").view(np.ndarray)
    return rows


def load_ids(folder: Path, number: int, kind: str) -> pa.Array:
    """A run's outside ids of one kind."""
    return pq.read_table(folder / f"run-{number:05d}-{kind}.parquet")["external_id"].combine_chunks()
