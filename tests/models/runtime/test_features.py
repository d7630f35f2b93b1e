"""Pair features against a reference that looks at one user and one item at a time."""

import datetime
import math

import numpy as np
import pytest

from benchmarks.made_bundle import DATE
from models.runtime import BundleError
from models.runtime.features import PAIR_FEATURES, RECENT
from models.runtime.items import moment_s
from models.runtime.users import PROFILE


@pytest.fixture(scope="module")
def reference(tables, bundle):
    """user_id, item_id -> features by name, written out."""
    rows = {name: table.to_pylist() for name, table in tables.items()}
    users = {r["user_id"]: r for r in rows["users"]}
    items = {r["item_id"]: r for r in rows["items"]}
    histories = {r["user_id"]: r["item_ids"] for r in rows["histories"]}
    user_features = {r["user_id"]: r for r in rows["user_features"]}
    item_features = {r["item_id"]: r for r in rows["item_features"]}
    shown = {(r["user_id"], r["item_id"]): r for r in rows["exposures"]}
    vectors = {r["item_id"]: np.array(r["vector"]) for r in rows["embeddings"]}
    weight = sum(r["num_watches"] for r in rows["item_features"])
    mean = {
        name: sum(r[name] * r["num_watches"] for r in rows["item_features"]) / weight
        for name in ("watch_rate", "watch_s", "mean_completion")
    }
    nothing = dict.fromkeys(("num_watches", "num_positives", "num_impressions", "watch_s", "days_active"), 0)
    end = datetime.datetime.fromisoformat(DATE).replace(tzinfo=datetime.UTC) + datetime.timedelta(days=1)

    def features(user_id, item_id):
        user, item, history = users[user_id], items[item_id], histories.get(user_id, [])
        of_user = user_features.get(
            user_id,
            {
                **nothing,
                "mean_completion": mean["mean_completion"],
                "recency_days": 365,
                "top_genres": [],
                "top_genre_shares": [],
            },
        )
        of_item = item_features.get(item_id, {**nothing, **mean, "recent_watches": 0})
        shares = dict(zip(of_user["top_genres"], of_user["top_genre_shares"], strict=True))
        share = [shares.get(g, 0) for g in item["genres"]]
        exposure = shown.get((user_id, item_id), {"num_shown": 0, "num_watched": 0})
        close = [float(vectors[i] @ vectors[item_id]) for i in history]
        row = np.array([user_id])
        before = [
            i["item_id"]
            for i in rows["items"]
            if item["series_id"] is not None and i["series_id"] == item["series_id"] and i["episode"] < item["episode"]
        ]

        def count(column):
            return sum(item[column] is not None and items[i][column] == item[column] for i in history)

        return {
            "user_age": user["age"],
            "user_log_account_days": math.log1p((end.date() - user["signup_date"]).days),
            "user_log_watches": math.log1p(of_user["num_watches"]),
            "user_log_positives": math.log1p(of_user["num_positives"]),
            "user_log_impressions": math.log1p(of_user["num_impressions"]),
            "user_log_watch_s": math.log1p(of_user["watch_s"]),
            "user_mean_completion": of_user["mean_completion"],
            "user_log_days_active": math.log1p(of_user["days_active"]),
            "user_log_recency_days": math.log1p(of_user["recency_days"]),
            "item_log_duration_s": math.log1p(item["duration_s"]),
            "item_log_age_days": math.log1p((end - item["uploaded_at"]).total_seconds() / 86_400),
            "item_log_watches": math.log1p(of_item["num_watches"]),
            "item_log_recent_watches": math.log1p(of_item["recent_watches"]),
            "item_log_impressions": math.log1p(of_item["num_impressions"]),
            "item_watch_rate": of_item["watch_rate"],
            "item_log_watch_s": math.log1p(of_item["watch_s"]),
            "item_mean_completion": of_item["mean_completion"],
            "item_is_cold": item_id not in item_features,
            "item_is_episode": item["content_type"] == "episode",
            "item_is_clip": item["content_type"] == "clip",
            "item_maturity": 0 if item["maturity_rating"] == "all" else int(item["maturity_rating"]),
            "genre_share_max": max(share),
            "genre_share_mean": sum(share) / len(share),
            "language_share": count("language") / max(len(history), 1),
            "tower_score": float(bundle.features.users.vectors(row)[0, 0] @ vectors[item_id]),
            "history_similarity_max": max([*close[-RECENT:], *[0.0] * (len(close) < RECENT)]),
            "history_similarity_mean": float(np.mean(close[-PROFILE:])) if close else 0.0,
            "log_times_shown": math.log1p(exposure["num_shown"]),
            "log_times_shown_not_watched": math.log1p(max(exposure["num_shown"] - exposure["num_watched"], 0)),
            "next_episode": bool(before) and max(before) in history,
            "log_series_watches": math.log1p(count("series_id")),
            "log_creator_watches": math.log1p(count("creator_id")),
            "position": 0,
        }

    return features


def test_every_feature_of_every_pair(bundle, reference, user_ids, tables):
    item_ids = tables["items"]["item_id"].to_numpy()
    rows = bundle.features.user_rows(np.array(user_ids))
    pairs = bundle.features.pairs(rows, np.tile(item_ids, (len(rows), 1)))
    assert pairs.shape == (len(user_ids), len(item_ids), len(PAIR_FEATURES))
    expected = [[list(reference(u, int(i)).values()) for i in item_ids] for u in user_ids]
    assert tuple(reference(0, 0)) == PAIR_FEATURES
    for place, name in enumerate(PAIR_FEATURES):
        np.testing.assert_allclose(
            pairs[..., place], np.array(expected)[..., place], rtol=2e-5, atol=2e-5, err_msg=name
        )


def test_every_feature_differs_between_some_pairs(bundle, user_ids):
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, len(user_ids), 3000), rng.integers(0, 150, 3000)
    spread = bundle.features.pairs(users, items, position=rng.integers(1, 9, 3000)).std(axis=0)
    assert (spread > 0).all(), np.array(PAIR_FEATURES)[spread == 0]


def test_flat_pairs_equal_a_grid_of_candidates(bundle):
    users, items = np.array([0, 7, 39]), np.array([[0, 149, 3], [5, 6, 7], [1, 2, -1]])
    grid = bundle.features.pairs(users, items)
    flat = bundle.features.pairs(np.repeat(users, 3), items.ravel())
    np.testing.assert_allclose(grid.reshape(9, -1), flat, rtol=1e-6, atol=1e-6)


def test_padding_and_unknown_items_have_finite_features(bundle):
    assert np.isfinite(bundle.features.pairs(np.array([0]), np.array([[-1, 10_000]]))).all()


def test_position_is_known_in_training_only(bundle):
    place = PAIR_FEATURES.index("position")
    users, items = np.array([0, 1]), np.array([2, 3])
    assert bundle.features.pairs(users, items)[:, place].tolist() == [0, 0]
    assert bundle.features.pairs(users, items, position=np.array([4, 9]))[:, place].tolist() == [4, 9]


def test_an_unknown_user_is_named(bundle):
    with pytest.raises(BundleError, match="user 999 is not among the 40 known users"):
        bundle.features.user_rows(np.array([3, 999]))


def test_the_moment_is_the_end_of_the_day():
    assert moment_s("2026-03-01") == datetime.datetime(2026, 3, 2, tzinfo=datetime.UTC).timestamp()
