"""Items that the same people watched: cosine, Jaccard or lift of co-occurrence, with shrinkage, damping and decay.

Sarwar et al., "Item-Based Collaborative Filtering Recommendation Algorithms" (WWW 2001); Deshpande, Karypis,
"Item-Based Top-N Recommendation Algorithms" (TOIS 2004); Aiolli, "Efficient Top-N Recommendation for Very Large Scale
Binary Rated Datasets" (RecSys 2013). With w_ui the weight of user u's watch of item i, decayed and divided by the root
of n_u^user_damping (n_u the items of u), c = sum over users of w_ui w_uj and m_i = sum of w_ui^2 (without decay and
damping: users in common, users of the item), a the asymmetry:

    cosine  c / (m_i^a m_j^(1-a))    jaccard  c / (m_i + m_j - c)        lift  c * users / (m_i m_j)
    score = metric * c / (c + shrinkage) / m_j^popularity_damping

The capped histories are packed by user in Spark, then broadcast, and every task accumulates the rows of some items:
no pair of items ever becomes a JVM row (a DataFrame self-join of 10 million interactions makes billions). The packed
histories, 12 bytes an interaction, must fit into a worker.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.datasets import ITEM_SIMILARITY
from expectations.errors import Failure
from spark_jobs.blocks import Block, csr_blocks, num_blocks
from spark_jobs.config import ItemSimilarityConfig
from spark_jobs.frames import DAY_S, end_of, typed
from spark_jobs.kernels import top_neighbours
from spark_jobs.program import Job

PAIRS_PER_TASK = 200_000_000
METRICS = ("cosine", "jaccard", "lift")


@dataclass(frozen=True)
class Watched:
    """Who watched what, with weights, by user and by item (CSR both).

    Shapes: by_user [U + 1], user_items and user_weights [N]; by_item [I + 1], item_users and item_weights [N];
    mass, the sum of squared weights of every item, [I]. Users are numbered as they come, items by their ids.
    """

    by_user: npt.NDArray[np.int64]
    user_items: npt.NDArray[np.int32]
    user_weights: npt.NDArray[np.float32]
    by_item: npt.NDArray[np.int64]
    item_users: npt.NDArray[np.int32]
    item_weights: npt.NDArray[np.float32]
    mass: npt.NDArray[np.float64]

    @property
    def pairs(self) -> int:
        """Pairs of items to accumulate."""
        return int(np.square(np.diff(self.by_user)).sum())


def item_similarity(interactions: DataFrame, as_of: str, config: ItemSimilarityConfig) -> DataFrame:
    """The best neighbours of every item that shares a user with another, as of the end of day `as_of`."""
    spark, count = interactions.sparkSession, interactions.count()
    if count == 0:
        raise Failure("item_similarity: there are no interactions in the window to compare items by")
    blocks = csr_blocks(
        interactions, "user_id", "item_id", F.unix_micros("last_time").cast("double"), num_blocks(count)
    )
    watched = gather(blocks.map(_Weighing(end_of(as_of).timestamp(), config).weigh).collect())
    sent = spark.sparkContext.broadcast(watched)
    tasks = max(2, -(-watched.pairs // PAIRS_PER_TASK))
    numbers = spark.range(0, tasks, numPartitions=tasks)
    schema = "item_id int, neighbour_id int, score float, rank smallint"
    return typed(numbers.mapInArrow(_Search(sent, tasks, config).neighbours, schema), ITEM_SIMILARITY)


@dataclass(frozen=True)
class _Weighing:
    """Caps every user's history to its newest items, and turns times into decayed weights."""

    end: float
    config: ItemSimilarityConfig

    def weigh(self, block: Block) -> Block:
        """A block with times for values, made one with weights for values."""
        row = np.repeat(np.arange(len(block.rows)), block.counts)
        newest_first = np.lexsort((block.columns, -block.values, row))
        place = np.arange(len(row)) - block.indptr[row]
        kept = np.sort(newest_first[place < self.config.max_items_per_user])
        indptr = np.searchsorted(row[kept], np.arange(len(block.rows) + 1))
        age_days = (self.end - block.values[kept] / 1e6) / DAY_S
        half_life = self.config.half_life_days
        weights = np.exp2(-age_days / half_life) if half_life else np.ones(len(kept))
        # Two weights of a user are multiplied: each has half of the damping.
        weights *= np.diff(indptr)[row[kept]] ** (-self.config.user_damping / 2)
        return Block(block.rows, indptr, block.columns[kept], weights)


def gather(blocks: list[Block]) -> Watched:
    """Put the blocks of all users together, and turn them by item."""
    sizes = np.concatenate([block.counts for block in blocks])
    user_items = np.concatenate([block.columns for block in blocks])
    user_weights = np.concatenate([block.values for block in blocks]).astype(np.float32)
    user = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    order = np.argsort(user_items, kind="stable")
    item_sizes = np.bincount(user_items)
    return Watched(
        by_user=_begins(sizes),
        user_items=user_items,
        user_weights=user_weights,
        by_item=_begins(item_sizes),
        item_users=user[order],
        item_weights=user_weights[order],
        mass=np.bincount(user_items, np.square(user_weights, dtype=np.float64)).astype(np.float64),
    )


def _begins(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


@dataclass(frozen=True)
class _Search:
    """What every task runs, and what it needs: task n of `tasks` finds the neighbours of items n, n + tasks, ..."""

    sent: "Broadcast[Watched]"
    tasks: int
    config: ItemSimilarityConfig

    def neighbours(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Rows of item, neighbour, score and rank for the task numbers given."""
        w, config = self.sent.value, self.config
        measure = (
            METRICS.index(config.metric), float(config.asymmetry), float(config.shrinkage),
            float(config.popularity_damping), len(w.by_user) - 1,
        )  # fmt: skip
        for number in (n for batch in batches for n in batch.column(0).to_pylist()):
            items = np.arange(number, len(w.mass), self.tasks, dtype=np.int32)
            ids, scores, found = top_neighbours(
                items, w.by_item, w.item_users, w.item_weights, w.by_user, w.user_items, w.user_weights,
                w.mass, measure, config.top_k,
            )  # fmt: skip
            valid = np.arange(config.top_k) < found[:, None]
            ranks = np.broadcast_to(np.arange(1, config.top_k + 1, dtype=np.int16), ids.shape)
            columns = (np.repeat(items, found), ids[valid], scores[valid], ranks[valid])
            yield pa.record_batch([pa.array(c) for c in columns], ["item_id", "neighbour_id", "score", "rank"])


JOB = Job("item_similarity", ItemSimilarityConfig, inputs=("interactions",))


def main(argv: list[str] | None = None) -> None:
    job = JOB.program(argv)
    interactions = job.read("interactions")
    neighbours = item_similarity(interactions, job.as_of, job.config)
    job.write(item_similarity=neighbours)


if __name__ == "__main__":
    # Of a script, cloudpickle would send the code instead of its name, and every worker compile the kernel anew.
    from spark_jobs.item_similarity import main as main_by_name

    main_by_name()
