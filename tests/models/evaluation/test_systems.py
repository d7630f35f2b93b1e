import numpy as np
import pyarrow as pa
import pytest

from models.evaluation import systems
from models.metrics.item_sets import ItemSets


def seen_sets(sets: list[list[int]]) -> ItemSets:
    rows = np.array([u for u, items in enumerate(sets) for _ in items], dtype=np.int64)
    return ItemSets.from_pairs(rows, np.array([i for items in sets for i in items], dtype=np.int64), len(sets))


def ranked(rows: list[tuple[int, int, int]]) -> pa.Table:
    users, ranks, items = zip(*rows, strict=True)
    return pa.table({"user_id": users, "rank": pa.array(ranks, pa.int16()), "item_id": items})


def test_lists_of_a_table_come_in_rank_order_and_short_ones_are_padded():
    table = ranked([(5, 2, 20), (5, 1, 10), (7, 1, 30), (6, 1, 40), (5, 3, 50)])
    assert systems.lists_from_table(table, np.array([5, 7, 8]), 2).tolist() == [[10, 20], [30, -1], [-1, -1]]


def test_random_lists_hold_unseen_items_once_each_and_all_alike(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(systems, "_CHUNK_USERS", 50)
    item_ids = np.arange(3, 23)
    seen = seen_sets([[3, 5, 7]] * 4000)
    lists = systems.random_lists(item_ids, seen, 5, seed=1)
    assert lists.shape == (4000, 5)
    assert all(len(set(row)) == 5 for row in lists.tolist())
    counts = np.bincount(lists.ravel(), minlength=23)
    assert counts[[0, 1, 2, 3, 5, 7]].sum() == 0
    expected = 4000 * 5 / 17
    assert np.abs(counts[np.setdiff1d(item_ids, [3, 5, 7])] - expected).max() < 0.25 * expected
    assert np.array_equal(lists, systems.random_lists(item_ids, seen, 5, seed=1))
    assert not np.array_equal(lists, systems.random_lists(item_ids, seen, 5, seed=2))


def test_random_lists_of_a_small_catalogue_end_where_it_ends():
    lists = systems.random_lists(np.array([1, 2, 3]), seen_sets([[2]]), 5, seed=0)
    assert sorted(lists[0].tolist()) == [-1, -1, -1, 1, 3]
    assert lists[0, 2:].tolist() == [-1, -1, -1]


def test_the_oracle_may_not_use_seen_items_or_items_of_the_future():
    table = ranked([(1, 1, 8), (1, 2, 99), (1, 3, 7), (1, 4, 6)])
    lists = systems.oracle_lists(table, np.array([1]), seen_sets([[8]]), np.array([6, 7, 8]), 3)
    assert lists.tolist() == [[7, 6, -1]]
