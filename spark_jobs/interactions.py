"""The window's watches as one row a user and item: what the collaborative models learn from."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from expectations.datasets import INTERACTIONS
from spark_jobs.config import InteractionsConfig
from spark_jobs.frames import decay, exact_sum, typed, until
from spark_jobs.program import Job

SMALLEST_WEIGHT = 2.0**-24
"""Decay never takes a positive's weight to 0: it stays one."""


def interactions(watches: DataFrame, as_of: str, config: InteractionsConfig) -> DataFrame:
    """The positives up to the end of day `as_of`, with weights decayed to it, keyed by user and item."""
    positives = until(watches, as_of).filter("positive")
    weight = F.col("weight") * decay(F.col("time"), as_of, config.half_life_days)
    pairs = positives.groupBy("user_id", "item_id").agg(
        F.count("*").alias("num_watches"),
        exact_sum(F.coalesce("watch_s", F.lit(0.0)), "watches.watch_s").alias("watch_s"),
        _last_rating().alias("rating"),
        F.greatest(exact_sum(weight, "watches.weight"), F.lit(SMALLEST_WEIGHT)).alias("weight"),
        F.max("time").alias("last_time"),
    )
    return typed(pairs, INTERACTIONS)


def ratings(watches: DataFrame, as_of: str) -> DataFrame:
    """Last explicit rating of every user and item, liked or not: (`user_id`, `item_id`, `rating`)."""
    rated = until(watches, as_of).filter("rating is not null")
    return rated.groupBy("user_id", "item_id").agg(_last_rating().alias("rating"))


def _last_rating() -> Column:
    """The last rating; of two in the same microsecond, the one with the larger watch id (modulo 4096).

    One number to order by, because Spark must sort all rows to find the largest pair.
    """
    moment = F.unix_micros("time") * 4096 + F.pmod("watch_id", F.lit(4096))
    return F.max_by("rating", F.when(F.col("rating").isNotNull(), moment))


JOB = Job("interactions", InteractionsConfig, inputs=("watches",))


def main(argv: list[str] | None = None) -> None:
    job = JOB.program(argv)
    watches = job.read("watches")
    pairs = interactions(watches, job.as_of, job.config)
    job.write(interactions=pairs)


if __name__ == "__main__":
    main()
