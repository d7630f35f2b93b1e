"""Sparse matrices as Spark partitions: the rows of one block, packed (CSR), are one record.

What a JVM row costs, a packed entry costs a tenth; and the inner loops want arrays anyway.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark import RDD
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

ENTRIES_PER_BLOCK = 500_000
_PACKED = "rows binary, indptr binary, columns binary, values binary"


@dataclass(frozen=True)
class Block:
    """Some rows of a sparse matrix: ids of its R rows, and their N entries sorted by column.

    Shapes: rows int32 [R], indptr int64 [R + 1], columns int32 [N], values float32 or float64 [N].
    """

    rows: npt.NDArray[np.int32]
    indptr: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int32]
    values: npt.NDArray[np.floating[Any]]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Entries of every row."""
        return np.diff(self.indptr)


def num_blocks(entries: int) -> int:
    """Blocks for so many entries: a function of the data alone, so that every cluster makes the same ones."""
    return max(2, -(-entries // ENTRIES_PER_BLOCK))


def csr_blocks(frame: DataFrame, row: str, column: str, value: Column, blocks: int) -> "RDD[Block]":
    """Pack a frame of (row, column, value) into blocks; every row is whole in one block, chosen by its hash.

    Args:
        value: a float or a double, which decides the type of the blocks' values.
    """
    entries = frame.select(F.col(row).alias("row"), F.col(column).alias("column"), value.alias("value"))
    entries = entries.repartition(blocks, "row")
    return entries.mapInArrow(_pack, _PACKED).rdd.map(_unpack)


def first_bad_value(block: Block, row: str, column: str, value: str) -> str:
    """Words about the first entry that is NaN or infinite; empty when all is well."""
    bad = np.flatnonzero(~np.isfinite(block.values))
    if not len(bad):
        return ""
    row_id = block.rows[np.searchsorted(block.indptr, bad[0], side="right") - 1]
    return (
        f"{value} is {block.values[bad[0]]} for {row} {row_id}, {column} {block.columns[bad[0]]} "
        f"({len(bad)} such rows or more); correct or drop them where they come from"
    )


def _pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    parts = [[batch.column(n).to_numpy() for n in range(3)] for batch in batches]
    if parts:
        row, column, value = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    else:
        row, column, value = np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32)
    order = np.argsort(row.astype(np.int64) << 32 | column.astype(np.int64), kind="stable")
    rows, begins = np.unique(row[order], return_index=True)
    arrays = (rows, np.append(begins, len(row)).astype(np.int64), column[order], value[order])
    yield pa.record_batch(
        [pa.array([a.tobytes()], pa.binary()) for a in arrays], ["rows", "indptr", "columns", "values"]
    )


def _unpack(record: tuple[bytes, bytes, bytes, bytes]) -> Block:
    rows, indptr, columns, values = record
    value_type = np.float32 if len(values) == len(columns) else np.float64
    return Block(
        np.frombuffer(rows, np.int32),
        np.frombuffer(indptr, np.int64),
        np.frombuffer(columns, np.int32),
        np.frombuffer(values, value_type),
    )
