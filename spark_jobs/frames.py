"""Between the lake's declared datasets and DataFrames, and the few expressions that several jobs share."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from expectations.datasets import Dataset
from spark_jobs.spark_internals import spark_types

DAY_S = 86_400

_UNITS = 2.0**24
"""Steps to one in exact sums. A sum may reach 5e11, beyond which Spark reports an overflow."""

_LARGEST = 5e11


def spark_schema(dataset: Dataset) -> StructType:
    """The declared schema in Spark's types."""
    return spark_types(dataset.schema)


def read(spark: SparkSession, dataset: Dataset, files: Iterable[str | Path]) -> DataFrame:
    """Rows of a dataset from Parquet files or folders; none of them gives an empty frame of its schema."""
    paths = [str(path) for path in files]
    if not paths:
        return spark.createDataFrame([], spark_schema(dataset))
    return spark.read.schema(spark_schema(dataset)).parquet(*paths)


def typed(frame: DataFrame, dataset: Dataset) -> DataFrame:
    """Exactly the declared columns, in order and type."""
    return frame.select(*(F.col(f.name).cast(f.dataType).alias(f.name) for f in spark_schema(dataset)))


def end_of(day: str) -> datetime:
    """The first moment after a day (ISO), in UTC."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)


def until(frame: DataFrame, day: str) -> DataFrame:
    """Rows that had happened by the end of a day."""
    return frame.filter(F.col("time") < F.lit(end_of(day)))


def age_days(time: Column, day: str) -> Column:
    """Days from a moment to the end of a day."""
    return (F.lit(end_of(day).timestamp()) - F.unix_micros(time) / 1e6) / DAY_S


def decay(time: Column, day: str, half_life_days: float) -> Column:
    """1 at the end of a day, half of that one half-life earlier; always 1 for a half-life of 0."""
    if half_life_days == 0:
        return F.lit(1.0)
    return F.pow(F.lit(2.0), -age_days(time, day) / half_life_days)


def exact_sum(value: Column, name: str) -> Column:
    """A sum that does not depend on the order of the rows, so that it repeats under every number of partitions.

    Floating-point sums do not. Values are rounded to 2^-24 and summed as integers. NaN, infinity and what is too large
    end the job with a message that says `name`.
    """
    refuse = F.raise_error(F.concat(F.lit(f"{name} is "), value.cast("string"), F.lit(", which cannot be summed")))
    units = F.when(F.abs(value) <= _LARGEST, F.rint(value * _UNITS).cast("bigint"))
    return F.sum(units.when(value.isNotNull(), refuse)) / _UNITS
