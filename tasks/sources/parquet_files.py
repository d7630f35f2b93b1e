"""Reads Parquet files."""

from collections.abc import Iterator

import pyarrow.parquet as pq

from tasks.sources.reading import BATCH_ROWS, Batch, DataFile, check_columns


def read_parquet(file: DataFile, wanted: list[str]) -> Iterator[Batch]:
    """The wanted columns, in bounded memory."""
    with pq.ParquetFile(file.path) as parquet:
        check_columns(file, parquet.schema_arrow.names, wanted)
        first = 1
        for rows in parquet.iter_batches(BATCH_ROWS, columns=wanted):
            yield Batch({c: rows.column(c) for c in wanted}, first, rows.num_rows, records=parquet.metadata.num_rows)
            first += rows.num_rows
