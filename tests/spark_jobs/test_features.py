"""Features against slow references."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from expectations.datasets import (
    DATASETS,
    EXPOSURES,
    HISTORIES,
    IMPRESSIONS,
    ITEM_FEATURES,
    SEARCHES,
    USER_FEATURES,
    Dataset,
)
from spark_jobs.config import FeaturesConfig
from spark_jobs.features import features
from spark_jobs.frames import read
from tests.spark_jobs.each_row import each_row

Rows = Callable[[DataFrame, Dataset], pa.Table]
Age = Callable[[pd.Series], pd.Series]
CONFIG = FeaturesConfig(history_length=6, search_words=5, exposure_days=4, recent_half_life_days=2, watch_rate_prior=20)
LOG = ("watches", "impressions", "searches", "items")


@pytest.fixture(scope="module")
def made(frames: dict[str, DataFrame], as_of: str, rows_of: Rows) -> dict[str, pd.DataFrame]:
    """All four datasets of the random log."""
    result = features(**{name: frames[name] for name in LOG}, as_of=as_of, config=CONFIG)
    return {name: rows_of(frame, DATASETS[name]).to_pandas() for name, frame in vars(result).items()}


def test_users(made: dict[str, pd.DataFrame], past: dict[str, pd.DataFrame], age_days: Age) -> None:
    watches, impressions = past["watches"], past["impressions"]
    genres = past["items"].set_index("item_id")["genres"]
    users = sorted({*watches["user_id"], *impressions["user_id"]})
    assert list(made["user_features"]["user_id"]) == users
    for row in each_row(made["user_features"]):
        own = watches[watches["user_id"] == row.user_id]
        shown = impressions[impressions["user_id"] == row.user_id]
        assert row.num_watches == len(own)
        assert row.num_positives == own["positive"].sum()
        assert row.num_items == own["item_id"].nunique()
        assert row.num_impressions == len(shown)
        assert row.watch_s == pytest.approx(own["watch_s"].sum(), rel=1e-5)
        assert row.mean_completion == pytest.approx(own["completion"].fillna(1).mean(), rel=1e-5)
        assert row.days_active == own["time"].dt.date.nunique()
        assert row.recency_days == pytest.approx(age_days(own["time"]).min(), rel=1e-5)
        counts = own["item_id"].map(genres).dropna().explode().value_counts()
        best = sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))[:5]
        assert list(row.top_genres) == [genre for genre, _ in best]
        assert list(row.top_genre_shares) == pytest.approx([n / len(own) for _, n in best], rel=1e-5)


def test_items(made: dict[str, pd.DataFrame], past: dict[str, pd.DataFrame], age_days: Age) -> None:
    watches, impressions = past["watches"], past["impressions"]
    led = watches[watches["request_id"].notna()].drop_duplicates(["user_id", "item_id", "request_id"])
    shown, led_to_watch = impressions["item_id"].value_counts(), led["item_id"].value_counts()
    mean = np.minimum(led_to_watch.reindex(shown.index).fillna(0), shown).sum() / shown.sum()
    assert list(made["item_features"]["item_id"]) == sorted({*watches["item_id"], *impressions["item_id"]})
    for row in each_row(made["item_features"]):
        own = watches[watches["item_id"] == row.item_id]
        assert row.num_watches == len(own)
        assert row.num_positives == own["positive"].sum()
        assert row.num_users == own["user_id"].nunique()
        assert row.num_impressions == shown.get(row.item_id, 0)
        assert row.watch_s == pytest.approx(own["watch_s"].fillna(0).mean(), rel=1e-5)
        assert row.mean_completion == pytest.approx(own["completion"].fillna(1).mean(), rel=1e-5)
        assert row.recent_watches == pytest.approx((0.5 ** (age_days(own["time"]) / 2)).sum(), rel=1e-5)
        rate = (min(led_to_watch.get(row.item_id, 0), row.num_impressions) + 20 * mean) / (row.num_impressions + 20)
        assert row.watch_rate == pytest.approx(rate, rel=1e-5)


def test_histories(made: dict[str, pd.DataFrame], past: dict[str, pd.DataFrame]) -> None:
    watches, searches = past["watches"], past["searches"].sort_values(["time", "search_id"])
    words = searches.explode("tokens").dropna(subset=["tokens"])
    users = sorted({*watches["user_id"], *words["user_id"]})
    assert list(made["histories"]["user_id"]) == users and len(users) > watches["user_id"].nunique()
    longest = 0
    for row in each_row(made["histories"]):
        own = watches[watches["user_id"] == row.user_id].sort_values(["time", "watch_id"])
        liked = own[own["positive"]]
        longest = max(longest, len(liked))
        newest = liked.tail(6)
        assert list(row.item_ids) == list(newest["item_id"])
        assert list(row.times) == [int(t.timestamp()) for t in newest["time"]]
        assert list(row.watch_shares) == pytest.approx(list(newest["completion"].fillna(1)), rel=1e-6)
        assert list(row.seen) == sorted(set(own["item_id"]))
        typed = list(words[words["user_id"] == row.user_id]["tokens"])
        assert (list(row.searched) if typed else row.searched) == (typed[-5:] or None)
    assert longest > 6, "the limit must bite somewhere"
    assert words["user_id"].value_counts().max() > 5 and made["histories"]["searched"].isna().any()


def test_exposures(made: dict[str, pd.DataFrame], past: dict[str, pd.DataFrame], age_days: Age) -> None:
    recent = {name: past[name][age_days(past[name]["time"]) <= 4] for name in ("watches", "impressions")}
    assert 0 < len(recent["impressions"]) < len(past["impressions"])
    led = recent["watches"].dropna(subset=["request_id"]).drop_duplicates(["user_id", "item_id", "request_id"])
    expected = recent["impressions"].groupby(["user_id", "item_id"]).size().rename("num_shown").reset_index()
    counts = led.groupby(["user_id", "item_id"]).size().rename("num_watched").reset_index()
    expected = expected.merge(counts, how="left").fillna({"num_watched": 0})
    expected["num_watched"] = expected[["num_shown", "num_watched"]].min(axis=1)
    assert (expected["num_shown"] > 1).any() and (expected["num_watched"] > 0).any()
    pd.testing.assert_frame_equal(made["exposures"], expected, check_dtype=False)


def test_without_impressions(
    spark: SparkSession, frames: dict[str, DataFrame], as_of: str, rows_of: Rows, made: dict[str, pd.DataFrame]
) -> None:
    none = read(spark, IMPRESSIONS, [])
    result = features(frames["watches"], none, frames["searches"], frames["items"], as_of, CONFIG)
    assert rows_of(result.exposures, EXPOSURES).num_rows == 0
    users = rows_of(result.user_features, USER_FEATURES).to_pandas()
    assert (users["num_impressions"] == 0).all() and (users["num_watches"] > 0).all()
    items = rows_of(result.item_features, ITEM_FEATURES).to_pandas()
    assert (items["watch_rate"] == 0).all() and (items["num_watches"] > 0).all()
    pd.testing.assert_frame_equal(rows_of(result.histories, HISTORIES).to_pandas(), made["histories"])


def test_without_searches(
    spark: SparkSession, frames: dict[str, DataFrame], as_of: str, rows_of: Rows, made: dict[str, pd.DataFrame]
) -> None:
    none = read(spark, SEARCHES, [])
    result = features(frames["watches"], frames["impressions"], none, frames["items"], as_of, CONFIG)
    found = rows_of(result.histories, HISTORIES).to_pandas()
    assert found["searched"].isna().all()
    watched = made["histories"][made["histories"]["seen"].map(len) > 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.drop(columns="searched"), watched.drop(columns="searched"))


def test_users_who_were_only_shown_things(
    frames: dict[str, DataFrame], past: dict[str, pd.DataFrame], as_of: str, rows_of: Rows, age_days: Age
) -> None:
    nobody = frames["watches"].filter("user_id <> 3")
    result = features(nobody, **{name: frames[name] for name in LOG[1:]}, as_of=as_of, config=CONFIG)
    (row,) = rows_of(result.user_features.filter("user_id = 3"), USER_FEATURES).to_pylist()
    shown = past["impressions"][past["impressions"]["user_id"] == 3]
    assert row["num_watches"] == 0 and row["num_impressions"] == len(shown)
    assert row["mean_completion"] == 1 and row["top_genres"] == [] and row["top_genre_shares"] == []
    assert row["recency_days"] == pytest.approx(age_days(shown["time"]).max(), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "dataset", "column"),
    [
        ({"history_length": 3}, "histories", "item_ids"),
        ({"search_words": 2}, "histories", "searched"),
        ({"exposure_days": 2}, "exposures", "num_shown"),
        ({"recent_half_life_days": 5}, "item_features", "recent_watches"),
        ({"watch_rate_prior": 0}, "item_features", "watch_rate"),
    ],
)
def test_every_setting_changes_something(
    frames: dict[str, DataFrame],
    as_of: str,
    rows_of: Rows,
    made: dict[str, pd.DataFrame],
    change: dict[str, Any],
    dataset: str,
    column: str,
) -> None:
    config = replace(CONFIG, **change)
    result = features(**{name: frames[name] for name in LOG}, as_of=as_of, config=config)
    other = rows_of(getattr(result, dataset), DATASETS[dataset]).to_pandas()
    assert list(map(str, other[column])) != list(map(str, made[dataset][column]))


def test_the_order_of_the_log_does_not_matter(
    made: dict[str, pd.DataFrame],
    log: dict[str, pa.Table],
    frames: dict[str, DataFrame],
    as_of: str,
    rows_of: Rows,
    shuffled: Callable[..., DataFrame],
) -> None:
    others = {name: shuffled(log[name]) for name in LOG[:3]}
    result = features(**others, items=frames["items"], as_of=as_of, config=CONFIG)
    for name, frame in vars(result).items():
        pd.testing.assert_frame_equal(rows_of(frame, DATASETS[name]).to_pandas(), made[name])
