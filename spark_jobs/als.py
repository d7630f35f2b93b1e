"""Matrix factorisation by alternating least squares, for implicit and for explicit feedback.

Implicit: Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (ICDM 2008). Explicit: Zhou et
al., "Large-scale Parallel Collaborative Filtering for the Netflix Prize" (AAIM 2008). Rows are solved by conjugate
gradients: Takács, Pilászy, Tikk, "Applications of the Conjugate Gradient Method for Implicit Feedback Collaborative
Filtering" (RecSys 2011). MLlib's ALS without native BLAS is many times slower (`benchmarks/als.py`).

The ratings lie packed and cached in Spark's partitions, by user and by item. A sweep broadcasts one side's factors,
solves the other side's rows where they lie, and collects them. Every row is solved on its own and Gram matrices are
summed in block order, so the result does not depend on the master, nor on the order of the input.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark import RDD, Broadcast, StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.datasets import ALS_ITEM_FACTORS, ALS_USER_FACTORS, Dataset
from expectations.errors import Failure
from expectations.progress import OnProgress
from spark_jobs.blocks import Block, csr_blocks, first_bad_value, num_blocks
from spark_jobs.config import AlsConfig
from spark_jobs.interactions import ratings
from spark_jobs.kernels import solve_rows
from spark_jobs.program import Job

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Factorisation:
    """Factors of the users and items that have interactions, and the loss after every sweep."""

    users: pa.Table
    items: pa.Table
    losses: list[float]


def als(interactions: DataFrame, config: AlsConfig) -> tuple[DataFrame, DataFrame]:
    """Factors of users and of items as frames; see `factorise`."""
    result, spark = factorise(interactions, config), interactions.sparkSession
    return spark.createDataFrame(result.users), spark.createDataFrame(result.items)


def factorise(
    interactions: DataFrame, config: AlsConfig, report: OnProgress = lambda done, total, what: None
) -> Factorisation:
    """Factorise (`user_id`, `item_id`, `weight`), or for explicit feedback (`user_id`, `item_id`, `rating`).

    Raises:
        Failure: there are no interactions, a value is no number, or the loss is none.
    """
    value = "weight" if config.feedback == "implicit" else "rating"
    count = interactions.count()
    if count == 0:
        raise Failure(f"als: nothing in the window has a {value}, so there is nothing to factorise")
    sides: list[_Side] = []
    try:
        sides.append(_Side.of(interactions, "user_id", "item_id", value, count, config))
        sides.append(_Side.of(interactions, "item_id", "user_id", value, count, config))
        users, items = sides
        losses = _sweep(users, items, config, report)
        return Factorisation(users.table(ALS_USER_FACTORS), items.table(ALS_ITEM_FACTORS), losses)
    finally:
        for side in sides:
            side.release()


@dataclass(frozen=True)
class _BlockFacts:
    """What the driver must know of a block: its rows, their sizes, and sums of its values."""

    bad: str
    ids: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int64]
    total: float
    squares: float


@dataclass(frozen=True)
class _Problem:
    """What every block is solved with; travels to the workers. Shapes: factors [largest id + 1, F], gram [F, F]."""

    config: AlsConfig
    own: "Broadcast[Floats]"
    other: "Broadcast[Floats]"
    gram: Floats

    def solve(self, block: Block) -> tuple[Floats, float, Doubles]:
        """New factors of the block's rows, the objective reached, and the Gram matrix of the new factors."""
        x_RF, implicit = self.own.value[block.rows], self.config.feedback == "implicit"
        values = block.values.astype(np.float32, copy=False)
        curvature = np.float32(self.config.alpha) * values if implicit else np.ones_like(values)
        target = 1 + curvature if implicit else values
        ridge_R = _ridge(block.counts, self.config).astype(np.float32)
        objective = solve_rows(
            block.indptr, block.columns, curvature, target, self.other.value,
            self.gram, implicit, ridge_R, self.config.cg_steps, x_RF,
        )  # fmt: skip
        return x_RF, objective, _gram(x_RF)


@dataclass
class _Side:
    """One side of the matrix: its packed rows in Spark, its factors in the driver and, broadcast, in the workers."""

    blocks: "RDD[Block]"
    told: list[_BlockFacts]
    factors: Floats
    sent: "Broadcast[Floats]"

    @classmethod
    def of(cls, entries: DataFrame, row: str, column: str, value: str, count: int, config: AlsConfig) -> "_Side":
        """Pack and cache the rows; factors start at zero."""
        blocks = csr_blocks(entries, row, column, F.col(value).cast("float"), num_blocks(count))
        blocks = blocks.persist(StorageLevel.MEMORY_AND_DISK)
        told = blocks.map(functools.partial(_facts_of, row=row, column=column, value=value)).collect()
        if bad := [one.bad for one in told if one.bad]:
            blocks.unpersist()
            raise Failure(f"als: {bad[0]}")
        size = 1 + max(int(one.ids.max()) for one in told if len(one.ids))
        factors = np.zeros((size, config.factors), np.float32)
        return cls(blocks, told, factors, blocks.context.broadcast(factors))

    def start(self, seed: int) -> Doubles:
        """Begin from random factors of about unit length; returns their Gram matrix."""
        drawn = np.random.default_rng(seed).standard_normal(self.factors.shape, np.float32)
        drawn /= np.float32(np.sqrt(drawn.shape[1]))
        self._place([drawn[one.ids] for one in self.told])
        sent = self.sent
        return _total(self.blocks.map(lambda block: _gram(sent.value[block.rows])).collect())

    def solve(self, other: "_Side", gram: Doubles, config: AlsConfig) -> tuple[Doubles, float]:
        """Solve all rows; returns the Gram matrix of their new factors and the objective reached."""
        problem = _Problem(config, self.sent, other.sent, gram.astype(np.float32))
        factors, objectives, grams = zip(*self.blocks.map(problem.solve).collect(), strict=True)
        self._place(factors)
        return _total(grams), sum(objectives)

    def _place(self, factors: Iterable[Floats]) -> None:
        for one, x_RF in zip(self.told, factors, strict=True):
            self.factors[one.ids] = x_RF
        self.sent.destroy()
        self.sent = self.blocks.context.broadcast(self.factors)

    def penalty(self, config: AlsConfig) -> float:
        """The ridge term of the loss."""
        ids, counts = (np.concatenate([getattr(one, name) for one in self.told]) for name in ("ids", "counts"))
        return float(_ridge(counts, config) @ np.square(self.factors[ids]).sum(axis=1, dtype=np.float64))

    def table(self, dataset: Dataset) -> pa.Table:
        ids = np.sort(np.concatenate([one.ids for one in self.told]))
        offsets = np.arange(len(ids) + 1, dtype=np.int32) * self.factors.shape[1]
        factors = pa.ListArray.from_arrays(offsets, self.factors[ids].ravel())
        return pa.Table.from_arrays([pa.array(ids), factors], dataset.schema.names).cast(dataset.schema)

    def release(self) -> None:
        self.blocks.unpersist()
        self.sent.destroy()


def _sweep(users: _Side, items: _Side, config: AlsConfig, report: OnProgress) -> list[float]:
    """Solve users and items in turn; returns the loss after every sweep."""
    implicit = config.feedback == "implicit"
    # The objectives leave out what the factors do not change: the loss of predicting 0 everywhere.
    total, squares = sum(one.total for one in users.told), sum(one.squares for one in users.told)
    entries = sum(int(one.counts.sum()) for one in users.told)
    constant = entries + config.alpha * total if implicit else squares
    losses: list[float] = []
    items_gram = items.start(config.seed)
    for sweep in range(1, config.iterations + 1):
        users_gram, _ = users.solve(items, items_gram, config)
        items_gram, objective = items.solve(users, users_gram, config)
        losses.append(constant + objective + users.penalty(config))
        report(sweep, config.iterations, f"loss {losses[-1]:.6g}")
        if not np.isfinite(losses[-1]):
            raise Failure(f"als: the loss is {losses[-1]} after sweep {sweep}; raise `regularisation` or lower `alpha`")
    return losses


def _facts_of(block: Block, row: str, column: str, value: str) -> _BlockFacts:
    bad = first_bad_value(block, row, column, value)
    return _BlockFacts(
        bad,
        block.rows,
        block.counts,
        float(block.values.sum(dtype=np.float64)),
        float(np.square(block.values, dtype=np.float64).sum()),
    )


def _ridge(counts: npt.NDArray[np.int64], config: AlsConfig) -> Doubles:
    """Penalty of every row: Zhou et al. weight it with the row's number of entries."""
    weights = counts if config.weighted_regularisation else np.ones(len(counts))
    return weights.astype(np.float64) * config.regularisation


def _gram(x_RF: Floats) -> Doubles:
    return (x_RF.T @ x_RF).astype(np.float64)


def _total(grams: Iterable[Doubles]) -> Doubles:
    """Their sum, in the order of the blocks."""
    return functools.reduce(np.add, grams)


JOB = Job("als", AlsConfig, optional=("interactions", "watches"))


def main(argv: list[str] | None = None) -> None:
    job = JOB.program(argv)
    entries = ratings(job.read("watches"), job.as_of) if job.config.feedback == "explicit" else job.read("interactions")
    users, items = als(entries, job.config)
    job.write(als_user_factors=users, als_item_factors=items)


if __name__ == "__main__":
    # Of a script, cloudpickle would send the code instead of its name, and every worker compile the kernel anew.
    from spark_jobs.als import main as main_by_name

    main_by_name()
