"""What everybody did, as sentences: plays, actions and searches of a user in one sequence, oldest first.

What a transformer reads (Hsiao et al. 2025, "Foundation Model for Personalized Recommendation", Netflix): tokens of
several kinds, each with what is known of it.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from expectations.datasets import SENTENCES
from spark_jobs.config import SentencesConfig
from spark_jobs.frames import typed, until
from spark_jobs.program import Job

_PLURALS = {
    "second": "times", "action": "actions", "item_id": "item_ids", "positive": "positives", "share": "watch_shares",
    "device_type": "device_types", "query": "queries",
}  # fmt: skip


def sentences(
    watches: DataFrame, actions: DataFrame, searches: DataFrame, as_of: str, config: SentencesConfig
) -> DataFrame:
    """The newest tokens of every user who did anything by the end of day `as_of`; frames may be empty.

    Of tokens of one moment searches come first, then plays, then what was done about them.
    """
    tokens = _plays(watches).unionByName(_actions(actions, config)).unionByName(_searches(searches, config))
    ordered = F.sort_array(F.collect_list(F.struct("time", "kind", "id", *_PLURALS)))
    users = until(tokens, as_of).groupBy("user_id").agg(ordered.alias("all"))
    begin = F.greatest(F.size("all") - config.length, F.lit(0)) + 1
    newest = users.withColumn("newest", F.slice("all", begin, config.length))
    columns = [F.col(f"newest.{name}").alias(plural) for name, plural in _PLURALS.items()]
    return typed(newest.select("user_id", *columns), SENTENCES)


def _plays(watches: DataFrame) -> DataFrame:
    return watches.select(
        *_about("watch_id", 1),
        F.lit("play").alias("action"),
        "item_id",
        "positive",
        F.coalesce("completion", F.lit(-1.0)).cast("float").alias("share"),
        F.lit("").alias("query"),
    )


def _actions(actions: DataFrame, config: SentencesConfig) -> DataFrame:
    return actions.filter(F.col("action").isin(*config.actions)).select(
        *_about("action_id", 2),
        "action",
        F.coalesce("item_id", F.lit(-1)).alias("item_id"),
        F.lit(False).alias("positive"),
        F.lit(-1.0).cast("float").alias("share"),
        F.lit("").alias("query"),
    )


def _searches(searches: DataFrame, config: SentencesConfig) -> DataFrame:
    kept = searches if "search" in config.actions else searches.limit(0)
    return kept.select(
        *_about("search_id", 0),
        F.lit("search").alias("action"),
        # What was clicked comes as a play of its own: a token that gave it away would leave nothing to predict.
        F.lit(-1).alias("item_id"),
        F.lit(False).alias("positive"),
        F.lit(-1.0).cast("float").alias("share"),
        F.array_join("tokens", " ").alias("query"),
    )


def _about(key: str, kind: int) -> list[Column]:
    """Who and when; `kind` and the key settle the order of tokens of one moment."""
    return [
        F.col("user_id"),
        F.col("time"),
        F.unix_seconds("time").alias("second"),
        F.lit(kind).alias("kind"),
        F.col(key).cast("bigint").alias("id"),
        F.coalesce("device_type", F.lit("")).alias("device_type"),
    ]


JOB = Job("sentences", SentencesConfig, inputs=("watches",), optional=("actions", "searches"))


def main(argv: list[str] | None = None) -> None:
    job = JOB.program(argv)
    made = sentences(job.read("watches"), job.read("actions"), job.read("searches"), job.as_of, job.config)
    job.write(sentences=made)


if __name__ == "__main__":
    main()
