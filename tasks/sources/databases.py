"""Logs, users and items in a database: fetched in one transaction, streamed into scratch as Parquet, a file a day.

    <home>/scratch/databases/<table or query>/<day>-<digest>/rows.parquet

From there on it is a log of files. A day whose rows are the same is the same file, which is not parsed again.
"""

import difflib
import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import date
from itertools import chain, groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    NoSuchModuleError,
    NotSupportedError,
    ProgrammingError,
    SQLAlchemyError,
)

from expectations.errors import Failure, UserError
from expectations.files import place
from expectations.passwords import redacted
from tasks.machine.scratch import aside, sweep
from tasks.sources.config import FileBeside, ItemsFile, LogFile, SourceConfig, UsersFile
from tasks.sources.data_files import Found
from tasks.sources.database_values import as_array
from tasks.sources.days import iso_day
from tasks.sources.discovery import Source
from tasks.sources.formats import PARQUET
from tasks.sources.parsed_files import EPOCH
from tasks.sources.reading import DataFile
from tasks.sources.tables import BESIDE, beside, files_beside, listed_source
from tasks.sources.times import as_micros, time_form
from tasks.sources.values import MICROS_PER_DAY

FETCH_ROWS = 50_000
"""Rows that are held as Python values at a time."""

ROWS = "rows.parquet"

_LAST_DAY = (date.max - EPOCH).days
_VARIABLE = re.compile(r"\$\{(\w+)\}")

_PACKAGES = {
    "mysql": "pymysql, and write mysql+pymysql://", "mssql": "pyodbc", "oracle": "oracledb, and write oracle+oracledb://",
    "duckdb": "duckdb-engine", "snowflake": "snowflake-sqlalchemy", "bigquery": "sqlalchemy-bigquery",
    "redshift": "sqlalchemy-redshift", "clickhouse": "clickhouse-sqlalchemy", "trino": "trino",
    "databricks": "databricks-sqlalchemy",
}  # fmt: skip
"""What speaks to databases that SQLAlchemy does not speak to by itself."""


def find_sql(config: SourceConfig, home: Path) -> Source:
    """Fetch a log from a database, and its users and items where they are there too.

    Raises:
        UserError: the database does not answer, there is no such table or column, the query is wrong.
        Failure: it broke off while it was read.
    """
    if config.path or config.snapshot:
        raise UserError("source.path and source.snapshot are for files; leave them out, or set source.kind to table")
    url = _url(config.url)
    named = _named(url)
    columns = config.columns
    names = list(dict.fromkeys(name for name in vars(columns).values() if name))
    of_items = config.impressions.table or config.impressions.query
    if of_items and not (config.impressions.shown or config.impressions.position):
        raise UserError(
            "source.impressions: a database keeps no order of rows; name the column of the place (position), or of a "
            "list (shown)"
        )
    with _transaction(url, named) as connection:
        fetching = _Fetching(connection, named, home / "scratch" / "databases", config)
        logs = Found(())
        if not config.clicks_are_plays:
            logs = Found(fetching.fetch("source", config, names, [columns.time, columns.user, columns.item]))
        found = {key: _beside(fetching, f"source.{key}", getattr(config, key), config) for key in BESIDE}
    return listed_source(named, logs, found, config)


def _beside(fetching: "_Fetching", key: str, of: UsersFile | ItemsFile | LogFile, config: SourceConfig) -> Found:
    if of.table or of.query:
        if of.path:
            named = f"{key}.{'table' if of.table else 'query'}"
            raise UserError(f"{key}.path and {named} are both set; keep the one where its rows are")
        names, order = (of.names, [of.time, of.user]) if isinstance(of, LogFile) else (_listed(of), [of.id])
        return Found(fetching.fetch(key, of, names, order))
    path = beside(Path.cwd(), f"{key}.path", of.path)
    return files_beside(path, of, config, key) if path else Found(())


def _listed(of: UsersFile | ItemsFile) -> list[str]:
    """Columns of users or items that are read, each once."""
    own = {"separator", "date_format", *(f.name for f in fields(FileBeside))}
    return list(dict.fromkeys(value for name, value in vars(of).items() if value and name not in own))


# --- the URL -------------------------------------------------------------------------------------------------------


def _url(text: str) -> sa.URL:
    """The URL with the values of environment variables in it."""
    if not text:
        raise UserError("source.url is not set; say where the database is: --set 'source.url=${DATABASE_URL}'")
    whole = _VARIABLE.fullmatch(text)
    try:
        url = sa.make_url(_value(whole[1]) if whole else text)
        parts: dict[str, Any] = {n: getattr(url, n) for n in ("username", "password", "host", "database")}
        filled: dict[str, Any] = {n: _VARIABLE.sub(lambda m: _value(m[1]), v) for n, v in parts.items() if v}
        return url.set(**filled)
    except (ArgumentError, ValueError):
        raise UserError(
            "source.url is no URL of a database; write postgresql://user@host/name or sqlite:////folder/file.db"
        ) from None


def _value(variable: str) -> str:
    if not os.environ.get(variable):
        raise UserError(f"source.url: the environment variable {variable} is not set; set it where the night runs")
    return os.environ[variable]


def _named(url: sa.URL) -> str:
    """The URL without its password, nor anything else behind its path that may be secret."""
    return sa.URL.create(url.drivername, url.username, None, url.host, url.port, url.database).render_as_string()


@contextmanager
def _transaction(url: sa.URL, named: str) -> Iterator[sa.Connection]:
    """A connection whose every query sees the database as it is now."""
    engine = _engine(url, named)
    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise UserError(
            f"source.url: {named} does not answer ({_reason(error, url)}); start it, or correct the URL"
        ) from None
    try:
        with connection:
            _begin(connection)
            yield connection
    except DBAPIError as error:
        raise Failure(f"{named} broke off while it was read ({_reason(error, url)}); run again") from None
    finally:
        engine.dispose()


def _engine(url: sa.URL, named: str) -> sa.Engine:
    name = url.get_backend_name()
    try:
        if url.get_dialect().is_async:
            raise UserError(f"source.url: {url.drivername} is for asyncio; write {name}:// instead")
        if name == "sqlite" and url.database and ":" not in url.database and not Path(url.database).is_file():
            raise UserError(f"source.url: {url.database} does not exist; give the path of a SQLite file")
        return sa.create_engine(url, poolclass=sa.NullPool)
    except (NoSuchModuleError, ImportError) as error:
        missing = error.name if isinstance(error, ImportError) and error.name else ""
        package = _PACKAGES.get(name, missing or "the SQLAlchemy dialect of this database")
        remedy = "write postgresql:// instead" if name == "postgres" else f"install {package}"
        raise UserError(f"source.url: nothing is installed that speaks to {url.drivername}; {remedy}") from None


def _begin(connection: sa.Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN")  # its driver would begin one for changes alone
        return
    assert connection.connection.dbapi_connection is not None
    there = connection.dialect.get_isolation_level_values(connection.connection.dbapi_connection)
    consistent = [level for level in ("REPEATABLE READ", "SNAPSHOT", "SERIALIZABLE") if level in there]
    if consistent:
        connection.execution_options(isolation_level=consistent[0])


def _reason(error: DBAPIError, url: sa.URL) -> str:
    """What the database says, in one line, without the password."""
    lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
    said = redacted(" ".join(lines[0].split()))
    secrets = [str(url.password or "")]
    for name, values in url.normalized_query.items():
        secrets += values if redacted(f"?{name}=x") != f"?{name}=x" else ()
    for secret in filter(None, secrets):
        said = said.replace(secret, "***")
    return said


def _is_refused(error: DBAPIError) -> bool:
    """Whether the database does not do what it is asked for, however often that is."""
    refused = isinstance(error, ProgrammingError | DataError | NotSupportedError)
    return refused or getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


# --- tables and queries --------------------------------------------------------------------------------------------


class _Fetching:
    """What is fetched in one transaction."""

    def __init__(self, connection: sa.Connection, named: str, scratch: Path, config: SourceConfig) -> None:
        self.connection, self.named, self.scratch, self.config = connection, named, scratch, config

    def fetch(
        self, key: str, of: SourceConfig | UsersFile | ItemsFile | LogFile, wanted: list[str], order: list[str]
    ) -> tuple[DataFile, ...]:
        """Fetch some columns of a table or query, in order of others.

        Args:
            order: columns; the first of a log is its time, of which each day becomes a file.
        """
        if bool(of.table) == bool(of.query):
            raise UserError(f"{key}: set either {key}.table or {key}.query, which say what is read from {self.named}")
        what = of.table or "the query"
        relation = self._relation(key, of.table, of.query)
        there = self._columns(key, what, relation, of.table)
        for name in wanted:
            if name not in there:
                raise _no_such_column(key, what, self.named, name, there)
        selected, by = (", ".join(map(self._quoted, names)) for names in (wanted, order))
        folder = self.scratch / hashlib.sha256(f"{self.named} {relation} {wanted}".encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        time = "" if isinstance(of, UsersFile | ItemsFile) else order[0]
        with self._refusals(f"{key}.{'table' if of.table else 'query'}"):
            rows = self._ask(
                f"SELECT {selected} FROM {relation} ORDER BY {by}", stream_results=True, max_row_buffer=FETCH_ROWS
            )
            batches = (_record_batch(wanted, some) for some in rows.partitions(FETCH_ROWS))
            form = self.config.time_form(of if isinstance(of, LogFile) else None)
            files = tuple(_staged(folder, what, _by_day(batches, time, form, f"{what}: column {time!r}")))
        sweep(folder, {file.path.parent.name for file in files})
        if not files:
            raise UserError(f"{key}: {what} of {self.named} has no rows; give one that has")
        return files

    @contextmanager
    def _refusals(self, setting: str) -> Iterator[None]:
        """What a database refuses while rows are read, such as an order that a type does not have, it always will."""
        try:
            yield
        except DBAPIError as error:
            if not _is_refused(error):
                raise
            reason = _reason(error, self.connection.engine.url)
            raise UserError(f"{setting} is refused by {self.named} ({reason}); correct it") from None

    def _relation(self, key: str, table: str, query: str) -> str:
        """What stands behind FROM."""
        if table:
            return ".".join(map(self._quoted, table.split(".")))
        return f"({query.strip().rstrip(';')}\n) AS log"

    def _quoted(self, name: str) -> str:
        by = self.connection.dialect.identifier_preparer
        return f"{by.initial_quote}{name.replace(by.escape_quote, by.escape_quote * 2)}{by.final_quote}"

    def _ask(self, sql: str, **options: Any) -> sa.CursorResult[Any]:
        # Without parameters, as some drivers would take a `%` in a query for one.
        return self.connection.exec_driver_sql(sql, execution_options={"no_parameters": True, **options})

    def _columns(self, key: str, what: str, relation: str, table: str) -> list[str]:
        try:
            with self.connection.begin_nested():  # so that an error leaves the transaction as it was
                return list(self._ask(f"SELECT * FROM {relation} WHERE 1 = 0").keys())
        except DBAPIError as error:
            reason = _reason(error, self.connection.engine.url)
            if not table:
                raise UserError(f"{key}.query is refused by {self.named} ({reason}); correct it") from None
            there = self._tables(table.rpartition(".")[0] or None)
            has = f"it has {', '.join(there[:20])}" if there else "it has none"
            raise UserError(
                f"{key}.table: {what} cannot be read from {self.named} ({reason}); {has}; name one of them"
            ) from None

    def _tables(self, schema: str | None) -> list[str]:
        try:
            look = sa.inspect(self.connection)
            return sorted([*look.get_table_names(schema), *look.get_view_names(schema)])
        except SQLAlchemyError:  # the names are a help, and no more
            return []


def _no_such_column(key: str, what: str, named: str, name: str, there: list[str]) -> UserError:
    close = difflib.get_close_matches(name.lower(), {t.lower(): t for t in there}, n=1)
    hint = f" Did you mean {next(t for t in there if t.lower() == close[0])!r}?" if close else ""
    columns = f"{key}.columns" if key == "source" else key
    return UserError(
        f"{key}: {what} of {named} has no column {name!r}; it has {', '.join(map(repr, there))}.{hint} "
        f"Name its columns in the config, under {columns}."
    )


def _record_batch(names: list[str], rows: Sequence[sa.Row[Any]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    return pa.record_batch([as_array(column) for column in columns], names=names)


# --- files a day ---------------------------------------------------------------------------------------------------


def _by_day(
    batches: Iterator[pa.RecordBatch], time: str, unit: str, where: str
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Rows in their order, cut where another day begins; a row without a time goes with those before it."""
    day = 0
    for batch in batches:
        if not time:
            yield "all", batch
            continue
        values = batch.column(time)
        micros, bad = as_micros(values, time_form(values, unit, where), where)
        last = np.maximum.accumulate(np.where(bad, -1, np.arange(len(bad))))
        days = np.where(last < 0, day, micros[last] // MICROS_PER_DAY)
        cuts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
        for start, stop in pairwise(cuts):
            day = int(days[start])
            yield iso_day(min(max(day, 0), _LAST_DAY)), batch.slice(start, stop - start)


def _of_one_type(
    pieces: Iterator[tuple[str, pa.RecordBatch]],
) -> Iterator[tuple[tuple[str, int], pa.RecordBatch]]:
    """The same with the number of its file among those of a day: values of another type begin another file."""
    day, number, schema = "", 0, pa.schema([])
    for next_day, rows in pieces:
        columns = [
            pa.nulls(rows.num_rows, f.type) if f and c.null_count == rows.num_rows else c
            for c, f in zip(rows.columns, schema if next_day == day else [None] * rows.num_columns, strict=True)
        ]
        rows = pa.record_batch(columns, names=rows.schema.names)
        number = number + 1 if next_day == day and rows.schema != schema else 0 if next_day != day else number
        day, schema = next_day, rows.schema
        yield (day, number), rows


def _staged(folder: Path, what: str, pieces: Iterator[tuple[str, pa.RecordBatch]]) -> Iterator[DataFile]:
    """Write the rows of each day to a file; one that is there already stays as it is."""
    for (day, _), run in groupby(_of_one_type(pieces), key=lambda piece: piece[0]):
        with aside(folder) as writing:
            _, first = next(run)
            with pq.ParquetWriter(writing / ROWS, first.schema, compression="zstd") as writer:
                for rows in chain([first], (rows for _, rows in run)):
                    writer.write_batch(rows)
            with (writing / ROWS).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
            target = folder / f"{day}-{digest}"
            place(writing, target, ROWS)
        yield DataFile(target / ROWS, f"{what} {day}", PARQUET)
