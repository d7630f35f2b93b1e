"""Packing sparse matrices into partitions."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy import sparse

from spark_jobs.blocks import ENTRIES_PER_BLOCK, Block, csr_blocks, first_bad_value, num_blocks


@pytest.fixture
def entries() -> pa.Table:
    rng = np.random.default_rng(0)
    keys = rng.choice(50 * 30, 400, replace=False)
    values = rng.random(400).astype(np.float32)
    return pa.table(
        {"user_id": (keys // 30).astype(np.int32), "item_id": (keys % 30).astype(np.int32), "weight": values}
    )


def as_matrix(blocks: list[Block]) -> sparse.csr_matrix:
    parts = [np.repeat(b.rows, b.counts) for b in blocks], [b.columns for b in blocks], [b.values for b in blocks]
    rows, columns, values = (np.concatenate(part) for part in parts)
    return sparse.csr_matrix((values, (rows, columns)), shape=(50, 30))


def test_blocks_hold_the_matrix(spark: SparkSession, entries: pa.Table) -> None:
    blocks = csr_blocks(spark.createDataFrame(entries), "user_id", "item_id", F.col("weight"), 3).collect()
    expected = sparse.csr_matrix((entries["weight"], (entries["user_id"], entries["item_id"])), shape=(50, 30))
    assert len(blocks) == 3
    assert (as_matrix(blocks) != expected).nnz == 0
    rows = np.concatenate([block.rows for block in blocks])
    assert len(rows) == len(set(rows)), "a row is whole in one block"
    for block in blocks:
        assert block.values.dtype == np.float32
        for begin, end in zip(block.indptr, block.indptr[1:], strict=False):
            assert (np.diff(block.columns[begin:end]) > 0).all()


def test_the_order_of_entries_does_not_matter(
    spark: SparkSession, entries: pa.Table, shuffled: Callable[..., DataFrame]
) -> None:
    frames = spark.createDataFrame(entries), shuffled(entries)
    one, other = (csr_blocks(f, "item_id", "user_id", F.col("weight"), 4).collect() for f in frames)
    for a, b in zip(one, other, strict=True):
        for name in ("rows", "indptr", "columns", "values"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_more_blocks_than_rows_and_doubles(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1, 2, 0.1)], "user_id int, item_id int, t double")
    blocks = csr_blocks(frame, "user_id", "item_id", F.col("t"), 4).collect()
    assert sorted(len(block.rows) for block in blocks) == [0, 0, 0, 1]
    (block,) = (b for b in blocks if len(b.rows))
    assert block.values.tolist() == [0.1] and block.indptr.tolist() == [0, 1]


def test_blocks_grow_with_the_data_alone() -> None:
    assert num_blocks(10) == 2
    assert num_blocks(7 * ENTRIES_PER_BLOCK + 1) == 8


def test_a_bad_value_is_named() -> None:
    arrays = np.array([4, 9], np.int32), np.array([0, 2, 4]), np.array([1, 2, 5, 6], np.int32)
    assert first_bad_value(Block(*arrays, np.ones(4)), "user_id", "item_id", "weight") == ""
    values = np.array([1, 1, 1, np.nan])
    words = first_bad_value(Block(*arrays, values), "user_id", "item_id", "weight")
    assert words.startswith("weight is nan for user_id 9, item_id 6 (1 such rows or more)")
