"""Looks at data that nobody has described: which tables there are, what they are taken for and why, and the settings
that read them so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations.errors import UserError
from tasks.sources.column_roles import ITEMS, USERS, Roles, by_name, numbers_of, roles_of_log
from tasks.sources.config import SourceConfig, TextFile
from tasks.sources.dialects import Dialect, find_dialect, in_words, looks_like_data, reasons
from tasks.sources.discovery import find_root
from tasks.sources.finding import find_files
from tasks.sources.formats import CSV, JSON, NETFLIX, PARQUET
from tasks.sources.json_files import names_in
from tasks.sources.movielens import is_movielens
from tasks.sources.netflix_files import NAMES
from tasks.sources.reading import DataFile, read_batches
from tasks.sources.values import as_ids

SAMPLE_ROWS = 100_000
LEAST_IN_COMMON = 0.2
"""Share of the ids of a sample that a table of users or items and the log have in common, if they belong together."""

_LIKED_FROM = {1.0: 1.0, 5.0: 4.0, 10.0: 7.0, 100.0: 70.0}
"""Largest rating of a scale -> from where on people are said to like something."""


@dataclass(frozen=True)
class Table:
    """Files with the same columns.

    Attributes:
        sample: all columns of the first rows of the first file; names from the settings where there are none in it.
        dialect: how the first file is cut, if it is text.
    """

    files: tuple[DataFile, ...]
    sample: pa.Table
    dialect: Dialect | None = None
    header: tuple[str, ...] = ()

    @property
    def num_bytes(self) -> int:
        return sum(file.path.stat().st_size for file in self.files)

    @property
    def name(self) -> str:
        first = self.files[0].name
        return first if len(self.files) == 1 else f"{len(self.files)} files such as {first}"


@dataclass(frozen=True)
class Inspection:
    """What was found at a place.

    Attributes:
        source: the settings of `source` that read it.
        lines: what things are taken for, and why.
        warnings: what somebody should look at.
    """

    source: dict[str, Any]
    lines: tuple[str, ...]
    warnings: tuple[str, ...]


def inspect(path: str, given: Mapping[str, str] | None = None) -> Inspection:
    """Look at what lies at a path.

    Args:
        given: settings of `source.columns` that are known.

    Raises:
        UserError: there is no data, or nothing that is a log.
    """
    root = find_root(SourceConfig(kind="table", path=path))
    if is_movielens(root):
        return Inspection(
            {"kind": "movielens", "path": str(root), "positive_min_rating": 4.0},
            (f"{root}: a MovieLens set as GroupLens packs it", "positives: ratings of 4 and more, of 5"),
            (),
        )
    tables = _tables(root)
    roles = {n: roles_of_log(table.sample, given or {}) for n, table in enumerate(tables)}
    logs = [n for n, one in roles.items() if one.is_log]
    if not logs:
        raise UserError(_no_log(root, tables, roles))
    # By names rather than by guesses; of several the largest, as there are more events than things.
    chosen = max(logs, key=lambda n: (-len(roles[n].guessed), tables[n].num_bytes))
    log, role = tables[chosen], roles[chosen]
    found = _Findings(root)
    found.tell_log(log, role)
    others = [table for n, table in enumerate(tables) if n != chosen]
    for kind, known in (("items", ITEMS), ("users", USERS)):
        listing = _listing(others, log.sample[role.columns[kind[:-1]]], known)
        if listing:
            others.remove(listing)
            found.tell_listing(kind, listing, known)
    found.tell_rest(log, others)
    return Inspection(found.source, tuple(found.lines), tuple(found.warnings))


# --- tables --------------------------------------------------------------------------------------------------------


def _tables(root: Path) -> list[Table]:
    """The files at a place by the columns that they have, each with a sample."""
    groups: dict[tuple[str, ...], list[DataFile]] = {}
    dialects: dict[tuple[str, ...], Dialect | None] = {}
    for file in find_files(root, TextFile(), "source", strict=False, mixed=True).files:
        names, dialect = _columns(file)
        if not names:
            continue
        key = tuple(sorted(names)) if not _is_headless(dialect) else ("", str(len(names)), file.path.suffix)
        groups.setdefault(key, []).append(file)
        dialects.setdefault(key, dialect)
    return [_table(tuple(files), dialects[key]) for key, files in groups.items()]


def _columns(file: DataFile) -> tuple[list[str], Dialect | None]:
    """Names of the columns of a file, none if it has no rows."""
    partition = [name for name, _ in file.partition]
    if file.member:
        return [column.name for column in file.member.columns], None
    if file.format == CSV:
        dialect = find_dialect(file)
        return ([*dialect.names, *partition], dialect) if dialect else ([], None)
    if file.format == JSON:
        return [*names_in(file), *partition], None
    if file.format == NETFLIX:
        return list(NAMES), None
    if file.format == PARQUET and not file.entry:
        return [*pq.read_schema(file.path).names, *partition], None
    return [], None


def _is_headless(dialect: Dialect | None) -> bool:
    return dialect is not None and looks_like_data(dialect.names)


def _table(files: tuple[DataFile, ...], dialect: Dialect | None) -> Table:
    first = files[0]
    header: tuple[str, ...] = ()
    names, _ = _columns(first)
    if dialect and _is_headless(dialect):
        header = tuple(f"column_{n}" for n in range(1, len(dialect.names) + 1))
        first = DataFile(first.path, first.name, first.format, TextFile(header=header), first.key, first.entry)
        names, dialect = list(header), find_dialect(first)
    wanted = [name for name in dict.fromkeys(names) if name and names.count(name) == 1]
    batch = next(iter(read_batches(first, wanted)), None)
    columns = {name: batch.columns[name][:SAMPLE_ROWS] for name in wanted} if batch else {}
    return Table(files, pa.table(columns), dialect, header)


def _listing(others: Sequence[Table], ids: pa.ChunkedArray, known: Mapping[str, str]) -> Table | None:
    """The table that lists the things of a column of the log: its ids are theirs, one row each."""
    logged = _texts(ids)
    best, common = None, LEAST_IN_COMMON
    for table in others:
        column = by_name(table.sample.column_names, known).get("id")
        if column is None:
            continue
        listed = _texts(table.sample[column])
        if len(listed) < 0.9 * table.sample.num_rows:
            continue
        both = len(np.intersect1d(listed, logged)) / max(1, min(len(listed), len(logged)))
        if both > common:
            best, common = table, both
    return best


def _texts(ids: pa.ChunkedArray) -> np.ndarray:
    try:
        found = as_ids(ids.combine_chunks(), "ids")
    except UserError:
        return np.empty(0, dtype=object)
    return np.unique(found.drop_null().to_numpy(zero_copy_only=False).astype(str))


def _no_log(root: Path, tables: Sequence[Table], roles: Mapping[int, Roles]) -> str:
    if not tables:
        return f"{root}: there are no rows in it; give a log of who did what and when"
    nearest = max(roles, key=lambda n: len({"user", "item", "time"} & set(roles[n].columns)))
    missing = [kind for kind in ("user", "item", "time") if kind not in roles[nearest].columns]
    names = ", ".join(map(repr, tables[nearest].sample.column_names))
    asked = " ".join(f"--{kind} COLUMN" for kind in missing)
    return (
        f"{root}: no column of {tables[nearest].name} looks like the {' and the '.join(missing)} of an event; "
        f"it has {names}. Name it: {asked}"
    )


# --- what is told --------------------------------------------------------------------------------------------------


@dataclass
class _Findings:
    """Settings and sentences so far."""

    root: Path
    source: dict[str, Any] = field(default_factory=lambda: {"kind": "table"})
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def tell_log(self, log: Table, role: Roles) -> None:
        alone = len(log.files) == 1 and self.root.is_dir() and not log.files[0].member and not log.files[0].entry
        self.source["path"] = str(log.files[0].path if alone else self.root)
        self.lines.append(f"{log.name}: the log, {_format(log)}")
        self._tell_header(log, role)
        names = {column: kind for kind, column in role.columns.items()} if log.header else {}
        columns = {kind: names.get(column, column) for kind, column in role.columns.items()}
        defaults = {"user": "user", "item": "item", "time": "time"}
        changed = {kind: column for kind, column in columns.items() if defaults.get(kind) != column}
        if changed:
            self.source["columns"] = changed
        for kind, column in role.columns.items():
            why = "by its values" if kind in role.guessed else "by its name"
            self.lines.append(f"  {kind}: {column!r}, {why}{_example(log.sample[column])}")
        self._tell_rating(log, role)
        if "completion" in role.columns:
            self.lines.append(
                "  positives: every event; source.positive_min_completion=0.5 counts half watched ones alone"
            )
        unused = [name for name in log.sample.column_names if name not in role.columns.values()]
        if unused:
            self.lines.append(f"  not used: {', '.join(map(repr, unused))}")

    def _tell_header(self, log: Table, role: Roles) -> None:
        if not log.header:
            return
        names = {column: kind for kind, column in role.columns.items()}
        self.source["header"] = [names.get(column, column) for column in log.header]
        self.warnings.append(
            f"The first line of {log.files[0].name} has no names; its columns were guessed: look at source.header"
        )

    def _tell_rating(self, log: Table, role: Roles) -> None:
        if "rating" not in role.columns:
            return
        numbers = numbers_of(log.sample[role.columns["rating"]])
        if not len(numbers):
            return
        low, high = float(numbers.min()), float(numbers.max())
        self.lines.append(
            f"  ratings: {low:g} to {high:g}, {len(np.unique(numbers))} different, median {np.median(numbers):g}"
        )
        if high in _LIKED_FROM and low < high:
            self.source["positive_min_rating"] = _LIKED_FROM[high]
            self.lines.append(f"  positives: ratings of {_LIKED_FROM[high]:g} and more")
        else:
            self.warnings.append("No usual scale of ratings; set source.positive_min_rating to what people like")

    def tell_listing(self, kind: str, table: Table, known: Mapping[str, str]) -> None:
        columns = by_name(table.sample.column_names, known)
        path = table.files[0].path if len(table.files) == 1 else table.files[0].path.parent
        base = Path(self.source["path"])
        folder = base if base.is_dir() else base.parent
        inside = path.is_relative_to(folder)
        self.source[kind] = {"path": str(path.relative_to(folder) if inside else path), **columns}
        told = ", ".join(f"{setting} {column!r}" for setting, column in columns.items())
        self.lines.append(f"{table.name}: the {kind}, {_format(table)}; {told}")

    def tell_rest(self, log: Table, others: Sequence[Table]) -> None:
        for table in others:
            self.lines.append(f"{table.name}: not used, {_format(table)}")
        if others and len(log.files) > 1:
            self.warnings.append(
                f"The log is {len(log.files)} files among others; put it into a folder of its own and give that"
            )
        if log.dialect and reasons(log.dialect):
            self.lines.append(f"{log.name}: {reasons(log.dialect)}")


def _format(table: Table) -> str:
    first = table.files[0]
    if first.member:
        return first.member.snapshot
    if not table.dialect:
        return first.format.title
    rows = "row" if table.dialect.records == 1 else "rows"
    more = f", {table.dialect.records:,} {rows}" if len(table.files) == 1 else ""
    return f"{in_words(table.dialect)}{more}"


def _example(values: pa.ChunkedArray) -> str:
    known = values.drop_null()
    if not len(known):
        return ""
    return f", such as {str(known[0].as_py())!r}, {len(pc.unique(known)):,} different in the first {len(values):,} rows"
