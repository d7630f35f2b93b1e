"""A small audience with planted tastes: who likes which genre decides what is watched."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.datasets import ITEMS, SEARCHES, TIMESTAMP, USERS, WATCHES, Dataset

LAST_DAY = datetime.date(2026, 3, 28)
GENRES = ("drama", "comedy", "crime", "nature", "sport", "music", "news", "kids")


def table_of(dataset: Dataset, **columns: Any) -> pa.Table:
    """A table of a declared dataset; columns that are not given are null."""
    rows = len(next(iter(columns.values())))
    schema = pa.schema([f.with_nullable(True) for f in dataset.schema])
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(rows, f.type) for f in schema]
    return pa.table(arrays, schema=schema)


@dataclass(frozen=True)
class Planted:
    """Users who like one genre each, tell it by their region, and watch popular items of it."""

    users: pa.Table
    items: pa.Table
    watches: list[Path]
    taste: np.ndarray
    genre: np.ndarray
    appeal: np.ndarray
    last_day: datetime.date = LAST_DAY


def write_watches(
    path: Path,
    user: np.ndarray,
    item: np.ndarray,
    time: np.ndarray,
    positive: np.ndarray | None = None,
    watch_id: np.ndarray | None = None,
    row_group_size: int | None = None,
) -> Path:
    """Parquet of watches at the given seconds before the end of the last day."""
    rows = len(user)
    table = table_of(
        WATCHES,
        watch_id=np.arange(rows) if watch_id is None else watch_id,
        user_id=np.asarray(user, dtype=np.int32),
        item_id=np.asarray(item, dtype=np.int32),
        time=moments(time),
        weight=np.ones(rows, dtype=np.float32),
        positive=np.ones(rows, dtype=bool) if positive is None else positive,
    )
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def write_typed(path: Path, user: npt.ArrayLike, tokens: list[list[str]], time: npt.ArrayLike) -> Path:
    """Parquet of searches at the given seconds before the end of the last day."""
    ids = np.arange(len(tokens))
    table = table_of(SEARCHES, search_id=ids, user_id=np.asarray(user, np.int32), time=moments(time), tokens=tokens)
    pq.write_table(table, path)
    return path


def moments(seconds: npt.ArrayLike) -> pa.Array:
    """Times that many seconds before the end of the last day."""
    end = datetime.datetime.combine(LAST_DAY, datetime.time(), tzinfo=datetime.UTC) + datetime.timedelta(days=1)
    micros = np.int64(end.timestamp() * 1e6) - (np.asarray(seconds, dtype=float) * 1e6).astype(np.int64)
    return pa.array(micros, pa.int64()).cast(TIMESTAMP)


def make_planted(
    folder: Path, num_users: int, num_items: int, watches_per_user: int, num_unwatched: int = 0, seed: int = 0
) -> Planted:
    """28 daily files. An item is watched in proportion to its appeal, ten times more by those who like its genre.

    The last `num_unwatched` items are never watched.
    """
    rng = np.random.default_rng(seed)
    genre = rng.integers(0, len(GENRES), num_items)
    taste = rng.integers(0, len(GENRES), num_users)
    appeal = rng.permutation(1.0 / np.arange(1, num_items + 1) ** 0.7)
    appeal[num_items - num_unwatched :] = 0
    days = 28
    parts: list[tuple[np.ndarray, ...]] = []
    for u in range(num_users):
        p = appeal * np.where(genre == taste[u], 10.0, 1.0)
        n = min(watches_per_user, num_items // 2)
        chosen = rng.choice(num_items, n, replace=False, p=p / p.sum())
        parts.append((np.full(n, u), chosen, rng.random(n) * days * 86400))
    user, item, time = (np.concatenate(column) for column in zip(*parts, strict=True))
    paths = []
    for day in range(days):
        then = (time // 86400) == day
        path = folder / f"watches-{days - day:02d}.parquet"
        paths.append(write_watches(path, user[then], item[then], time[then], watch_id=np.flatnonzero(then)))
    region = np.where(rng.random(num_users) < 0.7, taste, rng.integers(0, len(GENRES), num_users))
    return Planted(
        users=table_of(USERS, user_id=np.arange(num_users), region=[f"region-{r}" for r in region]),
        items=table_of(ITEMS, item_id=np.arange(num_items), genres=[[GENRES[g]] for g in genre]),
        watches=sorted(paths),
        taste=taste,
        genre=genre,
        appeal=appeal,
    )


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return make_planted(tmp_path_factory.mktemp("planted"), num_users=300, num_items=400, watches_per_user=30)


@pytest.fixture(scope="session")
def planted_with_unwatched(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    folder = tmp_path_factory.mktemp("unwatched")
    return make_planted(folder, num_users=300, num_items=400, watches_per_user=30, num_unwatched=80)


@pytest.fixture(scope="session")
def last_day() -> datetime.date:
    return LAST_DAY


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    return write_watches


@pytest.fixture(scope="session")
def write_searches() -> Callable[..., Path]:
    return write_typed
