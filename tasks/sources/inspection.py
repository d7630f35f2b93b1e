"""Looks at data that nobody has described: which tables there are, what they are taken for and why, and the settings
that read them so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations.errors import UserError
from tasks.sources.column_roles import (
    EVENTS,
    ITEMS,
    USERS,
    Roles,
    by_name,
    num_different,
    numbers_of,
    roles_of_log,
    that_fit,
)
from tasks.sources.config import SourceConfig, TextFile
from tasks.sources.data_files import find_files
from tasks.sources.dialects import Dialect, find_dialect, in_words, looks_like_data, reasons
from tasks.sources.discovery import find_root
from tasks.sources.formats import CSV, JSON, NETFLIX
from tasks.sources.json_files import names_in
from tasks.sources.mind import mind_source
from tasks.sources.movielens import is_movielens
from tasks.sources.netflix_files import NAMES
from tasks.sources.reading import DataFile, read_batches, told_in_words
from tasks.sources.streams import raw_chunks
from tasks.sources.values import as_ids, without_point_zero

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


def inspect(path: str, given: Mapping[str, str] | None = None, encoding: str = "") -> Inspection:
    """Look at what lies at a path.

    Args:
        given: settings of `source.columns` that are known.
        encoding: of text files without a mark; empty: UTF-8.

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
    if source := mind_source(root):
        news = "; its news beside it are the items" if "items" in source else ""
        line = f"{source['impressions']['path']}: lists of what was shown and clicked, as MIND has them{news}"
        return Inspection(source, (line, "plays: what was clicked"), ())
    found, known = _Findings(root), dict(given or {})
    if encoding:
        found.source["encoding"] = encoding
    tables = _tables(root, TextFile(encoding=encoding or "utf-8"), known, found)
    roles = {n: roles_of_log(table.sample, known) for n, table in enumerate(tables)}
    logs = [n for n, one in roles.items() if one.is_log and set(known.values()) <= set(tables[n].sample.column_names)]
    if not logs:
        raise UserError(_no_log(root, tables, roles, known))
    # By names rather than by guesses; of several the largest, as there are more events than things.
    chosen = max(logs, key=lambda n: (-len(roles[n].guessed), tables[n].num_bytes))
    log, role = tables[chosen], roles[chosen]
    found.tell_log(log, role)
    others = [table for n, table in enumerate(tables) if n != chosen]
    for kind, names in (("items", ITEMS), ("users", USERS)):
        listing = _listing(others, log.sample[role.columns[kind[:-1]]], names)
        if listing:
            others.remove(listing)
            found.tell_listing(kind, listing, names)
    found.tell_rest(log, others)
    return Inspection(found.source, tuple(found.lines), tuple(found.warnings))


# --- tables --------------------------------------------------------------------------------------------------------


def _tables(root: Path, text: TextFile, given: Mapping[str, str], findings: "_Findings") -> list[Table]:
    """The files at a place by the columns that they have, each with a sample; what cannot be read is told."""
    groups: dict[tuple[str, ...], list[DataFile]] = {}
    found = find_files(root, text, "source", strict=False, mixed=True)
    findings.lines += found.notes
    for file in found.files:
        try:
            with told_in_words(file):
                names, dialect = _columns(file, given)
        except UserError as error:
            findings.warnings.append(str(error))
            continue
        if names:
            headless = ("", str(len(names)), file.path.suffix)
            groups.setdefault(headless if _is_headless(dialect) else tuple(sorted(names)), []).append(file)
    made = []
    for files in groups.values():
        try:
            with told_in_words(files[0]):
                made.append(_table(tuple(files), given))
        except UserError as error:
            findings.warnings.append(str(error))
    return made


def _columns(file: DataFile, given: Mapping[str, str]) -> tuple[list[str], Dialect | None]:
    """Names of the columns of a file, none if it has no rows."""
    partition = [name for name, _ in file.partition]
    if not file.member and not file.entry and not file.path.stat().st_size:
        return [], None
    if file.member:
        return [column.name for column in file.member.columns], None
    if file.format == CSV:
        dialect = find_dialect(file)
        return ([*dialect.names, *partition], dialect) if dialect else ([], None)
    if file.format == JSON:
        return [*_json_names(file, given), *partition], None
    if file.format == NETFLIX:
        return list(NAMES), None
    content = pa.BufferReader(b"".join(raw_chunks(file.path, file.entry))) if file.entry else file.path
    return [*pq.read_schema(content).names, *partition], None


def _json_names(file: DataFile, given: Mapping[str, str]) -> list[str]:
    """Names of its values; those in the elements of a list only where these make it a log."""
    plain, *lists = names_in(file).items()
    wanted = {"user", "item", "time"}
    if wanted <= set(by_name(plain[1], EVENTS, given)):
        return plain[1]
    through = (names for _, names in lists if wanted <= set(by_name([*plain[1], *names], EVENTS, given)))
    return [*plain[1], *next(through, [])]


def _is_headless(dialect: Dialect | None) -> bool:
    return dialect is not None and looks_like_data(dialect.names)


def _table(files: tuple[DataFile, ...], given: Mapping[str, str]) -> Table:
    first = files[0]
    header: tuple[str, ...] = ()
    names, dialect = _columns(first, given)
    if dialect and _is_headless(dialect):
        header = tuple(f"column_{n}" for n in range(1, len(dialect.names) + 1))
        first = replace(first, text=replace(first.text, header=header))
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
        found = without_point_zero(pc.unique(as_ids(ids.combine_chunks(), "ids").drop_null()), "ids")
    except UserError:
        return np.empty(0, dtype=object)
    return np.unique(found.to_numpy(zero_copy_only=False).astype(str))


def _no_log(root: Path, tables: Sequence[Table], roles: Mapping[int, Roles], given: Mapping[str, str]) -> str:
    if not tables:
        return f"{root}: there are no rows in it that can be read; give a log of who did what and when"
    there = {name for table in tables for name in table.sample.column_names}
    if strange := [column for column in given.values() if column not in there]:
        return f"{root}: there is no column {strange[0]!r}; there are {', '.join(map(repr, sorted(there)))}"
    nearest = max(roles, key=lambda n: len({"user", "item", "time"} & set(roles[n].columns)))
    missing = [kind for kind in ("user", "item", "time") if kind not in roles[nearest].columns]
    names = ", ".join(map(repr, tables[nearest].sample.column_names))
    if not missing:
        return f"{root}: no table has all of the columns that were named; {tables[nearest].name} has {names}"
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
        first = log.files[0]
        alone = len(log.files) == 1 and self.root.is_dir() and not (first.member or first.entry or first.partition)
        self.source["path"] = str(first.path if alone else self.root)
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
        columns = that_fit(table.sample, by_name(table.sample.column_names, known))
        base = Path(self.source["path"])
        folder = base if base.is_dir() else base.parent
        path = table.files[0].path if len(table.files) == 1 else table.files[0].path.parent
        if len(table.files) > 1 and (path == folder or path in folder.parents):
            self.warnings.append(
                f"{table.name}: these are {kind}; put them into a folder of their own to have them read"
            )
            return
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
    different = num_different(known)
    return f", such as {str(known[0].as_py())!r}, {different:,} different in the first {len(values):,} rows"
