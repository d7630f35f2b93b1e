"""MovieLens in all its shapes, told apart by the files that are there.

100k: `u.data`, `u.user`, `u.item`, `u.genre` (Latin-1). 1M and 10M: `ratings.dat`, `movies.dat` with `::`, and
`users.dat` in 1M. 20M and later, and the small ones: `ratings.csv`, `movies.csv`. Formats: the READMEs of GroupLens.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from expectations.datasets import ITEMS, USERS, Dataset
from expectations.errors import UserError
from expectations.substitutes import Substitute
from tasks.sources.config import EventColumns, SourceConfig, TextFile
from tasks.sources.discovery import Listed, Source, event_substitutes, find_root
from tasks.sources.formats import CSV
from tasks.sources.listings import empty_listing, listing_schema, one_row_an_id
from tasks.sources.reading import DataFile

Row = dict[str, Any]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_GENDERS = {"M": "male", "F": "female"}
_NO_GENRE = ("unknown", "(no genres listed)", "")
_UNDER_18 = 17


@dataclass(frozen=True)
class _Shape:
    """One of the shapes: names of its files, columns of its ratings, readers of its users and items."""

    ratings: str
    text: TextFile
    columns: EventColumns
    users: str
    items: str
    read_users: Callable[[Path], Iterator[Row]]
    read_items: Callable[[Path], Iterator[Row]]
    substitutes: tuple[str, ...]
    others: tuple[str, ...] = ()


def is_movielens(root: Path) -> bool:
    """Whether a folder is an unpacked archive of MovieLens."""
    return any((root / s.ratings).is_file() and (root / s.items).is_file() for s in _SHAPES)


def find_movielens(config: SourceConfig, home: Path) -> Source:
    """Find the files of a MovieLens folder.

    Raises:
        UserError: it is no such folder.
    """
    root = find_root(config)
    shape = next((s for s in _SHAPES if (root / s.ratings).is_file()), None)
    if shape is None:
        raise UserError(_not_movielens(root))
    ratings = root / shape.ratings
    users, items = root / shape.users, root / shape.items
    has_users = users.is_file()
    if not items.is_file():
        raise UserError(f"source.path: {items} is missing; unpack the whole MovieLens archive into one folder")
    told = [s for s in shape.substitutes if has_users or s != "age_groups"]
    told.append("no_signup_dates" if has_users else "no_users")
    beside = [root / name for name in (shape.users, shape.items, *shape.others) if name]
    return Source(
        str(root),
        (DataFile(ratings, shape.ratings, CSV, shape.text),),
        shape.columns,
        users=(lambda: _listing(users, USERS, shape.read_users)) if has_users else lambda: empty_listing(USERS),
        items=lambda: _listing(items, ITEMS, shape.read_items),
        beside=tuple(p for p in beside if p.is_file()),
        readers=("tasks.sources.movielens:find_movielens",),
        substitutes=(*event_substitutes(config, shape.columns), *map(Substitute, told)),
    )


def _not_movielens(root: Path) -> str:
    wanted = ", ".join(s.ratings for s in _SHAPES)
    if root.is_file():
        return f"source.path: {root} is a file; give the folder that has {wanted}"
    inner = sorted(p.parent for s in _SHAPES for p in root.glob(f"*/{s.ratings}"))
    names = sorted(p.name for p in root.iterdir())[:8]
    hint = f" Did you mean {inner[0]}?" if inner else ""
    there = f"it has {', '.join(names)}" if names else "it is empty"
    return f"source.path: {root} is no MovieLens folder: none of {wanted} is there; {there}.{hint}"


def _listing(path: Path, dataset: Dataset, read: Callable[[Path], Iterator[Row]]) -> Listed:
    rows: list[Row] = []
    lines = read(path)
    try:
        rows.extend(lines)
    except (ValueError, KeyError, IndexError) as error:
        raise UserError(
            f"{path}: row {len(rows) + 1} is not as in MovieLens ({error}); unpack the archive again"
        ) from error
    return Listed(one_row_an_id(pa.Table.from_pylist(rows, listing_schema(dataset)), str(path)))


def _lines(path: Path, separator: str, fields: int) -> Iterator[list[str]]:
    """Split lines; the older sets are Latin-1, the newer ones UTF-8, and Latin-1 is hardly ever valid UTF-8."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    for line in text.split("\n"):
        if line.strip():
            parts = line.rstrip("\r").split(separator)
            if len(parts) != fields:
                raise ValueError(f"{len(parts)} fields, not {fields}")
            yield parts


def _users_100k(path: Path) -> Iterator[Row]:
    for user, age, gender, _, _ in _lines(path, "|", 5):
        yield {"external_id": user, "age": int(age), "gender": _GENDERS[gender]}


def _users_1m(path: Path) -> Iterator[Row]:
    for user, gender, age, _, _ in _lines(path, "::", 5):
        yield {"external_id": user, "age": _UNDER_18 if age == "1" else int(age), "gender": _GENDERS[gender]}


def _items_100k(path: Path) -> Iterator[Row]:
    names = path.with_name("u.genre")
    if not names.is_file():
        raise UserError(f"source.path: {names} is missing, which names the genres of {path.name}")
    genres = [name for name, _ in _lines(names, "|", 2)]
    for item, title, released, _, _, *flags in _lines(path, "|", 5 + len(genres)):
        yield {
            **_film(item, title, [g for g, flag in zip(genres, flags, strict=True) if flag == "1"]),
            "uploaded_at": _day(released) if released else None,
        }


def _items_dat(path: Path) -> Iterator[Row]:
    for item, title, genres in _lines(path, "::", 3):
        yield _film(item, title, genres.split("|"))


def _items_csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if missing := {"movieId", "title", "genres"} - set(rows.fieldnames or ()):
            raise ValueError(f"there is no column {', '.join(sorted(missing))}")
        for row in rows:
            if None in row.values():
                raise ValueError("too few fields")
            yield _film(row["movieId"], row["title"], row["genres"].split("|"))


def _film(item: str, title: str, genres: list[str]) -> Row:
    known = [g for g in genres if g not in _NO_GENRE]
    return {"external_id": item, "title": title, "genres": known or None, "content_type": "movie"}


def _day(text: str) -> datetime:
    """`01-Jan-1995`; by a table, because `strptime` follows the locale."""
    day, month, year = text.split("-")
    return datetime(int(year), _MONTHS.index(month) + 1, int(day), tzinfo=UTC)


_PLAIN = EventColumns(rating="rating")
_RATINGS = ("user", "item", "rating", "time")
_SHAPES = (
    _Shape(
        "u.data", TextFile(delimiter="\t", quote="none", header=_RATINGS), _PLAIN,
        "u.user", "u.item", _users_100k, _items_100k, ("release_dates",), ("u.genre",),
    ),
    _Shape(
        "ratings.dat", TextFile(delimiter="::", quote="none", header=_RATINGS), _PLAIN,
        "users.dat", "movies.dat", _users_1m, _items_dat, ("age_groups", "no_upload_dates"),
    ),
    _Shape(
        "ratings.csv", TextFile(delimiter=","),
        EventColumns(user="userId", item="movieId", time="timestamp", rating="rating"),
        "", "movies.csv", _users_1m, _items_csv, ("no_upload_dates",),
    ),
)  # fmt: skip
