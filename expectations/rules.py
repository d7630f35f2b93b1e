"""What every dataset must satisfy, declared once and light: suites, the artifact key and the docs derive from it.

Rules hold for made data and for any log: what a foreign log may rightly break only warns.
"""

import hashlib
import json
from dataclasses import replace
from functools import cache

import pyarrow as pa

from expectations.datasets import ACTION_KINDS, DATASETS, Column, Dataset
from expectations.rule import (
    LARGEST,
    NOT_NULL,
    RECENT,
    Rule,
    at_least,
    between,
    count,
    daily,
    equal,
    holds,
    known,
    one_of,
    place,
    share,
    unique,
    until_midnight,
    warn,
)

DENSE_IDS = ("id", "user_id", "item_id", "neighbour_id", "clicked_item_id")


@cache
def rules(dataset: Dataset) -> tuple[Rule, ...]:
    """Every rule of a dataset: those that follow from its declaration, then its own; none for a folder of files."""
    if not dataset.is_table:
        return ()
    own = OWN.get(dataset.name, ())
    return (*_declared(dataset, own), *(_per_day() if dataset.per == "day" else ()), *own)


@cache
def rules_digest(dataset_name: str) -> str:
    """Digest of a dataset's rules, for the key of its artifacts; the reasons given for them do not count."""
    content = [(r.expectation, r.arguments, r.severity, r.frame, r.needs) for r in rules(DATASETS[dataset_name])]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _declared(dataset: Dataset, own: tuple[Rule, ...]) -> list[Rule]:
    """Columns and types, no nulls where none are declared, the key, finite numbers, ids from 0."""
    made = [replace(equal("type", "declared", "columns and types as declared"), frame="columns")]
    required = [c.name for c in dataset.columns if not c.nullable]
    made.extend(Rule(NOT_NULL, (("column", name),), "declared without nulls") for name in required)
    made.append(unique(*dataset.key, why="the key"))
    bounded = {
        r.kwargs.get("column") for r in own if r.severity == "error" and {"min_value", "max_value"} <= r.kwargs.keys()
    }
    for column in dataset.columns:
        made.extend(_of_type(column, column.name in bounded))
    return made


def _of_type(column: Column, bounded: bool) -> list[Rule]:
    if pa.types.is_floating(column.type) and not bounded:
        return [between(column.name, -LARGEST, LARGEST, "NaN or infinity")]
    if pa.types.is_list(column.type):
        return [between(f"missing_in({column.name})", None, 0, "null, NaN or infinity inside a list")]
    if column.name in DENSE_IDS:
        return [between(column.name, 0, None, "dense ids count from 0")]
    return []


def _per_day() -> tuple[Rule, ...]:
    """Rules of every log of a day: all of it lies within its day, and it is about as much as in the days before."""
    return (
        until_midnight("time", "an event in the future of its day"),
        between("hours_into_day(time)", 0, None, "an event from before its day"),
        warn(daily(between("rows", 1, None, "an empty day"))),
        daily(between("rows_after_busy_days", 1, None, "an empty day where all days before it had many rows"), RECENT),
        warn(daily(between("share_of_recent", 0.1, 10, "volume against the median of recent days"), RECENT)),
        warn(daily(between("newest_hour(time)", 12, None, "a log that ends before noon is late or cut off"))),
    )


DEVICES = ("tv", "mobile", "tablet", "web")
TIERS = ("free", "basic", "premium")
LEAK = "known only after the artifact's day"

_NOT_EMPTY = daily(between("rows", 1, None, "an empty table"))
_FACTORS = (_NOT_EMPTY, daily(equal("shortest(factors)", "longest(factors)", "vectors of one length")))
_VECTORS = (_NOT_EMPTY, daily(equal("shortest(vector)", "longest(vector)", "vectors of one length")))
_SIMILARITY = (
    place("rank"),
    unique("item_id", "rank", why="one neighbour a place"),
    holds("differ(item_id, neighbour_id)", "an item as its own neighbour"),
)

OWN: dict[str, tuple[Rule, ...]] = {
    "users": (
        _NOT_EMPTY,
        warn(between("age", 0, 120, "years of a life")),
        warn(one_of("gender", "female", "male", "other")),
        warn(one_of("lifecycle", "new", "active", "at_risk", "churned")),
        warn(one_of("engagement_tier", "low", "medium", "high")),
        warn(one_of("subscription_type", *TIERS)),
        warn(one_of("primary_device", *DEVICES)),
        until_midnight("signup_date", LEAK),
    ),
    "items": (
        _NOT_EMPTY,
        warn(one_of("content_type", "movie", "episode", "clip", "live")),
        warn(count("season")),
        warn(count("episode")),
        warn(between("duration_s", 0, LARGEST, "a length", strict="low")),
        warn(one_of("maturity_rating", "all", "7", "13", "16", "18")),
        warn(one_of("content_tier", *TIERS)),
        warn(until_midnight("uploaded_at", LEAK)),
        warn(
            at_least("hours_into_day(available_until)", "hours_into_day(uploaded_at)", "rights end before they begin")
        ),
        daily(equal("shortest(embedding)", "longest(embedding)", "vectors of one length")),
    ),
    "id_map": (
        one_of("kind", "user", "item"),
        unique("kind", "external_id", why="one dense id for every outside id"),
        between("length(external_id)", 1, None, "an empty id"),
    ),
    "impressions": (
        known("user_id", "user_id"),
        known("item_id", "item_id"),
        place("position"),
        warn(one_of("surface", "home", "browse", "search", "next_up")),
        warn(one_of("device_type", *DEVICES)),
        between("propensity", 0, 1, "a probability; 0 cannot have been shown", strict="low"),
    ),
    "watches": (
        known("user_id", "user_id"),
        known("item_id", "item_id"),
        between("watch_s", 0, LARGEST, "seconds watched"),
        warn(between("watch_s", None, 86_400, "no watch is longer than a day")),
        replace(
            warn(between("times_duration(watch_s)", None, 1.5, "watched for much longer than the item is")),
            needs=("item_id", "duration_s"),
        ),
        share("completion"),
        warn(between("rating", 0, 100, "an unusual scale")),
        between("weight", 0, LARGEST, "implicit models need a positive strength", strict="low"),
        warn(one_of("device_type", *DEVICES)),
        warn(between("bitrate_kbps", 0, LARGEST, "a bit rate")),
        warn(between("buffering_s", 0, LARGEST, "seconds waited")),
        warn(count("quality_switches")),
    ),
    "actions": (
        known("user_id", "user_id"),
        known("item_id", "item_id"),
        one_of("action", *ACTION_KINDS),
        warn(between("value", 1, 5, "ratings are 1 to 5")),
        warn(one_of("device_type", *DEVICES)),
    ),
    "searches": (
        known("user_id", "user_id"),
        known("clicked_item_id", "item_id"),
        warn(between("length(query)", 1, None, "an empty search")),
        warn(between("length(tokens)", 1, None, "a search without words")),
        warn(one_of("device_type", *DEVICES)),
    ),
    "oracle": (place("rank"), unique("user_id", "item_id", why="an item once a user")),
    "interactions": (
        _NOT_EMPTY,
        count("num_watches", 1),
        between("watch_s", 0, LARGEST, "seconds watched"),
        # Not above 0: a long window with a short half-life decays old weights to nothing in float32.
        between("weight", 0, LARGEST, "a sum of positive weights"),
        until_midnight("last_time", LEAK),
        warn(daily(between("days_behind(last_time)", None, 3, "nothing newer: the log stopped", strict="high"))),
    ),
    "histories": (
        equal("length(item_ids)", "length(times)", "one time an item"),
        equal("length(item_ids)", "length(watch_shares)", "one share an item"),
        holds("ascending(times)", "oldest first"),
        holds("strictly_ascending(seen)", "ascending, each item once"),
        between("length(searched)", 1, None, "null where there are no words"),
        until_midnight("times", LEAK),
        between("least(watch_shares)", 0, None, "a share"),
        between("most(watch_shares)", None, 1, "a share"),
    ),
    "user_features": (
        *(count(c) for c in ("num_watches", "num_positives", "num_items", "num_impressions", "days_active")),
        at_least("num_watches", "num_positives", "positives are watches"),
        at_least("num_watches", "num_items", "a watch is of one item"),
        at_least("num_watches", "days_active", "a watch is on one day"),
        between("watch_s", 0, LARGEST, "seconds watched"),
        share("mean_completion"),
        between("recency_days", 0, LARGEST, LEAK),
        equal("length(top_genres)", "length(top_genre_shares)", "one share a genre"),
        between("length(top_genres)", None, 5, "up to five genres"),
        between("least(top_genre_shares)", 0, None, "a share"),
        between("most(top_genre_shares)", None, 1, "a share"),
    ),
    "item_features": (
        *(count(c) for c in ("num_watches", "num_positives", "num_users", "num_impressions")),
        at_least("num_watches", "num_positives", "positives are watches"),
        at_least("num_watches", "num_users", "a watch is by one user"),
        share("watch_rate"),
        between("watch_s", 0, LARGEST, "seconds watched"),
        share("mean_completion"),
        between("recent_watches", 0, LARGEST, "a decayed count"),
    ),
    "exposures": (
        count("num_shown", 1),
        count("num_watched"),
        at_least("num_shown", "num_watched", "only what was shown was watched from an impression"),
    ),
    "popularity": (
        _NOT_EMPTY,
        between("score", 0, LARGEST, "a decayed count"),
        count("num_users"),
        place("rank"),
        unique("rank", why="one item a place"),
    ),
    "als_user_factors": _FACTORS,
    "als_item_factors": _FACTORS,
    "item_similarity": _SIMILARITY,
    "content_similarity": _SIMILARITY,
    "source_lists": (place("rank"), unique("user_id", "item_id", why="an item once a user")),
    "source_neighbours": _SIMILARITY,
    "source_user_vectors": _VECTORS,
    "source_item_vectors": _VECTORS,
    "embeddings": (
        _NOT_EMPTY,
        count("shard"),
        daily(equal("shortest(vector)", "longest(vector)", "vectors of one length")),
        between("norm(vector)", 0.999, 1.001, "inner product is cosine only between vectors of unit length"),
    ),
    "sentences": (
        *(
            equal("length(times)", f"length({column})", "one of each a token")
            for column in ("actions", "item_ids", "positives", "watch_shares", "device_types", "queries")
        ),
        holds("ascending(times)", "oldest first"),
        until_midnight("times", LEAK),
        between("most(watch_shares)", None, 1, "a share, or -1"),
    ),
    "member_embeddings": _VECTORS,
    "title_embeddings": _VECTORS,
    "recommendations": (
        _NOT_EMPTY,
        place("rank"),
        unique("user_id", "item_id", why="an item once a user"),
        between("length(source)", 1, None, "where it came from"),
        between("length(reason)", 1, None, "a reason for people"),
    ),
    "evaluation": (_NOT_EMPTY, count("k"), count("num_users")),
    "trial": (
        _NOT_EMPTY,
        count("k", 1),
        count("num_users"),
        holds("strictly_ascending(user_ids)", "a user once, by id"),
        equal("length(user_ids)", "length(by_user)", "a value for each user"),
    ),
}
