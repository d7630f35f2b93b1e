"""CSV and Parquet files as batches of the wanted columns, in bounded memory, with every error in words for people.

Text formats are read as text: what a value means is decided in `tasks.sources.values`, which can then name the line.
"""

import csv
import difflib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from expectations.errors import UserError

CSV_BLOCK_BYTES = 16 << 20
PARQUET_BATCH_ROWS = 500_000
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
        """What a row number counts: lines of a text file, header included, or rows of a Parquet file from 1."""
        return "line" if self.format == "csv" else "row"


@dataclass(frozen=True)
class Batch:
    """Some rows of a file.

    Attributes:
        columns: name in the file -> values.
        first: number of its first row, as `DataFile.row_word` counts.
        malformed: lines left out before its end, because they have too few or too many fields.
    """

    columns: dict[str, pa.Array]
    first: int
    rows: int
    malformed: list[tuple[int, str]] = field(default_factory=list)


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
    except (pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowNotImplementedError, OSError) as error:
        raise _unreadable(file, error) from error


def read_columns(file: DataFile, wanted: list[str]) -> dict[str, pa.Array]:
    """Read some columns of a small file whole.

    Raises:
        UserError: it cannot be read, lacks a wanted column, or has lines with too few or too many fields.
    """
    batches = list(read_batches(file, wanted))
    for line, text in (m for b in batches for m in b.malformed):
        raise UserError(f"{file.path}: line {line} has too few or too many fields: {text!r}; correct it")
    return {c: pa.chunked_array([b.columns[c] for b in batches]).combine_chunks() for c in wanted} if batches else {}


def _read_parquet(file: DataFile, wanted: list[str]) -> Iterator[Batch]:
    with pq.ParquetFile(file.path) as parquet:
        check_columns(file, parquet.schema_arrow.names, wanted)
        first = 1
        for rows in parquet.iter_batches(PARQUET_BATCH_ROWS, columns=wanted):
            yield Batch({c: rows.column(c) for c in wanted}, first, rows.num_rows)
            first += rows.num_rows


def _read_csv(file: DataFile, wanted: list[str]) -> Iterator[Batch]:
    names = list(file.header) or _csv_header(file)
    check_columns(file, names, wanted)
    malformed: list[tuple[int, str]] = []

    def leave_out(row: pa_csv.InvalidRow) -> str:
        malformed.append((int(row.number or 0), row.text[:80]))
        return "skip"

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
            parse_options=pa_csv.ParseOptions(delimiter=file.delimiter, invalid_row_handler=leave_out),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()),
                include_columns=wanted,
                strings_can_be_null=True,
                null_values=MISSING,
            ),
        )
        first = 1 if file.header else 2
        for rows in reader:
            new, malformed[:] = list(malformed), []
            yield Batch({c: rows.column(c) for c in wanted}, first, rows.num_rows, new)
            first += rows.num_rows + len(new)


def _csv_header(file: DataFile) -> list[str]:
    with pa.input_stream(str(file.path), compression="detect") as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig" if file.encoding == "utf-8" else file.encoding)
        try:
            return [name.strip() for name in next(csv.reader(text, delimiter=file.delimiter))]
        except StopIteration:
            raise UserError(f"{file.path}: empty, without even a header line; write it again or remove it") from None
        except (UnicodeDecodeError, LookupError) as error:
            raise UserError(f"{file.path}: {error}; set source.encoding to the encoding of the file") from error


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
