"""CSV and Parquet files as batches of the wanted columns, in bounded memory, with every error in words for people.

Text formats are read as text: what a value means is decided in `tasks.sources.values`, which can then name the line.
"""

import codecs
import csv
import difflib
import io
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from expectations.errors import UserError
from tasks.sources.refusals import NUM_EXAMPLES

CSV_BLOCK_BYTES = 4 << 20
"""Arrow reads up to 32 blocks ahead, so this bounds memory."""

BATCH_ROWS = 1_000_000
MISSING = ["", "NULL", "null", "\\N"]


@dataclass(frozen=True)
class DataFile:
    """One CSV or Parquet file and how it is to be read.

    Attributes:
        name: path relative to the source, for messages and to recognise the file by.
        header: column names of a text file that does not name them itself.
        partition: values of hive-partitioned folders above it (`day=2026-03-01`), by name.
    """

    path: Path
    name: str
    format: Literal["csv", "parquet"]
    delimiter: str = ","
    encoding: str = "utf-8"
    header: tuple[str, ...] = ()
    partition: tuple[tuple[str, str | None], ...] = ()

    @property
    def row_word(self) -> str:
        """What a row number counts: lines of a text file (blank ones left out), or rows of a Parquet file from 1."""
        return "line" if self.format == "csv" else "row"


@dataclass
class Malformed:
    """Lines of a text file that were left out because they have too few or too many fields."""

    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    texts: list[str] = field(default_factory=list)

    def leave_out(self, row: pa_csv.InvalidRow) -> str:
        """Arrow's handler of such lines."""
        self.numbers.append(row.number or 0)
        if len(self.texts) < NUM_EXAMPLES:
            self.texts.append(f"line {row.number}: {row.text[:80]!r}")
        return "skip"


@dataclass(frozen=True)
class Batch:
    """Some rows of a file.

    Attributes:
        columns: name in the file -> values.
        first: number of its first row as `DataFile.row_word` counts, malformed lines left out of the count.
        malformed: those of the whole file; complete with the last batch.
    """

    columns: dict[str, pa.Array]
    first: int
    rows: int
    malformed: Malformed = field(default_factory=Malformed)

    def number(self, row: int) -> int:
        """Number in the file of a row of the batch."""
        left_out = np.asarray(self.malformed.numbers)
        skipped = np.searchsorted(left_out - np.arange(len(left_out)), self.first + row, side="right")
        return self.first + row + int(skipped)


def read_batches(file: DataFile, wanted: list[str]) -> Iterator[Batch]:
    """Read some columns of a file.

    Raises:
        UserError: it cannot be read, or lacks a wanted column.
    """
    partition = dict(file.partition)
    stored = [c for c in wanted if c not in partition]
    try:
        read = _read_csv(file, stored) if file.format == "csv" else _read_parquet(file, stored)
        for batch in read:
            constants = {
                c: pa.repeat(pa.scalar(partition[c], pa.string()), batch.rows) for c in wanted if c in partition
            }
            yield Batch({**batch.columns, **constants}, batch.first, batch.rows, batch.malformed)
    except (pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error


def read_columns(file: DataFile, wanted: list[str]) -> dict[str, pa.Array]:
    """Read some columns of a small file whole.

    Raises:
        UserError: it cannot be read, lacks a wanted column, or has lines with too few or too many fields.
    """
    batches = list(read_batches(file, wanted))
    for text in (t for b in batches for t in b.malformed.texts):
        raise UserError(f"{file.path}: too few or too many fields in {text}; correct it")
    if not batches:
        return {c: pa.nulls(0, pa.string()) for c in wanted}
    return {c: pa.chunked_array([b.columns[c] for b in batches]).combine_chunks() for c in wanted}


def _read_parquet(file: DataFile, wanted: list[str]) -> Iterator[Batch]:
    with pq.ParquetFile(file.path) as parquet:
        check_columns(file, parquet.schema_arrow.names, wanted)
        first = 1
        for rows in parquet.iter_batches(BATCH_ROWS, columns=wanted):
            yield Batch({c: rows.column(c) for c in wanted}, first, rows.num_rows)
            first += rows.num_rows


def _read_csv(file: DataFile, wanted: list[str]) -> Iterator[Batch]:
    try:
        codecs.lookup(file.encoding)
    except LookupError:
        raise UserError(f"source.encoding: {file.encoding!r} is none; utf-8, latin-1 and cp1252 are some") from None
    names = list(file.header) or _csv_header(file)
    check_columns(file, names, wanted)
    malformed = Malformed()
    with pa.input_stream(str(file.path), compression="detect") as stream:
        if _is_blank(file):
            return
        reader = pa_csv.open_csv(
            stream,
            read_options=pa_csv.ReadOptions(
                # Threads would lose the numbers of malformed lines.
                use_threads=False,
                block_size=CSV_BLOCK_BYTES,
                column_names=names,
                skip_rows=0 if file.header else 1,
                encoding=file.encoding,
            ),
            parse_options=pa_csv.ParseOptions(delimiter=file.delimiter, invalid_row_handler=malformed.leave_out),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()),
                include_columns=wanted,
                strings_can_be_null=True,
                null_values=MISSING,
            ),
        )
        first = 1 if file.header else 2
        for rows in _gathered(reader):
            yield Batch({c: rows[c].combine_chunks() for c in wanted}, first, rows.num_rows, malformed)
            first += rows.num_rows
        if malformed.numbers:
            # Those at the end of the file, after the last whole batch.
            yield Batch({c: pa.nulls(0, pa.string()) for c in wanted}, first, 0, malformed)


def _gathered(reader: pa_csv.CSVStreamingReader) -> Iterator[pa.Table]:
    """Small blocks as larger tables: memory follows the blocks read ahead, the number of runs these."""
    pending: list[pa.RecordBatch] = []
    for rows in reader:
        pending.append(rows)
        if sum(p.num_rows for p in pending) >= BATCH_ROWS:
            yield pa.Table.from_batches(pending)
            pending = []
    if pending:
        yield pa.Table.from_batches(pending)


def _csv_header(file: DataFile) -> list[str]:
    with pa.input_stream(str(file.path), compression="detect") as stream:
        line = io.BufferedReader(stream).readline()
    if not line.strip():
        raise UserError(f"{file.path}: empty, without even a header line; write it again or remove it")
    text = line.decode("utf-8-sig" if file.encoding == "utf-8" else file.encoding)
    return [name.strip() for name in next(csv.reader([text], delimiter=file.delimiter))]


def _is_blank(file: DataFile) -> bool:
    """Whether nothing follows the header; Arrow takes that for an error, here it is a day without events."""
    with pa.input_stream(str(file.path), compression="detect") as stream:
        head = stream.read(1 << 16)
    body = head if file.header else head.partition(b"\n")[2]
    return len(head) < 1 << 16 and not body.strip()


def check_columns(file: DataFile, there: list[str], wanted: list[str]) -> None:
    """Refuse a file that lacks a wanted column, naming those it has and the likeliest one."""
    known = [*there, *dict(file.partition)]
    for name in wanted:
        if name not in known:
            lower = {k.lower(): k for k in known}
            close = difflib.get_close_matches(name.lower(), lower, n=1)
            hint = f" Did you mean {lower[close[0]]!r}?" if close else ""
            split = " Is the delimiter right (source.delimiter)?" if len(there) == 1 and file.format == "csv" else ""
            raise UserError(
                f"{file.path}: there is no column {name!r}; it has {', '.join(map(repr, known))}.{hint}{split}"
                " Name the columns of the file in the config, under source."
            )


def _unreadable(file: DataFile, error: Exception) -> UserError:
    reason = str(error).splitlines()[0]
    if "UTF8" in reason or "codec" in reason:
        return UserError(
            f"{file.path}: not {file.encoding}; set source.encoding to the encoding of the file ({reason})"
        )
    kind = "Parquet" if file.format == "parquet" else "CSV"
    return UserError(
        f"{file.path}: not readable as {kind}; it may be truncated or something else ({reason}). "
        "Write it again, or take it out of the folder."
    )
