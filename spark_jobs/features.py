"""What a window of the log says of users and items as of one day: counts, rates, histories, exposures.

Everything here is computed from what had happened by the end of that day, so that a model trained on a later day
never sees its own future.
"""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from expectations.datasets import EXPOSURES, HISTORIES, ITEM_FEATURES, USER_FEATURES
from spark_jobs.config import FeaturesConfig
from spark_jobs.frames import age_days, decay, exact_sum, typed, until
from spark_jobs.program import Job

TOP_GENRES = 5


@dataclass(frozen=True)
class Features:
    """The four datasets of one day."""

    user_features: DataFrame
    item_features: DataFrame
    histories: DataFrame
    exposures: DataFrame


def features(
    watches: DataFrame,
    impressions: DataFrame,
    searches: DataFrame,
    items: DataFrame,
    as_of: str,
    config: FeaturesConfig,
) -> Features:
    """All features as of the end of day `as_of`; `impressions` and `searches` may be empty, as in logs without them."""
    watches, impressions, searches = (until(frame, as_of) for frame in (watches, impressions, searches))
    return Features(
        user_features(watches, impressions, items, as_of),
        item_features(watches, impressions, as_of, config),
        histories(watches, searches, config),
        exposures(watches, impressions, as_of, config),
    )


def user_features(watches: DataFrame, impressions: DataFrame, items: DataFrame, as_of: str) -> DataFrame:
    """One row for every user who watched or was shown something.

    Users who were shown things and watched none count as not having watched since they were first shown one.
    """
    watching = watches.groupBy("user_id").agg(
        *_watch_sums(),
        F.size(F.collect_set("item_id")).alias("num_items"),
        F.size(F.collect_set(F.to_date("time"))).alias("days_active"),
        age_days(F.max("time"), as_of).alias("recency_days"),
    )
    shown = impressions.groupBy("user_id").agg(
        F.count("*").alias("num_impressions"), age_days(F.min("time"), as_of).alias("first_shown_days")
    )
    users = watching.join(top_genres(watches, items), "user_id", "left").join(shown, "user_id", "full")
    counts = ("num_watches", "num_positives", "num_items", "num_impressions", "watch_s", "days_active")
    return typed(
        users.fillna(0, counts)
        .withColumn("mean_completion", _mean("sum_completion", "num_watches", default=1.0))
        .withColumn("recency_days", F.coalesce("recency_days", "first_shown_days"))
        .withColumn("top", F.coalesce("top", F.array().cast("array<struct<minus_n:bigint,genre:string>>")))
        .withColumn("top_genres", F.col("top.genre"))
        .withColumn("top_genre_shares", F.transform("top.minus_n", lambda n: -n / F.col("num_watches"))),
        USER_FEATURES,
    )


def top_genres(watches: DataFrame, items: DataFrame) -> DataFrame:
    """The genres that most of a user's watches have, best first, equal ones by name, with how many have them."""
    genres = items.select("item_id", F.explode(F.array_distinct("genres")).alias("genre"))
    counts = watches.join(F.broadcast(genres), "item_id").groupBy("user_id", "genre").agg(F.count("*").alias("n"))
    ranked = F.sort_array(F.collect_list(F.struct((-F.col("n")).alias("minus_n"), "genre")))
    return counts.groupBy("user_id").agg(F.slice(ranked, 1, TOP_GENRES).alias("top"))


def item_features(watches: DataFrame, impressions: DataFrame, as_of: str, config: FeaturesConfig) -> DataFrame:
    """One row for every item that was watched or shown."""
    recent = exact_sum(decay(F.col("time"), as_of, config.recent_half_life_days), "decay")
    watching = watches.groupBy("item_id").agg(
        *_watch_sums(),
        recent.alias("recent_watches"),
        F.size(F.collect_set("user_id")).alias("num_users"),
        F.size(F.collect_set("request_id")).alias("num_led"),  # each impression once, however often taken up again
    )
    shown = impressions.groupBy("item_id").agg(F.count("*").alias("num_impressions"))
    items = watching.join(shown, "item_id", "full").fillna(0)
    return typed(
        items.withColumn("watch_rate", _watch_rate(config.watch_rate_prior))
        .withColumn("watch_s", _mean("watch_s", "num_watches", default=0.0))
        .withColumn("mean_completion", _mean("sum_completion", "num_watches", default=1.0)),
        ITEM_FEATURES,
    )


def histories(watches: DataFrame, searches: DataFrame, config: FeaturesConfig) -> DataFrame:
    """Newest positives and words, oldest first, and everything seen, for every user who watched or searched."""
    seconds = F.unix_seconds("time").alias("seconds")
    entry = F.struct("time", "watch_id", "item_id", seconds, _share().alias("share"))
    users = watches.groupBy("user_id").agg(
        F.sort_array(F.collect_list(F.when(F.col("positive"), entry))).alias("all"),
        F.sort_array(F.collect_set("item_id")).alias("seen"),
    )
    begin = F.greatest(F.size("all") - config.history_length, F.lit(0)) + 1
    newest = users.withColumn("newest", F.slice("all", begin, config.history_length))
    watched = newest.select(
        "user_id",
        F.col("newest.item_id").alias("item_ids"),
        F.col("newest.seconds").alias("times"),
        F.col("newest.share").alias("watch_shares"),
        "seen",
    )
    everyone = watched.join(last_words(searches, config), "user_id", "full")
    lists = {f.name: f.dataType for f in watched.schema if f.name != "user_id"}
    nothing = {name: F.coalesce(name, F.array().cast(type_)) for name, type_ in lists.items()}
    return typed(everyone.withColumns(nothing), HISTORIES)


def last_words(searches: DataFrame, config: FeaturesConfig) -> DataFrame:
    """The newest words typed by every user who typed any, oldest first."""
    users = searches.groupBy("user_id").agg(
        F.flatten(F.sort_array(F.collect_list(F.struct("time", "search_id", "tokens")))["tokens"]).alias("words")
    )
    begin = F.greatest(F.size("words") - config.search_words, F.lit(0)) + 1
    words = users.select("user_id", F.slice("words", begin, config.search_words).alias("searched"))
    return words.filter(F.size("searched") > 0)


def exposures(watches: DataFrame, impressions: DataFrame, as_of: str, config: FeaturesConfig) -> DataFrame:
    """How often an item was shown to a user in the last days, and how many of these led to a watch."""
    recent = age_days(F.col("time"), as_of) <= config.exposure_days
    shown = impressions.filter(recent).groupBy("user_id", "item_id").agg(F.count("*").alias("num_shown"))
    # Each impression once, however often the watch was taken up again.
    led = watches.filter(recent & F.col("request_id").isNotNull()).select("user_id", "item_id", "request_id").distinct()
    led = led.groupBy("user_id", "item_id").agg(F.count("*").alias("num_led"))
    pairs = shown.join(led, ["user_id", "item_id"], "left").fillna(0)
    # A watch just after the first midnight may come from an impression just before it.
    return typed(pairs.withColumn("num_watched", F.least("num_shown", "num_led")), EXPOSURES)


def _watch_sums() -> list[Column]:
    return [
        F.count("*").alias("num_watches"),
        F.sum(F.col("positive").cast("int")).alias("num_positives"),
        exact_sum(F.coalesce("watch_s", F.lit(0.0)), "watches.watch_s").alias("watch_s"),
        exact_sum(_share(), "watches.completion").alias("sum_completion"),
    ]


def _share() -> Column:
    return F.coalesce("completion", F.lit(1.0))


def _mean(total: str, count: str, default: float) -> Column:
    return F.when(F.col(count) > 0, F.col(total) / F.col(count)).otherwise(default)


def _watch_rate(prior: float) -> Column:
    """Impressions that led to a watch / impressions, with `prior` impressions at the mean rate added to both."""
    everything = Window.partitionBy()
    led, shown = F.least("num_led", "num_impressions"), F.col("num_impressions")
    mean = F.coalesce(F.try_divide(F.sum(led).over(everything), F.sum(shown).over(everything)), F.lit(0.0))
    return F.coalesce(F.try_divide(led + prior * mean, shown + prior), F.lit(0.0))


JOB = Job("features", FeaturesConfig, inputs=("watches", "items"), optional=("impressions", "searches"))


def main(argv: list[str] | None = None) -> None:
    job = JOB.program(argv)
    watches, impressions, searches, items = (job.read(name) for name in ("watches", "impressions", "searches", "items"))
    result = features(watches, impressions, searches, items, job.as_of, job.config)
    job.write(**vars(result))


if __name__ == "__main__":
    main()
