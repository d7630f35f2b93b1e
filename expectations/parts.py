"""Reads the Parquet parts of artifacts for their audit: schemas, row counts, bounded chunks of rows, single rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date as Date
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from expectations.errors import Failure

CELL_LENGTH = 8
"""Longer lists are cut in example rows."""


@dataclass(frozen=True)
class Segment:
    """Consecutive rows of one artifact within a chunk: rows `[first, first + length)` of that artifact."""

    date: str
    first: int
    length: int


@dataclass(frozen=True)
class Chunk:
    """Some rows of one or more artifacts."""

    table: pa.Table
    segments: tuple[Segment, ...]

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """Where each segment begins in the table."""
        return np.cumsum([0, *(s.length for s in self.segments)])[:-1]

    def per_row(self, values: Sequence[int]) -> npt.NDArray[np.int64]:
        """Repeat one value a segment for each of its rows."""
        return np.repeat(np.asarray(values, np.int64), [s.length for s in self.segments])


def parquet_files(folder: Path) -> list[Path]:
    """The parts of an artifact, in order."""
    return sorted(folder.glob("*.parquet"))


@dataclass(frozen=True)
class Footer:
    """What an artifact's files say of themselves: rows in all, and the type of each column (all, if files disagree)."""

    num_rows: int
    types: dict[str, str]


def footer(folder: Path) -> Footer:
    """Read the footers of an artifact's files."""
    found: dict[str, set[str]] = {}
    num_rows = 0
    for file in parquet_files(folder):
        reader = _open(file)
        num_rows += reader.metadata.num_rows
        for field in reader.schema_arrow:
            found.setdefault(field.name, set()).add(type_name(field.type))
    return Footer(num_rows, {name: " and ".join(sorted(types)) for name, types in found.items()})


def type_name(type_: pa.DataType) -> str:
    """A type as far as it matters to readers: writers differ in list item names, dictionaries, offsets, time units."""
    if pa.types.is_dictionary(type_):
        return type_name(type_.value_type)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return f"list<{type_name(type_.value_type)}>"
    if pa.types.is_timestamp(type_):
        return f"timestamp[{type_.tz or 'no time zone'}]"
    return "string" if pa.types.is_large_string(type_) else str(type_)


def chunks(parts: Mapping[str, Path], wanted: pa.Schema, max_rows: int) -> Iterator[Chunk]:
    """Rows of several artifacts in order, cast to `wanted`, about `max_rows` at a time (below twice as many)."""
    tables: list[pa.Table] = []
    segments: list[Segment] = []
    held = 0
    for date, folder in parts.items():
        first = 0
        for file in parquet_files(folder):
            for batch in _open(file).iter_batches(max_rows, columns=wanted.names):
                if not batch.num_rows:
                    continue
                tables.append(pa.Table.from_batches([batch]).select(wanted.names).cast(wanted))
                segments.append(Segment(date, first, batch.num_rows))
                first += batch.num_rows
                held += batch.num_rows
                if held >= max_rows:
                    yield Chunk(pa.concat_tables(tables), tuple(segments))
                    tables, segments, held = [], [], 0
    if held:
        yield Chunk(pa.concat_tables(tables), tuple(segments))


def take(folder: Path, rows: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Single rows of an artifact by position, whole and as JSON types; reads only the row groups they are in."""
    wanted = sorted(set(rows))
    found: dict[int, dict[str, Any]] = {}
    first = 0
    for file in parquet_files(folder):
        reader = _open(file)
        for group in range(reader.num_row_groups):
            length = reader.metadata.row_group(group).num_rows
            here = [r for r in wanted if first <= r < first + length]
            if here:
                table = reader.read_row_group(group).take([r - first for r in here])
                found.update(zip(here, map(_plain_row, table.to_pylist()), strict=True))
            first += length
    return found


def _open(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise Failure(f"{file}: no readable Parquet ({error}); delete its folder and run again") from error


def _plain_row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: plain_value(value) for name, value in row.items()}


def plain_value(value: Any) -> Any:
    """A cell as JSON types that a person can read."""
    if isinstance(value, list):
        shown = [plain_value(v) for v in value[:CELL_LENGTH]]
        return [*shown, f"... {len(value)} in all"] if len(value) > CELL_LENGTH else shown
    if isinstance(value, Date | datetime):
        return value.isoformat()
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value
