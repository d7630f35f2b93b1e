"""What a user has watched since the night counts at once, for that user alone."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.runtime import Bundle, BundleError
from models.runtime.features import PAIR_FEATURES, Features
from models.runtime.user_tower import UserTower

USER, COLD = 3, 39


@pytest.fixture
def fresh(path):
    """A bundle of its own for each test: `watch` changes it."""
    return Bundle(path, threads=2)


def lists(bundle, user_ids):
    found: dict[int, list[tuple[int, str, str]]] = {}
    for row in bundle.recommend(user_ids).table.to_pylist():
        found.setdefault(row["user_id"], []).append((row["item_id"], row["source"], row["reason"]))
    return found


def scores(bundle, user):
    """What the towers say of every item."""
    item_ids, found = bundle.retrieve("towers", [user], 150, filtered=False)
    return found[0][np.argsort(item_ids[0])]


def listed(bundle, user, k=8):
    return bundle.recommend([user], k).table["item_id"].to_pylist()


@pytest.mark.parametrize("user", [USER, COLD])
def test_the_vector_is_that_of_the_longer_history(user, fresh, tables, path):
    before = scores(fresh, user)
    fresh.watch(user, [7, 8])
    rows = tables["histories"].to_pylist()
    history: list[int] = next((r["item_ids"] for r in rows if r["user_id"] == user), [])
    last = np.array([([-1] * 10 + history + [7, 8])[-10:]])
    expected = UserTower(path).vectors(tables["users"].slice(user, 1), last)[0]
    vectors = np.stack(tables["embeddings"]["vector"].to_numpy())
    np.testing.assert_allclose(scores(fresh, user), vectors @ expected, atol=1e-5)
    assert np.abs(scores(fresh, user) - before).max() > 0.01


@pytest.mark.parametrize("user", [USER, COLD])
def test_what_was_watched_comes_no_more(user, fresh):
    watched = listed(fresh, user)
    fresh.watch(user, watched)
    assert not set(watched) & set(listed(fresh, user))
    assert not set(watched) & set(listed(fresh, user, k=60))
    for source in ("towers", "als", "content"):
        assert not set(watched) & set(fresh.retrieve(source, [user], 40)[0].ravel().tolist())


def test_nobody_else_notices(fresh, user_ids):
    before, vectors = lists(fresh, user_ids), fresh.features.users.vectors(np.array(user_ids)).copy()
    fresh.watch(USER, [item for item, *_ in before[USER]])
    after = lists(fresh, user_ids)
    assert {user for user in user_ids if before[user] != after[user]} == {USER}
    assert fresh.recommend(user_ids).table["user_id"].to_pylist() == [u for u in user_ids for _ in range(8)]
    assert (fresh.features.users.vectors(np.array(user_ids)) == vectors).all()


def test_answers_keep_the_order_of_the_question(fresh, monkeypatch):
    monkeypatch.setattr("models.runtime.release.BATCH", 4)
    fresh.watch(USER, [1])
    fresh.watch(COLD, [2])
    users = [COLD, 5, USER, USER, 0, 1, 2, 4, 6, COLD]
    together = fresh.retrieve("towers", users, 5)[0].tolist()
    assert together == [fresh.retrieve("towers", [user], 5)[0][0].tolist() for user in users]
    assert [u for b in fresh.stream(users) for u in b.table["user_id"].to_pylist()][::8] == sorted(set(users))


def test_watching_again_adds_up(fresh, path):
    fresh.watch(USER, [7])
    fresh.watch(USER, [8, 9])
    once = Bundle(path, threads=1)
    once.watch(USER, [7, 8, 9])
    assert lists(fresh, [USER]) == lists(once, [USER])


def test_watching_nothing_changes_nothing(fresh):
    before = lists(fresh, [USER, COLD])
    fresh.watch(USER, [])
    fresh.watch(COLD, [])
    assert lists(fresh, [USER, COLD]) == before


def test_other_settings_see_it_too(fresh, pipeline):
    other = fresh.with_pipeline({**pipeline, "k": 5})
    fresh.watch(USER, listed(fresh, USER))
    assert listed(other, USER, k=8) == listed(fresh, USER)


def test_the_bloom_filter_learns_it(fresh, pipeline):
    bloom = fresh.with_pipeline({**pipeline, "filters": {**pipeline["filters"], "seen_filter": "bloom"}})
    watched = listed(bloom, USER)
    bloom.watch(USER, watched)
    assert not set(watched) & set(listed(bloom, USER))


def row_of(tables, dataset, user):
    return next(row for row in tables[dataset].to_pylist() if row["user_id"] == user)


def test_features_are_those_of_a_window_with_the_new_watches(fresh, tables):
    item_ids, items = np.arange(150)[None, :], fresh.features.items
    before = fresh.features.pairs(np.array([USER]), item_ids)[0]
    fresh.watch(USER, [7, 8, 8])
    ((features, row),) = fresh._batches(np.array([USER]))
    after = dict(zip(PAIR_FEATURES, features.pairs(row, item_ids)[0].T, strict=True))
    old, past = dict(zip(PAIR_FEATURES, before.T, strict=True)), row_of(tables, "user_features", USER)
    total = past["num_watches"] + 3
    seconds = (items.duration_s * items.counts["mean_completion"])[[7, 8, 8]].sum()
    completion = past["mean_completion"] * past["num_watches"] + 3 * items.counts["mean_completion"][-1]
    expected = {
        "user_log_watches": math.log1p(total),
        "user_log_positives": math.log1p(past["num_positives"] + 3),
        "user_log_watch_s": math.log1p(past["watch_s"] + seconds),
        "user_mean_completion": completion / total,
        "user_log_days_active": math.log1p(past["days_active"] + 1),
        "user_log_recency_days": 0,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-5, err_msg=name)
    for name in ("user_age", "user_log_account_days", "user_log_impressions", "log_times_shown"):
        np.testing.assert_array_equal(after[name], old[name], err_msg=name)
    watched = [*row_of(tables, "histories", USER)["item_ids"], 7, 8, 8]
    series = [sum(items.series[i] == items.series[w] >= 0 for w in watched) for i in range(150)]
    np.testing.assert_allclose(after["log_series_watches"], np.log1p(series), rtol=1e-5)
    assert after["next_episode"].tolist() == [items.previous[i] in watched for i in range(150)]


def test_genre_shares_are_counted_on(remade, tables):
    """Two of three watches were drama, one sports; two more make five."""
    users = tables["user_features"].to_pylist()
    users[USER] |= {"num_watches": 3, "top_genres": ["drama", "sports"], "top_genre_shares": [2 / 3, 1 / 3]}
    made = remade(user_features=pa.Table.from_pylist(users, schema=tables["user_features"].schema))
    items = made.features.items
    names = items.genre_names.to_pylist()
    made.watch(USER, [7, 12])
    ((features, _),) = made._batches(np.array([USER]))
    counts = {"drama": 2, "sports": 1}
    for item in (7, 12):
        for genre in tables["items"]["genres"][item].as_py():
            counts[genre] = counts.get(genre, 0) + 1
    best = sorted(counts, key=lambda genre: (-counts[genre], genre))[:5]
    expected = [counts[name] / 5 if name in best else 0 for name in names]
    np.testing.assert_allclose(features.users.genre_shares[0], expected, atol=1e-6)


def test_a_user_who_has_watched_since_equals_one_whom_the_night_knew_so(fresh, tables):
    """Everything but what the log counts: history, seen items, series and vectors."""
    new = [7, 8]
    fresh.watch(USER, new)
    ((features, row),) = fresh._batches(np.array([USER]))
    histories = tables["histories"].to_pylist()
    for name in ("item_ids", "seen"):
        histories[USER][name] = [*histories[USER][name], *new]
    columns = {n: [r[n] for r in histories] for n in ("user_id", "item_ids", "seen")}
    longer = tables["histories"].select(list(columns)).from_pydict(columns)
    users = Features.of({**tables, "histories": longer}, fresh.tower, "2026-03-01").users
    np.testing.assert_allclose(features.users.vectors(row)[0], users.vectors(np.array([USER]))[0], atol=1e-6)
    assert features.users.history.last(row, 20).tolist() == users.history.last(np.array([USER]), 20).tolist()
    np.testing.assert_array_equal(features.users.language_shares[0], users.language_shares[USER])


def test_what_is_not_known_is_named_and_changes_nothing(fresh):
    before = lists(fresh, [USER])
    with pytest.raises(BundleError, match="user 40 is not among the 40 known users"):
        fresh.watch(40, [1])
    with pytest.raises(BundleError, match="item 777 is not among the 150 known items"):
        fresh.watch(USER, [1, 777])
    with pytest.raises(BundleError, match=r"item_ids\[0\] is -1 \(int\); allowed: whole numbers from 0"):
        fresh.watch(USER, [-1])
    assert lists(fresh, [USER]) == before


# --- several threads, and what is kept --------------------------------------------------------------------------------


def told(bundle):
    table = bundle.watched_since().to_pydict()
    return dict(zip(table["external_user_id"], table["external_item_ids"], strict=True))


def test_of_watches_told_at_once_none_is_lost(fresh):
    """Of one user, of others and through other settings; those of one thread stay in their order."""
    bundles, start = [fresh, fresh.with_pipeline({**fresh.pipeline, "k": 5})], threading.Barrier(8)

    def watch(thread):
        start.wait()
        for n in range(10):
            bundles[thread % 2].watch(USER if thread < 6 else thread, [10 * thread + n])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(watch, range(8)))
    found = {user: [int(name[1:]) for name in items] for user, items in told(fresh).items()}
    assert sorted(found[f"u{USER}"]) == list(range(60))
    assert all([i for i in found[f"u{USER}"] if i // 10 == thread] == [*range(10 * thread, 10 * thread + 10)]
               for thread in range(6))  # fmt: skip
    assert (found["u6"], found["u7"]) == ([*range(60, 70)], [*range(70, 80)])
    assert not {*range(60)} & set(listed(fresh, USER, 90))


def test_whoever_asks_meanwhile_gets_everybodys_whole_list(fresh, user_ids, monkeypatch):
    monkeypatch.setattr("models.runtime.release.BATCH", 16)
    alone, stop, failed = lists(fresh, user_ids), threading.Event(), []

    def ask():
        while not stop.is_set():
            found = lists(fresh, user_ids)
            if {user: len(rows) for user, rows in found.items()} != dict.fromkeys(user_ids, 8):
                failed.append(found)
            if any(found[user] != alone[user] for user in user_ids[20:]):
                failed.append(found)

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        for user in user_ids[:20]:
            fresh.watch(user, [user])
        stop.set()
        assert [one.result() for one in asking] == [None, None] and not failed


@given(st.lists(st.tuples(st.integers(0, 39), st.lists(st.integers(0, 149), max_size=4)), max_size=6))
def test_what_was_kept_and_is_told_again_gives_the_same_answers(path, tmp_path_factory, watches):
    first, second = Bundle(path, threads=1), Bundle(path, threads=1)
    for user, items in watches:
        first.watch(user, items)
    file = tmp_path_factory.mktemp("kept") / "watched.parquet"
    pq.write_table(first.watched_since(), file)
    second.replay(pq.read_table(file))
    assert second.watched_since().equals(first.watched_since())
    assert lists(second, range(40)) == lists(first, range(40))


def test_it_is_kept_by_the_ids_of_the_log(fresh):
    assert told(fresh) == {}
    fresh.watch(USER, [7, 8, 7])
    fresh.watch(COLD, [])
    assert told(fresh) == {f"u{USER}": ["i7", "i8", "i7"]}
    fresh.replay(fresh.watched_since())
    assert told(fresh) == {f"u{USER}": ["i7", "i8", "i7"] * 2}


def test_in_a_release_that_numbers_otherwise_it_counts_for_the_same(fresh, remade, tables):
    """Another night's ids: users and items of the log in another order."""
    ids = tables["id_map"].to_pylist()
    for row in ids:
        row["external_id"] = f"{row['external_id'][0]}{(39 if row['kind'] == 'user' else 149) - row['id']}"
    other = remade(id_map=pa.Table.from_pylist(ids, schema=tables["id_map"].schema))
    fresh.watch(USER, [7, 8])
    other.replay(fresh.watched_since())
    assert told(other) == told(fresh)
    assert not {149 - 7, 149 - 8} & set(listed(other, 39 - USER, 60))
