"""An invented log, and writers of it in every shape that a source may have."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.sources.config import EventColumns, ItemsFile, SourceConfig, UsersFile
from tasks.sources.scan import scan
from tasks.sources.state import Scan

START = datetime(2020, 3, 1, tzinfo=UTC)
GENRES = ("unknown", "Action", "Comedy", "Noir")
TODAY = "2026-01-01"


@dataclass(frozen=True)
class Event:
    user: int
    item: int
    rating: float
    time: int
    """Seconds since 1970."""

    @property
    def day(self) -> str:
        return datetime.fromtimestamp(self.time, UTC).date().isoformat()


@dataclass(frozen=True)
class User:
    user: int
    age: int
    gender: str


@dataclass(frozen=True)
class Item:
    item: int
    title: str
    genres: tuple[str, ...]


@dataclass(frozen=True)
class World:
    """A log with its users and items."""

    events: tuple[Event, ...]
    users: tuple[User, ...]
    items: tuple[Item, ...]

    def without_day(self, day: str) -> "World":
        return replace(self, events=tuple(e for e in self.events if e.day != day))


@pytest.fixture
def world() -> World:
    """Twelve days, the third without events; user 9 never does anything; ids with different numbers of digits."""
    users = tuple(User(u, 25, "FM"[u % 2]) for u in (1, 2, 3, 10, 21, 9, 100))
    items = tuple(Item(i, f"Film {i} (19{i % 90 + 10})", GENRES[1 : 1 + i % 3]) for i in (5, 7, 12, 30, 101, 8))
    seen = [u.user for u in users if u.user != 9]
    events = []
    for day in (d for d in range(12) if d != 2):
        for n in range(6):
            time = START + timedelta(days=day, hours=3 * n + 5, minutes=day)
            rating = (day * 7 + n * 3) % 5 + 1
            events.append(Event(seen[(day * 5 + n) % 6], items[(day + n * n) % 6].item, rating, int(time.timestamp())))
    # In no order, as in MovieLens 100K.
    return World(tuple(sorted(events, key=lambda e: (e.item, -e.time))), users, items)


Writer = Callable[[World, Path], SourceConfig]


def _lines(path: Path, rows: list[Any], encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{row}\n" for row in rows).encode(encoding))


def write_100k(world: World, folder: Path) -> SourceConfig:
    def flags(item: Item) -> str:
        return "|".join("1" if g in item.genres else "0" for g in GENRES)

    _lines(folder / "u.data", [f"{e.user}\t{e.item}\t{e.rating:.0f}\t{e.time}" for e in world.events])
    _lines(folder / "u.user", [f"{u.user}|{u.age}|{u.gender}|artist|12345" for u in world.users])
    _lines(folder / "u.genre", [f"{g}|{n}" for n, g in enumerate(GENRES)])
    _lines(folder / "u.item", [f"{i.item}|{i.title}|||http://x|{flags(i)}" for i in world.items], "latin-1")
    return SourceConfig(kind="movielens", path=str(folder))


def write_1m(world: World, folder: Path) -> SourceConfig:
    write_10m(world, folder)
    _lines(folder / "users.dat", [f"{u.user}::{u.gender}::{u.age}::4::12345" for u in world.users])
    return SourceConfig(kind="movielens", path=str(folder))


def write_10m(world: World, folder: Path) -> SourceConfig:
    _lines(folder / "ratings.dat", [f"{e.user}::{e.item}::{e.rating:g}::{e.time}" for e in world.events])
    _lines(folder / "movies.dat", [f"{i.item}::{i.title}::{'|'.join(i.genres)}" for i in world.items], "latin-1")
    return SourceConfig(kind="movielens", path=str(folder))


def write_20m(world: World, folder: Path) -> SourceConfig:
    rows = [f"{e.user},{e.item},{e.rating},{e.time}" for e in world.events]
    _lines(folder / "ratings.csv", ["userId,movieId,rating,timestamp", *rows])
    films = [f'{i.item},"{i.title}",{"|".join(i.genres) or "(no genres listed)"}' for i in world.items]
    _lines(folder / "movies.csv", ["movieId,title,genres", *films])
    return SourceConfig(kind="movielens", path=str(folder))


COLUMNS = EventColumns(user="uid", item="iid", time="at", rating="stars")
USERS = UsersFile(path="users.csv", id="uid", age="Age", gender="Sex")
ITEMS = ItemsFile(path="items.csv", id="iid", title="Name", genres="Genres", content_type="Kind")


def _write_listings(world: World, folder: Path) -> None:
    _lines(folder / "users.csv", ["Sex,uid,Age", *[f"{u.gender},{u.user},{u.age}" for u in world.users]])
    films = [f'{i.item},"{i.title}",{"|".join(i.genres)},movie' for i in world.items]
    _lines(folder / "items.csv", ["iid,Name,Genres,Kind", *films])


def event_table(world: World) -> pa.Table:
    times = pa.array([datetime.fromtimestamp(e.time, UTC) for e in world.events], pa.timestamp("ms", tz="UTC"))
    return pa.table(
        {
            "stars": pa.array([e.rating for e in world.events], pa.float64()),
            "at": times,
            "iid": pa.array([e.item for e in world.events], pa.int64()),
            "uid": pa.array([e.user for e in world.events], pa.int64()),
        }
    )


def write_csv(world: World, folder: Path) -> SourceConfig:
    """One CSV file with ISO times at an offset."""
    iso = [datetime.fromtimestamp(e.time, UTC) + timedelta(hours=2) for e in world.events]
    rows = [
        f"{e.user},x,{t:%Y-%m-%dT%H:%M:%S}+02:00,{e.rating},{e.item}" for e, t in zip(world.events, iso, strict=True)
    ]
    _lines(folder / "log.csv", ["uid,noise,at,stars,iid", *rows])
    _write_listings(world, folder)
    return SourceConfig(kind="table", path=str(folder / "log.csv"), columns=COLUMNS, users=USERS, items=ITEMS)


def write_parquet(world: World, folder: Path) -> SourceConfig:
    """A folder of Parquet files, cut anywhere."""
    table = event_table(world)
    (folder / "events").mkdir(parents=True)
    for n, start in enumerate(range(0, table.num_rows, 25)):
        pq.write_table(table.slice(start, 25), folder / "events" / f"{n}.parquet")
    _write_listings(world, folder)
    users = replace(USERS, path=str(folder / "users.csv"))
    items = replace(ITEMS, path=str(folder / "items.csv"))
    return SourceConfig(kind="table", path=str(folder / "events"), columns=COLUMNS, users=users, items=items)


def write_hive(world: World, folder: Path) -> SourceConfig:
    """Hive-partitioned CSV, one folder a day, times in milliseconds; without users and items."""
    (folder / "events").mkdir(parents=True, exist_ok=True)
    for day in sorted({e.day for e in world.events}):
        target = folder / "events" / f"day={day}" / "part-0.csv"
        rows = [f"{e.user},{e.item},{e.time}000,{e.rating}" for e in world.events if e.day == day]
        content = "".join(f"{row}\n" for row in ["uid,iid,at,stars", *rows])
        if not target.exists() or target.read_text() != content:
            target.parent.mkdir(exist_ok=True)
            target.write_text(content)
    return SourceConfig(kind="table", path=str(folder / "events"), columns=COLUMNS)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def look(home: Path) -> Callable[..., Scan]:
    """Scan a source as of a day long after the log."""
    return lambda config, today=TODAY: scan(config, home, today)


@pytest.fixture
def shapes() -> dict[str, Writer]:
    return {
        "100k": write_100k, "1m": write_1m, "10m": write_10m, "20m": write_20m,
        "csv": write_csv, "parquet": write_parquet, "hive": write_hive,
    }  # fmt: skip


@pytest.fixture
def table_source(tmp_path: Path) -> Callable[..., SourceConfig]:
    """A source of literal CSV text; columns `user`, `item`, `time` unless mapped otherwise."""

    def write(text: str, name: str = "log.csv", **settings: Any) -> SourceConfig:
        path = tmp_path / "source" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return SourceConfig(kind="table", path=str(path), **settings)

    return write


@pytest.fixture
def parquet_source(tmp_path: Path) -> Callable[..., SourceConfig]:
    """A Parquet source from columns."""

    def write(columns: dict[str, Any], **settings: Any) -> SourceConfig:
        path = tmp_path / "source.parquet"
        pq.write_table(pa.table(columns), path)
        return SourceConfig(kind="table", path=str(path), **settings)

    return write
