"""Popularity against a slow reference."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from expectations.datasets import POPULARITY, WATCHES, Dataset
from spark_jobs.config import PopularityConfig
from spark_jobs.popularity import popularity

Rows = Callable[[DataFrame, Dataset], pa.Table]


@pytest.mark.parametrize("half_life", [0.0, 1.5])
def test_equals_the_reference(
    frames: dict[str, DataFrame],
    past: dict[str, pd.DataFrame],
    as_of: str,
    rows_of: Rows,
    age_days: Callable[[pd.Series], pd.Series],
    half_life: float,
) -> None:
    found = rows_of(popularity(frames["watches"], as_of, PopularityConfig(half_life_days=half_life)), POPULARITY)
    liked = past["watches"][past["watches"]["positive"]]
    decay = 0.5 ** (age_days(liked["time"]) / half_life) if half_life else pd.Series(1.0, liked.index)
    expected = pd.DataFrame(
        {"score": decay.groupby(liked["item_id"]).sum(), "num_users": liked.groupby("item_id")["user_id"].nunique()}
    ).reset_index()
    order = expected.sort_values(["score", "item_id"], ascending=[False, True])["item_id"]
    expected["rank"] = expected["item_id"].map({item: place for place, item in enumerate(order, 1)})
    pd.testing.assert_frame_equal(found.to_pandas(), expected, check_dtype=False, rtol=1e-5)


def test_equal_scores_rank_by_item_id(
    spark: SparkSession, make_table: Callable[[Dataset, dict[str, Any]], pa.Table], rows_of: Rows
) -> None:
    items = [9, 4, 7, 4, 1]
    watches = {
        "watch_id": range(5),
        "user_id": range(5),
        "item_id": items,
        "time": [datetime(2026, 1, 1, tzinfo=UTC)] * 5,
        "weight": [1.0] * 5,
        "positive": [True] * 5,
    }
    found = popularity(spark.createDataFrame(make_table(WATCHES, watches)), "2026-01-05", PopularityConfig())
    ranks = rows_of(found, POPULARITY).sort_by("rank")
    assert ranks["item_id"].to_pylist() == [4, 1, 7, 9]


def test_the_order_of_watches_does_not_matter(
    frames: dict[str, DataFrame],
    log: dict[str, pa.Table],
    as_of: str,
    rows_of: Rows,
    shuffled: Callable[..., DataFrame],
) -> None:
    once, again = (popularity(w, as_of, PopularityConfig()) for w in (frames["watches"], shuffled(log["watches"])))
    assert rows_of(once, POPULARITY) == rows_of(again, POPULARITY)
