"""Items by how many positives they have had, newer ones counting more: the oldest recommender, and the baseline."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from expectations.datasets import POPULARITY
from spark_jobs.config import PopularityConfig
from spark_jobs.frames import decay, exact_sum, typed, until
from spark_jobs.program import Job


def popularity(watches: DataFrame, as_of: str, config: PopularityConfig) -> DataFrame:
    """Items with positives up to the end of day `as_of`, keyed by item; equal scores rank by item id."""
    positives = until(watches, as_of).filter("positive")
    by_pair = positives.groupBy("item_id", "user_id").agg(
        exact_sum(decay(F.col("time"), as_of, config.half_life_days), "decay").alias("score")
    )
    items = by_pair.groupBy("item_id").agg(
        exact_sum(F.col("score"), "score").alias("score"),
        F.count("*").alias("num_users"),
    )
    # One partition sorts them all, which catalogues are small enough for.
    order = Window.orderBy(F.desc("score"), F.asc("item_id"))
    return typed(items.withColumn("rank", F.row_number().over(order)), POPULARITY)


JOB = Job("popularity", PopularityConfig, inputs=("watches",))


def main(argv: list[str] | None = None) -> None:
    job = JOB.program(argv)
    watches = job.read("watches")
    ranking = popularity(watches, job.as_of, job.config)
    job.write(popularity=ranking)


if __name__ == "__main__":
    main()
