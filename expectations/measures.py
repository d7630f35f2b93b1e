"""Computes the columns that rules look at, for a chunk of rows at once, with Arrow and numpy.

A rule names a column of the dataset or a measure of columns such as `length(tokens)`. Measures exist where Great
Expectations has no expectation of its own or calls Python for every row. Missing is NaN in what comes back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date as Date
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expectations.parts import Chunk

Values = npt.NDArray[Any] | pd.Categorical
Array = npt.NDArray[Any]

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
SHORT_LOG = 1_000
"""A day with fewer rows than this may well have no event after noon."""


@dataclass(frozen=True)
class Audited:
    """A chunk with what its rows are compared with: `references` are the ids that exist, by column name."""

    chunk: Chunk
    references: Mapping[str, pa.Array]

    @cached_property
    def midnights_us(self) -> Array:
        """Start of the day (UTC) that each row's artifact is of."""
        days = [Date.fromisoformat(s.date) - Date(1970, 1, 1) for s in self.chunk.segments]
        return self.chunk.per_row([d.days * DAY_US for d in days])

    def column(self, name: str) -> pa.Array:
        """A column in one piece."""
        column = self.chunk.table[name].combine_chunks()
        return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def parse(measure: str) -> tuple[str, tuple[str, ...]]:
    """`known(item_id, items)` to its name and arguments; a plain column has the name ``."""
    name, call, rest = measure.partition("(")
    return (name, tuple(rest.rstrip(")").split(", "))) if call else ("", (name,))


def columns_of(measure: str) -> tuple[str, ...]:
    """Columns of the dataset that a measure reads."""
    name, arguments = parse(measure)
    match name:
        case "known":
            return arguments[:1]
        case "times_duration":
            return (*arguments, "item_id")
        case _:
            return arguments


def compute(measure: str, rows: Audited) -> Values:
    """A measure of every row."""
    name, arguments = parse(measure)
    return MEASURES[name](rows, *arguments) if name else plain(rows.column(arguments[0]))


def plain(column: pa.Array) -> Values:
    """A column as Great Expectations audits it fastest: int64, float64 or categorical.

    pandas cannot tell NaN from null, so NaN becomes infinite here and breaks the range that every float column has.
    Lists and times are only ever asked whether they are null.
    """
    if pa.types.is_floating(column.type):
        values = column.cast(pa.float64())
        # NaN itself is a value: only a null becomes NaN in what is returned.
        return pc.if_else(pc.is_nan(values), np.inf, values).to_numpy(zero_copy_only=False)
    if pa.types.is_integer(column.type):
        return column.cast(pa.float64() if column.null_count else pa.int64(), safe=False).to_numpy(zero_copy_only=False)
    if pa.types.is_string(column.type):
        return column.dictionary_encode().to_pandas()
    return _where_valid(column, np.zeros(len(column)))


def _where_valid(column: pa.Array, values: Array) -> Array:
    """`values`, NaN where the column is null."""
    return np.where(_valid(column), values, np.nan) if column.null_count else values


def _valid(column: pa.Array) -> Array:
    return column.is_valid().to_numpy(zero_copy_only=False)


def key(rows: Audited, *names: str) -> Array:
    """One int64 a row, equal within an artifact exactly where all the columns are equal."""
    dates = [s.date for s in rows.chunk.segments]
    number = {date: n for n, date in enumerate(dict.fromkeys(dates))}
    packed, size = rows.chunk.per_row([number[date] for date in dates]), len(number)
    for name in names:
        codes, num_codes = _codes(rows.column(name))
        if size * num_codes >= 2**63:
            packed, size = _ranks(packed)
        if size * num_codes >= 2**63:
            codes, num_codes = _ranks(codes)
        packed, size = packed * num_codes + codes, size * num_codes
    return packed


def _codes(column: pa.Array) -> tuple[Array, int]:
    """Integers from 0 that stand for the values, and a bound of theirs."""
    if pa.types.is_integer(column.type) and not column.null_count and len(column):
        values = column.cast(pa.int64()).to_numpy()
        return values - values.min(), int(values.max()) - int(values.min()) + 1
    encoded = column.dictionary_encode(null_encoding="encode")
    return encoded.indices.cast(pa.int64()).to_numpy(), max(1, len(encoded.dictionary))


def _ranks(values: Array) -> tuple[Array, int]:
    distinct, ranks = np.unique(values, return_inverse=True)
    return ranks.astype(np.int64), len(distinct)


def known(rows: Audited, name: str, reference: str) -> Array:
    """Whether an id is among those that exist."""
    column, ids = rows.column(name), rows.references[reference]
    if pa.types.is_integer(column.type):
        values = column.fill_null(0).cast(pa.int64()).to_numpy()
        return _where_valid(column, _among(values, ids.cast(pa.int64()).to_numpy()).astype(float))
    return _where_valid(column, pc.is_in(column, ids).to_numpy(zero_copy_only=False).astype(float))


def _among(values: Array, ids: Array) -> Array:
    if not len(ids):
        return np.zeros(len(values), bool)
    # Dense ids make a table of what exists; a hash set is 20 times slower.
    exists = np.zeros(int(ids.max()) + 2, bool)
    exists[ids] = True
    return exists[np.where((values < 0) | (values > ids.max()), len(exists) - 1, values)]


def hours_into_day(rows: Audited, name: str) -> Array:
    """Hours from the start of the artifact's day; of a list of seconds since 1970, its last one."""
    column = rows.column(name)
    if pa.types.is_list(column.type):
        moments = per_list(column, np.maximum) * 1e6
        return (moments - rows.midnights_us) / HOUR_US
    unit = DAY_US if pa.types.is_date32(column.type) else 1
    whole = column.cast(pa.int32() if unit > 1 else pa.int64()).fill_null(0).to_numpy().astype(np.int64)
    return _where_valid(column, (whole * unit - rows.midnights_us) / HOUR_US)


def times_duration(rows: Audited, name: str) -> Array:
    """Seconds as a multiple of the item's duration; NaN where that is not known."""
    ids, durations = (rows.references[n].to_numpy(zero_copy_only=False) for n in ("item_id", "duration_s"))
    item = rows.column("item_id").cast(pa.int64()).to_numpy(zero_copy_only=False)
    order = np.argsort(ids)
    at = order[np.clip(np.searchsorted(ids, item, sorter=order), 0, len(ids) - 1)]
    duration = np.where((ids[at] == item) & (durations[at] > 0), durations[at], np.nan)
    return rows.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False) / duration


def length(rows: Audited, name: str) -> Array:
    """Length of a list or of a text."""
    column = rows.column(name)
    lengths = pc.list_value_length(column) if pa.types.is_list(column.type) else pc.utf8_length(column)
    return lengths.to_numpy(zero_copy_only=False).astype(float)


def missing_in(rows: Audited, name: str) -> Array:
    """How many elements of a list are null, NaN or infinite."""
    column = rows.column(name)
    elements = column.flatten()
    missing = elements.is_null()
    if pa.types.is_floating(elements.type):
        missing = pc.or_(missing, pc.invert(pc.is_finite(elements.fill_null(0))))
    return per_list(column, np.add, missing.to_numpy(zero_copy_only=False).astype(float))


def per_list(column: pa.Array, ufunc: np.ufunc, elements: Array | None = None) -> Array:
    """Reduce each list, or `elements` in place of its values, with `ufunc`; NaN for an empty or null list."""
    lengths = _lengths(column)
    reduced = np.full(len(column), np.nan)
    filled = lengths > 0
    if filled.any():
        values = column.flatten().to_numpy(zero_copy_only=False) if elements is None else elements
        reduced[filled] = ufunc.reduceat(values, (lengths.cumsum() - lengths)[filled])
    return reduced


def _lengths(column: pa.Array) -> Array:
    return pc.fill_null(pc.list_value_length(column), 0).to_numpy()


def norm(rows: Audited, name: str) -> Array:
    """Euclidean length of a vector."""
    column = rows.column(name)
    squares = np.square(column.flatten().to_numpy(zero_copy_only=False).astype(float))
    return np.sqrt(per_list(column, np.add, squares))


def ascending(rows: Audited, name: str, strictly: bool = False) -> Array:
    """Whether a list never falls (or, strictly, always rises)."""
    column = rows.column(name)
    values, lengths = column.flatten().to_numpy(zero_copy_only=False), _lengths(column)
    right = np.ones(len(values), bool)
    right[1:] = values[1:] > values[:-1] if strictly else values[1:] >= values[:-1]
    right[(lengths.cumsum() - lengths)[lengths > 0]] = True
    return per_list(column, np.minimum, right.astype(float))


def differ(rows: Audited, a: str, b: str) -> Array:
    """Whether two columns have different values."""
    different = pc.not_equal(rows.column(a), rows.column(b))
    return _where_valid(different, different.fill_null(False).to_numpy(zero_copy_only=False).astype(float))


MEASURES: dict[str, Callable[..., Values]] = {
    "key": key,
    "known": known,
    "hours_into_day": hours_into_day,
    "times_duration": times_duration,
    "length": length,
    "missing_in": missing_in,
    "norm": norm,
    "ascending": ascending,
    "strictly_ascending": lambda rows, name: ascending(rows, name, strictly=True),
    "differ": differ,
    "least": lambda rows, name: per_list(rows.column(name), np.minimum),
    "most": lambda rows, name: per_list(rows.column(name), np.maximum),
}


@dataclass(frozen=True)
class DayMeasure:
    """A figure of a whole artifact, folded from a measure of its rows."""

    of: str
    fold: np.ufunc
    finish: Callable[[Array, Array], Array] = lambda folded, num_rows: folded


DAY_MEASURES: dict[str, DayMeasure] = {
    "shortest": DayMeasure("length", np.fmin),
    "longest": DayMeasure("length", np.fmax),
    "newest_hour": DayMeasure("hours_into_day", np.fmax, lambda hours, num_rows: _if_telling(hours, num_rows)),
    "days_behind": DayMeasure("hours_into_day", np.fmax, lambda hours, num_rows: -np.floor(hours / 24)),
}


def _if_telling(hours: Array, num_rows: Array) -> Array:
    """NaN where a day is too short to tell, or its times are dates (all of them midnight)."""
    return np.where((num_rows < SHORT_LOG) | (hours == 0), np.nan, hours)


class DayFigures:
    """Folds the measures of whole artifacts while their rows stream by."""

    def __init__(self, dates: list[str], measures: list[str]) -> None:
        self._row = {date: number for number, date in enumerate(dates)}
        self._folded = {m: np.full(len(dates), np.nan) for m in measures}

    @property
    def columns(self) -> set[str]:
        """Columns of the dataset that are read."""
        return {column for m in self._folded for column in parse(m)[1]}

    def add(self, rows: Audited) -> None:
        at = np.array([self._row[s.date] for s in rows.chunk.segments])
        for measure, folded in self._folded.items():
            name, arguments = parse(measure)
            day_measure = DAY_MEASURES[name]
            values = MEASURES[day_measure.of](rows, *arguments)
            day_measure.fold.at(folded, at, day_measure.fold.reduceat(values, rows.chunk.starts))

    def result(self, num_rows: Array) -> dict[str, Array]:
        """Every measure, one figure a date."""
        return {m: DAY_MEASURES[parse(m)[0]].finish(folded, num_rows) for m, folded in self._folded.items()}
