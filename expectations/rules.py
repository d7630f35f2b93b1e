"""What every dataset must satisfy, declared once and light: suites, the artifact key and the docs derive from it.

A rule is the name and arguments of one Great Expectations expectation. Its columns are columns of the dataset or
measures of them, written like calls, such as `length(tokens)` or `known(user_id, user_id)`; `expectations.measures`
computes those. Rules hold for made data and for any log: what a foreign log may rightly break only warns.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import pyarrow as pa

from expectations.datasets import DATASETS, Column, Dataset

Severity = Literal["error", "warn"]
Frame = Literal["columns", "rows", "days"]

BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
NOT_NULL = "expect_column_values_to_not_be_null"
UNIQUE = "expect_column_values_to_be_unique"
EQUAL = "expect_column_pair_values_to_be_equal"
AT_LEAST = "expect_column_pair_values_a_to_be_greater_than_b"

LARGEST = 3.4e38
"""Bound of every float column: what is beyond it is infinite or NaN (see `expectations.measures.plain`)."""

RECENT = "recent"
"""Stands in `Rule.needs` for the row counts of earlier days."""


@dataclass(frozen=True)
class Rule:
    """One expectation of one dataset.

    Attributes:
        frame: what is looked at: each of the artifact's `columns`, each of its `rows`, or figures of the whole
            artifact (`days`).
        needs: what it is compared with beside the artifact itself: reference columns, or `recent`. Without it the
            rule is left out; as the same artifact may meet other company in another run, manifests omit its warnings.
    """

    expectation: str
    arguments: tuple[tuple[str, Any], ...]
    why: str
    severity: Severity = "error"
    frame: Frame = "rows"
    needs: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns or measures it looks at."""
        return tuple(value for name, value in self.arguments if name in ("column", "column_A", "column_B"))

    @property
    def kwargs(self) -> dict[str, Any]:
        """Arguments of the expectation."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in self.arguments}

    @property
    def text(self) -> str:
        """What must hold, in a few words."""
        given = self.kwargs
        match self.expectation:
            case "expect_column_values_to_be_between":
                return f"{given['column']} must be {_interval(given)}"
            case "expect_column_values_to_be_in_set":
                return f"{given['column']} must be {' or '.join(map(str, given['value_set']))}"
            case "expect_column_values_to_not_be_null":
                return f"{given['column']} must not be null"
            case "expect_column_values_to_be_unique":
                return f"{given['column']} must be unique"
            case "expect_column_pair_values_to_be_equal":
                return f"{given['column_A']} must equal {given['column_B']}"
            case _:
                return f"{given['column_A']} must be at least {given['column_B']}"


def _interval(given: dict[str, Any]) -> str:
    low, high = given.get("min_value"), given.get("max_value")
    parts = []
    if low is not None and low != -LARGEST:
        parts.append(f"{'more than' if given.get('strict_min') else 'at least'} {low:,}")
    if high is not None and high != LARGEST:
        parts.append(f"{'less than' if given.get('strict_max') else 'at most'} {high:,}")
    return " and ".join(parts) or "a finite number"


def between(column: str, low: float | None, high: float | None, why: str, *, strict: str = "") -> Rule:
    """Values, where not null, in `[low, high]`; `strict` names excluded ends: `low`, `high` or both."""
    bounds = [("min_value", low), ("max_value", high)]
    ends = [(f"strict_{end}", True) for name, end in (("low", "min"), ("high", "max")) if name in strict]
    return Rule(BETWEEN, (("column", column), *((n, v) for n, v in bounds if v is not None), *ends), why)


def one_of(column: str, *values: Any, why: str = "a value that nobody knows") -> Rule:
    """Values, where not null, from a set."""
    return Rule(IN_SET, (("column", column), ("value_set", values)), why)


def holds(measure: str, why: str) -> Rule:
    """A yes-or-no measure is yes wherever it is not null."""
    return one_of(measure, True, why=why)


def unique(*columns: str, why: str) -> Rule:
    """No two rows of an artifact with the same values."""
    return Rule(UNIQUE, (("column", f"key({', '.join(columns)})"),), why)


def equal(a: str, b: str, why: str) -> Rule:
    """Two columns of equal values."""
    return Rule(EQUAL, (("column_A", a), ("column_B", b)), why)


def at_least(a: str, b: str, why: str) -> Rule:
    """`a >= b` wherever neither is null."""
    pair = (("column_A", a), ("column_B", b), ("or_equal", True), ("ignore_row_if", "either_value_is_missing"))
    return Rule(AT_LEAST, pair, why)


def warn(rule: Rule) -> Rule:
    """The same rule, reported without failing."""
    return replace(rule, severity="warn")


def daily(rule: Rule, *needs: str) -> Rule:
    """The same rule, of one figure an artifact instead of one a row."""
    return replace(rule, frame="days", needs=needs)


def known(column: str, reference: str) -> Rule:
    """Referential integrity: ids, where not null, occur in the reference column."""
    rule = holds(f"known({column}, {reference})", f"an id that is not in {reference.removesuffix('_id')}s")
    return replace(rule, needs=(reference,))


def share(column: str, why: str = "a share") -> Rule:
    return between(column, 0, 1, why)


def count(column: str, low: int = 0) -> Rule:
    return between(column, low, None, "a count")


def place(column: str) -> Rule:
    return between(column, 1, None, "places count from 1")


def until_midnight(column: str, why: str) -> Rule:
    """No later than the end of the artifact's day (UTC)."""
    return between(f"hours_into_day({column})", None, 24, why, strict="high")


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
    if column.type == pa.int32() and (column.name == "id" or column.name.endswith("_id")):
        return [between(column.name, 0, None, "dense ids count from 0")]
    return []


def _per_day() -> tuple[Rule, ...]:
    """Of every log of a day: all of it within its day, and about as much of it as in the days before."""
    return (
        until_midnight("time", "an event in the future of its day"),
        between("hours_into_day(time)", 0, None, "an event from before its day"),
        warn(daily(count("rows", 1))),
        daily(count("rows_after_busy_days", 1), RECENT),
        warn(daily(between("share_of_recent", 0.1, 10, "volume against the median of recent days"), RECENT)),
        warn(daily(between("newest_hour(time)", 12, None, "a log that ends before noon is late or cut off"))),
    )


DEVICES = ("tv", "mobile", "tablet", "web")
TIERS = ("free", "basic", "premium")
LEAK = "known only after the artifact's day"

_NOT_EMPTY = daily(count("rows", 1))
_FACTORS = (_NOT_EMPTY, daily(equal("shortest(factors)", "longest(factors)", "vectors of one length")))
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
        one_of("action", "browse", "pause", "rate", "like", "share", "complete"),
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
    "embeddings": (
        _NOT_EMPTY,
        count("shard"),
        daily(equal("shortest(vector)", "longest(vector)", "vectors of one length")),
        between("norm(vector)", 0.999, 1.001, "inner product is cosine only between vectors of unit length"),
    ),
    "recommendations": (
        _NOT_EMPTY,
        place("rank"),
        unique("user_id", "item_id", why="an item once a user"),
        between("length(source)", 1, None, "where it came from"),
        between("length(reason)", 1, None, "a reason for people"),
    ),
    "evaluation": (_NOT_EMPTY, count("k"), count("num_users")),
}
