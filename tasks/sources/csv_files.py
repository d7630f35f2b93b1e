"""Reads CSV files.

All is read as text: what a value means is decided in `tasks.sources.values`, which can then name the line.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from expectations.errors import UserError
from tasks.sources.dialects import (
    STAND_IN,
    Dialect,
    find_dialect,
    in_words,
    is_value,
    looks_like_data,
    reasons,
    text_of,
)
from tasks.sources.quote_grammar import Grammar, without_escapes
from tasks.sources.reading import BATCH_ROWS, Batch, DataFile, Malformed, check_columns
from tasks.sources.streams import Pieces

CSV_BLOCK_BYTES = 4 << 20
"""Arrow reads up to 32 blocks ahead, so this bounds memory."""

MISSING = ["", "NULL", "null", "\\N"]


def read_csv(file: DataFile, wanted: list[str]) -> Iterator[Batch]:
    """The wanted columns as text, in bounded memory."""
    dialect = find_dialect(file, wanted)
    if dialect is None:
        yield Batch({c: pa.nulls(0, pa.string()) for c in wanted}, 1, 0, notes=("there is nothing in it",))
        return
    _refuse_headless(file, dialect, wanted)
    check_columns(file, dialect.names, wanted)
    notes = (f"read as {in_words(dialect)}: {reasons(dialect)}",) if reasons(dialect) else ()
    malformed, count = Malformed("record" if dialect.multiline else "line"), dialect.records
    if not dialect.records:
        yield Batch({c: pa.nulls(0, pa.string()) for c in wanted}, 1, 0, malformed, notes, count)
        return
    first = file.first_row
    with pa.PythonFile(Pieces(_plain(file, dialect)), mode="r") as stream:
        reader = _reader(stream, dialect, wanted, malformed)
        for rows in _gathered(reader):
            columns = _columns(rows, dialect, wanted)
            yield Batch(columns, first, rows.num_rows, malformed, notes, count, delimiter=dialect.delimiter)
            first += rows.num_rows
    if malformed.numbers:
        # Those at the end of the file, after the last whole batch.
        yield Batch({c: pa.nulls(0, pa.string()) for c in wanted}, first, 0, malformed, notes, count)


def _refuse_headless(file: DataFile, dialect: Dialect, wanted: list[str]) -> None:
    """Refuse a first line of data where names are expected: it would be lost, and who forgot the header is told.

    Raises:
        UserError: it has numbers or times where a wanted column should be named.
    """
    missing = [name for name in wanted if name not in dialect.names and name not in dict(file.partition)]
    if dialect.skipped and (any(map(is_value, wanted)) or (missing and looks_like_data(dialect.names))):
        shown = ", ".join(repr(name[:40]) for name in dialect.names[:8])
        raise UserError(
            f"{file.where}: its first line is {shown}, which looks like data. No header? Name all"
            f" {len(dialect.names)} columns of the file in order, as in {file.key}.header: [user, item, time, ...]"
        )


def _plain(file: DataFile, dialect: Dialect) -> Iterator[bytes]:
    """The text in a grammar that Arrow knows."""
    chunks = text_of(file, dialect.encoding, dialect.mark, dialect.delimiter)
    if not dialect.quote or not dialect.escape or dialect.escapes_everywhere:
        return chunks
    return without_escapes(chunks, Grammar(ord(dialect.byte), ord(dialect.quote), ord(dialect.escape)))


def _reader(
    stream: pa.PythonFile, dialect: Dialect, wanted: list[str], malformed: Malformed
) -> pa_csv.CSVStreamingReader:
    # By place: a name may be there twice, or be none.
    places = [str(dialect.names.index(name)) for name in wanted]
    return pa_csv.open_csv(
        stream,
        read_options=pa_csv.ReadOptions(
            # Threads would lose the numbers of malformed lines.
            use_threads=False,
            block_size=CSV_BLOCK_BYTES,
            column_names=[str(place) for place in range(len(dialect.names))],
            skip_rows=dialect.skipped,
        ),
        parse_options=pa_csv.ParseOptions(
            delimiter=dialect.byte,
            quote_char=dialect.quote or False,
            escape_char=(dialect.escapes_everywhere and dialect.escape) or False,
            newlines_in_values=dialect.multiline,
            invalid_row_handler=malformed.leave_out,
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(places, pa.string()),
            include_columns=places,
            strings_can_be_null=True,
            null_values=MISSING,
        ),
    )


def _columns(rows: pa.Table, dialect: Dialect, wanted: list[str]) -> dict[str, pa.Array]:
    columns = {c: rows[str(dialect.names.index(c))].combine_chunks() for c in wanted}
    if dialect.byte == STAND_IN != dialect.delimiter:
        return {c: pc.replace_substring(v, STAND_IN, dialect.delimiter) for c, v in columns.items()}
    return columns


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
