"""Rows a second from a log into parsed days, beside bare PyArrow and pandas on the same files in the same run.

python -m benchmarks.reading --rows 2000000
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from tasks.sources.config import SourceConfig, TextFile
from tasks.sources.formats import CSV, PARQUET
from tasks.sources.reading import DataFile, read_batches
from tasks.sources.scan import scan

COLUMNS = ["user", "item", "time"]
PIECE_ROWS = 1_000_000


def write_logs(folder: Path, rows: int) -> dict[str, Path]:
    """The same log as CSV, as CSV with a quoted title, and as Parquet: 100,000 users, 20,000 items, 200 days."""
    paths = {name: folder / f"log.{name}" for name in ("csv", "quoted.csv", "parquet")}
    generator = np.random.default_rng(0)
    schema = pa.schema([("user", pa.int64()), ("item", pa.int64()), ("rating", pa.float64()), ("time", pa.int64())])
    titled = schema.append(pa.field("title", pa.string()))
    plain = pa_csv.WriteOptions(quoting_style="none")
    with (
        pa_csv.CSVWriter(paths["csv"], schema, write_options=plain) as as_csv,
        pa_csv.CSVWriter(paths["quoted.csv"], titled) as as_quoted,
        pq.ParquetWriter(paths["parquet"], schema) as as_parquet,
    ):
        for start in range(0, rows, PIECE_ROWS):
            count = min(PIECE_ROWS, rows - start)
            item = generator.integers(0, 20_000, count)
            first = 1_500_000_000 + 86_400 * 200 * start // rows
            columns = {
                "user": generator.integers(0, 100_000, count),
                "item": item,
                "rating": generator.integers(1, 11, count) / 2,
                "time": np.sort(first + generator.integers(0, max(1, 86_400 * 200 * count // rows), count)),
            }
            table = pa.table(columns, schema=schema)
            as_csv.write_table(table)
            as_parquet.write_table(table)
            as_quoted.write_table(table.append_column("title", pa.array([f'Film "{i}", the' for i in item.tolist()])))
    return paths


def with_pyarrow(path: Path) -> int:
    """Rows that bare PyArrow reads."""
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            return sum(batch.num_rows for batch in file.iter_batches(columns=COLUMNS))
    options = pa_csv.ConvertOptions(include_columns=COLUMNS)
    return sum(batch.num_rows for batch in pa_csv.open_csv(path, convert_options=options))


def with_pandas(path: Path) -> int:
    """Rows that pandas reads, a piece at a time."""
    import pandas as pd

    if path.suffix == ".parquet":
        return len(pd.read_parquet(path, columns=COLUMNS))
    return sum(len(piece) for piece in pd.read_csv(path, usecols=COLUMNS, chunksize=PIECE_ROWS))


def with_readers(path: Path) -> int:
    """Rows that Nightjar's own reader reads, dialect and independent count with it."""
    format_ = PARQUET if path.suffix == ".parquet" else CSV
    return sum(batch.rows for batch in read_batches(DataFile(path, path.name, format_, TextFile()), COLUMNS))


def with_scan(path: Path) -> int:
    """Rows of a whole scan: read, checked, sorted, cut into days, given ids, kept in a scratch of its own."""
    with tempfile.TemporaryDirectory() as home:
        found = scan(SourceConfig(kind="table", path=str(path)), Path(home), "2026-01-01")
    return sum(found.rows.values())


WAYS: dict[str, Callable[[Path], int]] = {
    "pyarrow": with_pyarrow,
    "pandas": with_pandas,
    "reader": with_readers,
    "scan": with_scan,
}


@click.command(help=__doc__)
@click.option("--rows", default=2_000_000, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--repeat", default=2, show_default=True, help="The fastest of so many counts.", type=click.IntRange(min=1)
)
def main(rows: int, repeat: int) -> None:
    """Write the logs aside, and read each in every way."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_logs(Path(folder), rows)
        click.echo("| million rows a second | " + " | ".join(WAYS) + " |\n|---|" + "---:|" * len(WAYS))
        for name, path in paths.items():
            figures = []
            for way in WAYS.values():
                seconds = []
                for _ in range(repeat):
                    begin = time.perf_counter()
                    way(path)
                    seconds.append(time.perf_counter() - begin)
                figures.append(f"{rows / min(seconds) / 1e6:.2f}")
            click.echo(f"| {name}, {path.stat().st_size / 1e6:,.0f} MB | " + " | ".join(figures) + " |")


if __name__ == "__main__":
    main()
