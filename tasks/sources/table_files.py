"""Parquet files of a table that keeps a record of its own (Delta, Iceberg).

The record says what their columns are called, of which type they are and which rows stand; the files alone do not.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.sources.formats import Format
from tasks.sources.reading import BATCH_ROWS, Batch, DataFile, check_columns

_FIELD_ID = b"PARQUET:field_id"


@dataclass(frozen=True)
class Column:
    """A column of a table, as one of its files has it.

    Attributes:
        stored: its name in the file, or the id that its field has there.
        names: what it may be called in a file whose fields have no ids.
        constant: its value in every row of a file that does not store it.
    """

    name: str
    type: pa.DataType
    stored: str | int
    names: tuple[str, ...] = ()
    constant: Any = None


@dataclass(frozen=True)
class Member:
    """What a table says of one of its files.

    Attributes:
        snapshot: which state of the table that was, in words.
        deleted: int64, sorted: places in the file of rows that are deleted.
    """

    snapshot: str
    columns: tuple[Column, ...]
    deleted: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64), compare=False)

    @property
    def identity(self) -> str:
        """Stands for all that decides which rows come out of the unchanged file."""
        columns = "\n".join(repr((c.name, str(c.type), c.stored, c.names, c.constant)) for c in self.columns)
        return hashlib.sha256(columns.encode() + self.deleted.tobytes()).hexdigest()


def read_member(file: DataFile, wanted: list[str]) -> Iterator[Batch]:
    """The wanted columns of the rows that stand, in the types of the table, in bounded memory."""
    assert file.member is not None
    deleted, columns = file.member.deleted, {c.name: c for c in file.member.columns}
    check_columns(file, list(columns), wanted)
    # Spark's INT96 as nanoseconds, Arrow's default, ends in the year 2262.
    with pq.ParquetFile(file.path, coerce_int96_timestamp_unit="us") as parquet:
        stored = {name: _name_in(parquet.schema_arrow, columns[name]) for name in wanted}
        place, records = 0, parquet.metadata.num_rows - len(deleted)
        for rows in parquet.iter_batches(BATCH_ROWS, columns=[s for s in dict.fromkeys(stored.values()) if s]):
            values = {name: _values(rows, stored[name], columns[name]) for name in wanted}
            standing = _standing(deleted, place, rows.num_rows)
            kept = {name: column.filter(standing) for name, column in values.items()}
            numbers = place + 1 + np.flatnonzero(standing)
            yield Batch(kept, place + 1, len(numbers), records=records, lines=numbers)
            place += rows.num_rows


def _name_in(schema: pa.Schema, column: Column) -> str | None:
    """What a column is called in a file; None where the file does not store it."""
    if isinstance(column.stored, str):
        return column.stored if column.stored in schema.names else None
    ids = {int(f.metadata[_FIELD_ID]): f.name for f in schema if f.metadata and _FIELD_ID in f.metadata}
    if ids:
        return ids.get(column.stored)
    return next((name for name in column.names if name in schema.names), None)


def _values(rows: pa.RecordBatch, stored: str | None, column: Column) -> pa.Array:
    type_ = column.type.storage_type if isinstance(column.type, pa.ExtensionType) else column.type
    if stored is None:
        return pa.repeat(pa.scalar(column.constant, type_), rows.num_rows)
    values = rows.column(stored)
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    # What is finer than a microsecond is cut off: no table says more, and some writers do.
    return values.cast(type_, safe=not pa.types.is_timestamp(type_))


def _standing(deleted: np.ndarray, place: int, count: int) -> pa.Array:
    start, stop = np.searchsorted(deleted, [place, place + count])
    standing = np.ones(count, dtype=bool)
    standing[deleted[start:stop] - place] = False
    return pa.array(standing)


DELTA = Format("delta", "a file of a Delta table", (), False, "tasks.sources.table_files:read_member")
ICEBERG = Format("iceberg", "a file of an Iceberg table", (), False, "tasks.sources.table_files:read_member")
