"""Reads CSV files.

All is read as text: what a value means is decided in `tasks.sources.values`, which can then name the line.
"""

import codecs
import csv
import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv as pa_csv

from expectations.errors import UserError
from tasks.sources.reading import BATCH_ROWS, Batch, DataFile, Malformed, check_columns

CSV_BLOCK_BYTES = 4 << 20
"""Arrow reads up to 32 blocks ahead, so this bounds memory."""

MISSING = ["", "NULL", "null", "\\N"]


def read_csv(file: DataFile, wanted: list[str]) -> Iterator[Batch]:
    """The wanted columns as text, in bounded memory."""
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
        first = file.first_row
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
