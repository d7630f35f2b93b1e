"""Interactions against a slow reference."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame

from expectations.datasets import INTERACTIONS, Dataset
from spark_jobs.config import InteractionsConfig
from spark_jobs.interactions import SMALLEST_WEIGHT, interactions, ratings

Rows = Callable[[DataFrame, Dataset], pa.Table]


def reference(watches: pd.DataFrame, half_life: float, age_days: Callable[[pd.Series], pd.Series]) -> pd.DataFrame:
    rows = []
    liked = watches[watches["positive"]]
    for (user, item), own in liked.groupby(["user_id", "item_id"]):
        decay = 0.5 ** (age_days(own["time"]) / half_life) if half_life else 1.0
        rated = own[own["rating"].notna()].sort_values(["time", "watch_id"])["rating"]
        rows.append(
            {
                "user_id": user,
                "item_id": item,
                "num_watches": len(own),
                "watch_s": own["watch_s"].sum(),
                "rating": rated.iloc[-1] if len(rated) else np.nan,
                "weight": (own["weight"] * decay).sum(),
                "last_time": own["time"].max(),
            }
        )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("half_life", [0.0, 2.5])
def test_equals_the_reference(
    frames: dict[str, DataFrame],
    past: dict[str, pd.DataFrame],
    as_of: str,
    rows_of: Rows,
    age_days: Callable[[pd.Series], pd.Series],
    half_life: float,
) -> None:
    found = rows_of(interactions(frames["watches"], as_of, InteractionsConfig(half_life_days=half_life)), INTERACTIONS)
    expected = reference(past["watches"], half_life, age_days)
    assert (expected["num_watches"] > 1).any()
    pd.testing.assert_frame_equal(found.to_pandas(), expected, check_dtype=False, rtol=1e-5)


def test_the_order_of_watches_does_not_matter(
    frames: dict[str, DataFrame],
    log: dict[str, pa.Table],
    as_of: str,
    rows_of: Rows,
    shuffled: Callable[..., DataFrame],
) -> None:
    config = InteractionsConfig(half_life_days=3)
    once, again = (interactions(w, as_of, config) for w in (frames["watches"], shuffled(log["watches"])))
    assert rows_of(once, INTERACTIONS) == rows_of(again, INTERACTIONS)


def test_decay_never_takes_a_positive_away(frames: dict[str, DataFrame], as_of: str, rows_of: Rows) -> None:
    quick = rows_of(interactions(frames["watches"], as_of, InteractionsConfig(half_life_days=0.01)), INTERACTIONS)
    weights = quick["weight"].to_numpy()
    assert weights.min() == np.float32(SMALLEST_WEIGHT)


def test_ratings_are_the_last_ones_liked_or_not(
    frames: dict[str, DataFrame], past: dict[str, pd.DataFrame], as_of: str
) -> None:
    found = ratings(frames["watches"], as_of).toPandas()
    rated = past["watches"][past["watches"]["rating"].notna()].sort_values(["time", "watch_id"])
    assert not rated["positive"].all()
    expected = rated.groupby(["user_id", "item_id"])["rating"].last().reset_index()
    found = found.sort_values(["user_id", "item_id"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
