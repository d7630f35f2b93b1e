"""Reads Parquet files."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.sources.reading import BATCH_ROWS, Batch, DataFile, check_columns
from tasks.sources.streams import raw_chunks


def read_parquet(file: DataFile, wanted: list[str]) -> Iterator[Batch]:
    """The wanted columns, in bounded memory, but for a file in an archive."""
    if not file.entry and not file.path.stat().st_size:
        yield Batch({c: pa.nulls(0, pa.string()) for c in wanted}, 1, 0, notes=("there is nothing in it",))
        return
    content = pa.BufferReader(b"".join(raw_chunks(file.path, file.entry))) if file.entry else file.path
    with pq.ParquetFile(content) as parquet:
        check_columns(file, parquet.schema_arrow.names, wanted)
        first = 1
        for rows in parquet.iter_batches(BATCH_ROWS, columns=wanted):
            yield Batch({c: rows.column(c) for c in wanted}, first, rows.num_rows, records=parquet.metadata.num_rows)
            first += rows.num_rows
