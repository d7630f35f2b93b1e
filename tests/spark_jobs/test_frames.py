"""Reading and typing datasets, and sums that do not depend on the order of rows."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from expectations.datasets import DATASETS, HISTORIES, WATCHES, Dataset
from spark_jobs.frames import decay, end_of, exact_sum, read, typed


@pytest.mark.parametrize("name", [name for name, dataset in DATASETS.items() if dataset.is_table])
def test_every_dataset_keeps_its_types_through_spark(spark: SparkSession, name: str) -> None:
    dataset = DATASETS[name]
    found = typed(read(spark, dataset, []), dataset).toArrow().schema
    assert found.names == dataset.schema.names
    for ours, declared in zip(found, dataset.schema, strict=True):
        if pa.types.is_list(declared.type):
            assert ours.type.value_type == declared.type.value_type
        else:
            assert ours.type == declared.type


def test_parquet_comes_back_as_it_was(spark: SparkSession, log: dict[str, pa.Table], tmp_path: Path) -> None:
    folders = [tmp_path / "day=1", tmp_path / "day=2"]
    for folder, rows in zip(folders, (log["watches"][:300], log["watches"][300:]), strict=True):
        folder.mkdir()
        pq.write_table(rows, folder / "part-00000.parquet")
    found = read(spark, WATCHES, [folders[0] / "part-00000.parquet", folders[1]]).toArrow()
    assert found.cast(WATCHES.schema).sort_by("watch_id") == log["watches"].cast(WATCHES.schema).sort_by("watch_id")


def test_written_times_are_microseconds_in_utc(spark: SparkSession, log: dict[str, pa.Table], tmp_path: Path) -> None:
    spark.createDataFrame(log["watches"]).select("time").write.parquet(str(tmp_path / "out"))
    assert pq.read_table(tmp_path / "out").schema.field("time").type == pa.timestamp("us", tz="UTC")


def test_lists_are_typed(spark: SparkSession, rows_of: Callable[[DataFrame, Dataset], pa.Table]) -> None:
    columns = "user_id long, item_ids array<long>, times array<int>, watch_shares array<double>, seen array<long>"
    frame = spark.createDataFrame([(1, [2], [3], [0.5], [2, 3], None)], f"{columns}, searched array<string>")
    assert rows_of(typed(frame, HISTORIES), HISTORIES).to_pylist() == [
        {"user_id": 1, "item_ids": [2], "times": [3], "watch_shares": [0.5], "seen": [2, 3], "searched": None}
    ]


def test_exact_sums_do_not_depend_on_order(spark: SparkSession) -> None:
    values = np.random.default_rng(0).lognormal(0, 4, 20_000)
    # Floating point gives another sum in each order; the exact one is the same under every partitioning.
    assert sum(values) != sum(values[::-1])
    sums = set()
    for order, partitions in ((values, 1), (values[::-1], 7), (np.sort(values), 3)):
        frame = spark.createDataFrame(pa.table({"v": order})).repartition(partitions)
        sums.add(frame.agg(exact_sum(F.col("v"), "v")).collect()[0][0])
    (found,) = sums
    assert found == pytest.approx(values.sum(), rel=1e-12)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e13])
def test_exact_sums_refuse_what_is_no_number(spark: SparkSession, bad: float) -> None:
    frame = spark.createDataFrame([(1.0,), (bad,), (None,)], "v double")
    with pytest.raises(PySparkException, match=r"watches.weight is .*, which cannot be summed"):
        frame.agg(exact_sum(F.col("v"), "watches.weight")).collect()


def test_exact_sums_leave_out_nulls(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1.5,), (None,)], "v double")
    assert frame.agg(exact_sum(F.col("v"), "v")).collect()[0][0] == 1.5


def test_decay_halves_every_half_life(spark: SparkSession) -> None:
    end = end_of("2026-03-10")
    times = [(end - timedelta(days=age),) for age in (0, 3, 6)]
    frame = spark.createDataFrame(times, "time timestamp").coalesce(1)
    assert [r[0] for r in frame.select(decay(F.col("time"), "2026-03-10", 3)).collect()] == [1.0, 0.5, 0.25]
    assert [r[0] for r in frame.select(decay(F.col("time"), "2026-03-10", 0)).collect()] == [1.0, 1.0, 1.0]
