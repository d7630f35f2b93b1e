"""Item similarity against brute force."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from expectations.datasets import INTERACTIONS, ITEM_SIMILARITY, Dataset
from expectations.errors import Failure
from spark_jobs.config import ItemSimilarityConfig
from spark_jobs.frames import end_of
from spark_jobs.item_similarity import item_similarity

Rows = Callable[[DataFrame, Dataset], pa.Table]
USERS, ITEMS = 80, 25
PLAIN = ItemSimilarityConfig(shrinkage=0, top_k=1000)


@pytest.fixture(scope="module")
def ages() -> npt.NDArray[np.float64]:
    """Days since every user watched every item, NaN where never; popular items first. Powers of two sum exactly."""
    rng = np.random.default_rng(0)
    watched = rng.random((USERS, ITEMS)) < np.linspace(0.8, 0.05, ITEMS)
    return np.where(watched, rng.integers(0, 6, watched.shape), np.nan)


@pytest.fixture(scope="module")
def pairs(ages: npt.NDArray[np.float64], as_of: str, make_table: Callable[..., pa.Table]) -> pa.Table:
    users, items = np.nonzero(~np.isnan(ages))
    end = end_of(as_of)
    columns = {
        "user_id": users,
        "item_id": items,
        "num_watches": np.ones(len(users)),
        "watch_s": np.ones(len(users)),
        "weight": np.ones(len(users)),
        "last_time": [end - timedelta(days=age) for age in ages[users, items]],
    }
    return make_table(INTERACTIONS, columns)


@pytest.fixture(scope="module")
def frame(spark: SparkSession, pairs: pa.Table) -> DataFrame:
    return spark.createDataFrame(pairs)


def reference(ages: npt.NDArray[np.float64], config: ItemSimilarityConfig) -> list[tuple[int, int, float, int]]:
    """Neighbours by the formulas, on dense matrices."""
    w = np.zeros(ages.shape)
    for user, row in enumerate(ages):
        newest = sorted((age, item) for item, age in enumerate(row) if not np.isnan(age))[: config.max_items_per_user]
        for age, item in newest:
            decay = 0.5 ** (age / config.half_life_days) if config.half_life_days else 1.0
            w[user, item] = decay * len(newest) ** (-config.user_damping / 2)
    common, mass = w.T @ w, (w**2).sum(0)
    both = np.outer(mass, mass)
    with np.errstate(divide="ignore", invalid="ignore"):
        metric = {
            "cosine": common / (mass[:, None] ** config.asymmetry * mass[None] ** (1 - config.asymmetry)),
            "jaccard": common / (mass[:, None] + mass[None] - common),
            "lift": common * USERS / both,
        }[config.metric]
        damped = metric * common / (common + config.shrinkage) / mass[None] ** config.popularity_damping
        scores = damped.astype(np.float32)
    rows = []
    for item in range(ITEMS):
        others = [j for j in range(ITEMS) if j != item and common[item, j] > 0]
        best = sorted(others, key=lambda j: (-scores[item, j], j))[: config.top_k]
        rows += [(item, j, float(scores[item, j]), rank) for rank, j in enumerate(best, 1)]
    return sorted(rows)


CASES = {
    "cosine": PLAIN,
    "jaccard": replace(PLAIN, metric="jaccard"),
    "lift": replace(PLAIN, metric="lift"),
    "top 3": replace(PLAIN, top_k=3),
    "shrinkage": replace(PLAIN, shrinkage=20),
    "damping": replace(PLAIN, popularity_damping=0.7),
    "asymmetry": replace(PLAIN, asymmetry=0.8),
    "user damping": replace(PLAIN, user_damping=0.5),
    "decay": replace(PLAIN, half_life_days=1),
    "capped": replace(PLAIN, max_items_per_user=4),
    "lift with all": ItemSimilarityConfig(
        metric="lift", shrinkage=5, popularity_damping=0.3, half_life_days=2, max_items_per_user=6, top_k=7
    ),
}


@pytest.mark.parametrize("config", CASES.values(), ids=CASES.keys())
def test_equals_brute_force(
    frame: DataFrame, ages: npt.NDArray[np.float64], as_of: str, rows_of: Rows, config: ItemSimilarityConfig
) -> None:
    found = rows_of(item_similarity(frame, as_of, config), ITEM_SIMILARITY).to_pylist()
    expected = reference(ages, config)
    assert [(r["item_id"], r["neighbour_id"], r["rank"]) for r in found] == [(i, j, rank) for i, j, _, rank in expected]
    assert [r["score"] for r in found] == pytest.approx([score for _, _, score, _ in expected], rel=1e-6)
    if config != PLAIN:
        assert expected != reference(ages, PLAIN), "a switch that changes nothing proves nothing"


def test_equal_scores_rank_by_item_id(spark: SparkSession, as_of: str, rows_of: Rows) -> None:
    """One user's items are all equally near to each other."""
    rows = [(0, item, end_of(as_of)) for item in (5, 3, 11, 8)]
    frame = spark.createDataFrame(rows, "user_id int, item_id int, last_time timestamp")
    found = rows_of(item_similarity(frame, as_of, replace(PLAIN, top_k=2)), ITEM_SIMILARITY).to_pylist()
    neighbours: dict[int, list[int]] = {}
    for row in sorted(found, key=lambda r: (r["item_id"], r["rank"])):
        neighbours.setdefault(row["item_id"], []).append(row["neighbour_id"])
    assert neighbours == {3: [5, 8], 5: [3, 8], 8: [3, 5], 11: [3, 5]}


def test_the_order_of_pairs_does_not_matter(
    frame: DataFrame, pairs: pa.Table, as_of: str, rows_of: Rows, shuffled: Callable[..., DataFrame]
) -> None:
    config = ItemSimilarityConfig(half_life_days=1.7, max_items_per_user=5)
    once, again = (item_similarity(f, as_of, config) for f in (frame, shuffled(pairs)))
    assert rows_of(once, ITEM_SIMILARITY) == rows_of(again, ITEM_SIMILARITY)


def test_nothing_to_compare(spark: SparkSession, as_of: str, make_table: Callable[[Dataset, dict[str, Any]], pa.Table]) -> None:  # fmt: skip # noqa: E501
    empty = spark.createDataFrame(make_table(INTERACTIONS, {name: [] for name in INTERACTIONS.schema.names}))
    with pytest.raises(Failure, match="item_similarity: there are no interactions"):
        item_similarity(empty, as_of, PLAIN)
