"""How the models of the catalogue that stand on counts or on Spark jobs are trained: the jobs are the night's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.collaborative.factors import ItemFactors
from models.collaborative.neighbours import Neighbours
from models.collaborative.popularity import Popularity, decayed_counts
from models.collaborative.ratings import Biases, RatingFactors
from models.interactions import Floats, Interactions, Trained, Training
from spark_jobs.config import AlsConfig, ItemSimilarityConfig, PopularityConfig
from tasks.machine.config import ResourcesConfig
from tasks.stages.spark import explained, session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def train_popularity(data: Interactions, config: PopularityConfig, training: Training) -> Trained:
    """Count."""
    return Trained(Popularity(decayed_counts(data, config.half_life_days)))


def train_als(data: Interactions, config: AlsConfig, training: Training) -> Trained:
    """Factorise who had what, or for explicit feedback what biases leave of the ratings.

    Raises:
        Failure: nothing to factorise, a rating that is no number, or a loss that is none.
    """
    return (
        _train_ratings(data, config, training) if config.feedback == "explicit" else _train_als(data, config, training)
    )


def _train_als(data: Interactions, config: AlsConfig, training: Training) -> Trained:
    from spark_jobs.als import factorise

    columns = _pairs(data)
    with _frame("als", {name: columns[name] for name in ("user_id", "item_id", "weight")}, training) as frame:
        made = factorise(frame, replace(config, seed=training.seed), training.on_progress)
    return Trained(
        ItemFactors(
            items=_dense(made.items, "item_id", data.num_items),
            counts=_strangers(data),
            alpha=config.alpha,
            regularisation=config.regularisation,
            weighted=config.weighted_regularisation,
        )
    )


def _train_ratings(data: Interactions, config: AlsConfig, training: Training) -> Trained:
    from spark_jobs.als import factorise

    assert data.ratings is not None, "explicit feedback needs ratings"
    users, items = data.histories.rows, data.histories.items
    biases = Biases.fit(users, items, data.ratings, data.num_users, data.num_items)
    left = data.ratings - biases.predict(users, items)
    columns = {"user_id": users.astype(np.int32), "item_id": items, "rating": left}
    with _frame("als", columns, training) as frame:
        made = factorise(frame, replace(config, seed=training.seed), training.on_progress)
    of_users, of_items = _dense(made.users, "user_id", data.num_users), _dense(made.items, "item_id", data.num_items)
    return Trained(RatingFactors(biases, of_users, of_items))


def train_item_similarity(data: Interactions, config: ItemSimilarityConfig, training: Training) -> Trained:
    """Find the neighbours of every item.

    Raises:
        Failure: there is nothing to compare.
    """
    from spark_jobs.item_similarity import item_similarity

    columns = _pairs(data)
    as_of = datetime.fromtimestamp(int(columns["last_time"].max(initial=0)) / 1e6, UTC).date().isoformat()
    columns["last_time"] = columns["last_time"].astype("datetime64[us]")
    with _frame("item_similarity", {n: columns[n] for n in ("user_id", "item_id", "last_time")}, training) as frame:
        found = item_similarity(frame, as_of, config).toArrow()
    items, neighbours, scores = (found[name].to_numpy() for name in ("item_id", "neighbour_id", "score"))
    return Trained(Neighbours.of(items, neighbours, scores, _strangers(data)))


def _pairs(data: Interactions) -> dict[str, np.ndarray]:
    """One row a user and item, as in the dataset `interactions`: how often is the weight.

    Without times the place in an ordered history stands for one, so that the newest of a long history are known.
    """
    rows, items = data.histories.rows, data.histories.items
    places = np.arange(len(rows)) - data.histories.offsets[rows] if data.ordered else np.zeros(len(rows), np.int64)
    times = places if data.times is None else data.times
    keys, row_of, weights = np.unique(rows * data.num_items + items, return_inverse=True, return_counts=True)
    last = np.zeros(len(keys), np.int64)
    np.maximum.at(last, row_of, times)
    return {
        "user_id": (keys // data.num_items).astype(np.int32),
        "item_id": (keys % data.num_items).astype(np.int32),
        "weight": weights.astype(np.float32),
        "last_time": last * 1_000_000,
    }


@contextmanager
def _frame(job: str, columns: dict[str, np.ndarray], training: Training) -> "Iterator[DataFrame]":
    """The columns in Spark, in the application that runs, or in one that writes into the scratch folder."""
    spark = session(ResourcesConfig(threads=training.threads), training.scratch)
    path = training.scratch / f"{job}.parquet"
    table = pa.table(columns)
    if "last_time" in columns:
        table = table.set_column(2, "last_time", table["last_time"].cast(pa.timestamp("us", tz="UTC")))
    pq.write_table(table, path)
    with explained(job):
        yield spark.read.parquet(str(path))


def _dense(factors: pa.Table, ids: str, size: int) -> Floats:
    """float32 `[size, F]`; zeros for ids without factors."""
    values = factors["factors"].combine_chunks().flatten().to_numpy().reshape(len(factors), -1)
    found = np.zeros((size, values.shape[1]), np.float32)
    found[factors[ids].to_numpy()] = values
    return found


def _strangers(data: Interactions) -> Floats:
    """What is said of those without a history: popularity as it ships."""
    return decayed_counts(data, PopularityConfig().half_life_days)
