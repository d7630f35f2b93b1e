"""One Spark session for all tests of jobs, and a small random log to run them on."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from expectations.datasets import IMPRESSIONS, ITEMS, SEARCHES, WATCHES, Dataset
from spark_jobs.session import spark_session

AS_OF = "2026-03-10"
END = datetime(2026, 3, 11, tzinfo=UTC)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> SparkSession:
    """A session on two cores; it ends with the process."""
    return spark_session("local[2]", 1.5, 2, tmp_path_factory.mktemp("home"), "tests")


@pytest.fixture(scope="session")
def as_of() -> str:
    """Last day of the random log's window; the log goes on one day longer."""
    return AS_OF


def table(dataset: Dataset, columns: dict[str, Any]) -> pa.Table:
    """A table of the dataset; columns that are not given are null."""
    rows = len(columns[dataset.key[0]])
    arrays = [
        pa.array(columns[f.name], from_pandas=True).cast(f.type) if f.name in columns else pa.nulls(rows, f.type)
        for f in dataset.schema
    ]
    return pa.table(arrays, names=dataset.schema.names)


@pytest.fixture(scope="session")
def make_table() -> Callable[[Dataset, dict[str, Any]], pa.Table]:
    return table


@pytest.fixture(scope="session")
def log() -> dict[str, pa.Table]:
    """Watches, impressions, searches and items: 30 users, 20 items, 12 days and one day after the window's end.

    Three more users only search, some of them at one moment, some without words.
    """
    rng = np.random.default_rng(7)
    requests, shown, watched = 300, 900, 500
    start = END - timedelta(days=12)
    seconds = rng.integers(0, 13 * 86400, requests).repeat(3)
    popular = 0.85 ** np.arange(20) / (0.85 ** np.arange(20)).sum()
    impressions: dict[str, Any] = {
        "request_id": np.arange(requests).repeat(3),
        "position": np.arange(shown) % 3 + 1,
        "user_id": rng.integers(0, 30, requests).repeat(3),
        "item_id": np.concatenate([rng.choice(20, 3, replace=False, p=popular) for _ in range(requests)]),
        "time": [start + timedelta(seconds=int(s)) for s in seconds],
        "propensity": np.ones(shown),
    }
    # A third of the watches come from no impression, and some impressions are taken up twice.
    of = rng.integers(0, shown, watched)
    from_impression = rng.random(watched) < 0.67
    watches: dict[str, Any] = {
        "watch_id": rng.permutation(watched),
        "request_id": pd.array(np.where(from_impression, impressions["request_id"][of], -1)).astype("Int64"),
        "user_id": impressions["user_id"][of],
        "item_id": impressions["item_id"][of],
        "time": [start + timedelta(seconds=int(seconds[n]) + 60) for n in of],
        "watch_s": np.where(rng.random(watched) < 0.9, rng.random(watched) * 3000, np.nan),
        "completion": np.where(rng.random(watched) < 0.9, rng.random(watched), np.nan),
        "rating": np.where(rng.random(watched) < 0.5, rng.integers(1, 6, watched), np.nan),
        "weight": rng.random(watched) + 0.1,
        "positive": rng.random(watched) < 0.7,
    }
    watches["request_id"][~from_impression] = pd.NA
    genres = ["drama", "crime", "comedy", "news", "sport", "kids", "music"]
    items = {
        "item_id": np.arange(20),
        "genres": [list(rng.choice(genres, rng.integers(1, 5), replace=False)) for _ in range(19)] + [None],
    }
    return {
        "watches": table(WATCHES, watches),
        "impressions": table(IMPRESSIONS, impressions),
        "searches": table(SEARCHES, _searches(start)),
        "items": table(ITEMS, items),
    }


def _searches(start: datetime) -> dict[str, Any]:
    rng = np.random.default_rng(8)
    count = 90
    words = [list(rng.choice(["dark", "river", "news", "crime"], rng.integers(0, 4))) for _ in range(count)]
    return {
        "search_id": rng.permutation(count),
        "user_id": rng.integers(10, 33, count),
        "time": [start + timedelta(hours=int(h)) for h in rng.integers(0, 13, count) * 24],
        "query": [" ".join(w) for w in words],
        "tokens": words,
    }


@pytest.fixture(scope="session")
def frames(spark: SparkSession, log: dict[str, pa.Table]) -> dict[str, DataFrame]:
    """The log as frames."""
    return {name: spark.createDataFrame(rows) for name, rows in log.items()}


@pytest.fixture(scope="session")
def past(log: dict[str, pa.Table]) -> dict[str, pd.DataFrame]:
    """What of the log had happened by the end of the window, for slow references."""
    kept = {name: log[name].to_pandas() for name in ("watches", "impressions", "searches")}
    return {name: rows[rows["time"] < END] for name, rows in kept.items()} | {"items": log["items"].to_pandas()}


@pytest.fixture
def shuffled(spark: SparkSession) -> Callable[[pa.Table], DataFrame]:
    """A frame of the table's rows in another order and other partitions."""

    def shuffle(rows: pa.Table) -> DataFrame:
        order = np.random.default_rng(1).permutation(len(rows))
        return spark.createDataFrame(rows.take(order)).repartition(5)

    return shuffle


@pytest.fixture(scope="session")
def rows_of() -> Callable[[DataFrame, Dataset], pa.Table]:
    """All rows of a frame, checked against the dataset's declared schema and sorted by its key."""

    def rows(frame: DataFrame, dataset: Dataset) -> pa.Table:
        found = frame.toArrow()
        assert found.schema.names == dataset.schema.names
        found = found.cast(dataset.schema)
        return found.sort_by([(name, "ascending") for name in dataset.key])

    return rows


@pytest.fixture(scope="session")
def age_days() -> Callable[[pd.Series], pd.Series]:
    """Days from times to the end of the window."""
    return lambda times: (END - times).dt.total_seconds() / 86400


@pytest.fixture
def process_list() -> Iterator[list[Any]]:
    """Processes that a test starts; whatever of them still runs is ended by its id."""
    started: list[Any] = []
    yield started
    for process in started:
        process.terminate()
    for process in started:
        process.wait(timeout=400)


@pytest.fixture(scope="session")
def pairs_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parquet of random interactions, for runs in other processes."""
    import pyarrow.parquet as pq

    from expectations.datasets import INTERACTIONS

    rng = np.random.default_rng(3)
    keys = np.unique(rng.integers(0, 60 * 40, 900))
    count = len(keys)
    rows = table(
        INTERACTIONS,
        {
            "user_id": keys // 40,
            "item_id": keys % 40,
            "num_watches": np.ones(count),
            "watch_s": np.ones(count),
            "weight": rng.random(count) + 0.5,
            "last_time": [END - timedelta(seconds=int(s)) for s in rng.integers(1, 10**6, count)],
        },
    )
    path = tmp_path_factory.mktemp("pairs") / "part-00000.parquet"
    pq.write_table(rows, path)
    return path
