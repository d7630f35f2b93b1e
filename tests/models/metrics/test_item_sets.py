import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics import item_sets
from models.metrics.item_sets import ItemSets

sets_of_users = st.lists(st.sets(st.integers(0, 30)), min_size=1, max_size=8)


def pairs(sets: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    rows = [u for u, items in enumerate(sets) for _ in items]
    return np.array(rows, dtype=np.int64), np.array([i for items in sets for i in items], dtype=np.int32)


def as_sets(sets: ItemSets) -> list[set[int]]:
    return [set(part.tolist()) for part in np.split(sets.item_ids, sets.offsets[1:-1])]


@given(sets_of_users, st.randoms(use_true_random=False))
def test_pairs_in_any_order_and_twice_make_the_same_sets(sets, random):
    rows, items = pairs(sets)
    order = list(range(len(rows))) * 2
    random.shuffle(order)
    made = ItemSets.from_pairs(rows[order], items[order], len(sets))
    assert as_sets(made) == sets
    assert made.sizes.tolist() == [len(s) for s in sets]


@given(sets_of_users, st.data())
def test_where_and_take_keep_the_right_items(sets, data):
    made = ItemSets.from_pairs(*pairs(sets), len(sets))
    assert as_sets(made.where(made.item_ids % 2 == 0)) == [{i for i in s if i % 2 == 0} for s in sets]
    users = data.draw(st.lists(st.integers(0, len(sets) - 1), min_size=1))
    assert as_sets(made.take(np.array(users))) == [sets[u] for u in users]


@given(sets_of_users, st.data())
def test_contains_is_membership_and_never_of_a_missing_place(sets, data):
    row = st.lists(st.integers(-1, 40), min_size=5, max_size=5)
    lists = data.draw(st.lists(row, min_size=len(sets), max_size=len(sets)))
    found = ItemSets.from_pairs(*pairs(sets), len(sets)).contains(np.array(lists))
    assert found.tolist() == [[i in s for i in row] for s, row in zip(sets, lists, strict=True)]


def test_contains_over_many_chunks_equals_one_chunk(monkeypatch: pytest.MonkeyPatch):
    random = np.random.default_rng(0)
    sets = ItemSets.from_pairs(random.integers(50, size=900), random.integers(40, size=900), 50)
    lists = random.integers(-1, 40, size=(50, 10))
    whole = sets.contains(lists)
    monkeypatch.setattr(item_sets, "_BITMAP_BYTES", 42 * 7)
    assert np.array_equal(sets.contains(lists), whole)
