"""What a night keeps of a model, by small models whose answers are known."""

from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pytest

from models.interactions import Histories, Interactions
from models.source_tables import interactions_of, tables_of

NUM_USERS, NUM_ITEMS = 6, 9
USERS, ITEMS = np.array([0, 1, 2, 4, 5]), np.array([0, 1, 2, 3, 5, 6, 7])
"""User 3 and items 4 and 8 are gone."""

SECOND = 1_000_000


def watches(*rows: tuple[int, int, int, float | None, bool]) -> pa.Table:
    users, items, seconds, ratings, positives = zip(*rows, strict=True)
    return pa.table({
        "user_id": pa.array(users, pa.int32()), "item_id": pa.array(items, pa.int32()),
        "time": pa.array([s * SECOND for s in seconds], pa.timestamp("us", tz="UTC")),
        "rating": pa.array(ratings, pa.float32()), "positive": positives,
    })  # fmt: skip


LOG = watches(
    (1, 2, 30, None, True), (0, 1, 20, None, True), (0, 5, 10, None, True), (1, 6, 40, None, False),
    (4, 0, 50, None, True), (2, 3, 5, None, False),
)  # fmt: skip


class Fixed:
    """Scores fall with the distance between the numbers of user and item."""

    def save(self, folder: Path) -> None:
        """There is nothing to keep."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls()

    def scores(self, users, histories):
        return -np.abs(np.asarray(users)[:, None] - np.arange(NUM_ITEMS)).astype(np.float32)

    def neighbours(self, top_k):
        pairs = [(i, (i + step) % NUM_ITEMS, 1.0 / step) for i in range(NUM_ITEMS) for step in range(1, top_k + 1)]
        items, neighbours, scores = (np.array(column) for column in zip(*pairs, strict=True))
        return items, neighbours, scores

    def item_vectors(self):
        return np.arange(NUM_ITEMS * 2, dtype=np.float32).reshape(NUM_ITEMS, 2)

    def user_vectors(self, users, histories):
        return np.stack([np.asarray(users, np.float32), histories.sizes.astype(np.float32)], axis=1)


@pytest.fixture
def data() -> Interactions:
    return interactions_of(LOG, NUM_USERS, NUM_ITEMS)


@pytest.fixture
def seen() -> Histories:
    return Histories.of(LOG["user_id"].to_numpy(), LOG["item_id"].to_numpy(), NUM_USERS)


def test_models_learn_from_positives_oldest_first(data):
    assert data.num_users == NUM_USERS and data.num_items == NUM_ITEMS and data.ordered
    assert data.histories.items.tolist() == [5, 1, 2, 0]
    assert data.histories.sizes.tolist() == [2, 1, 0, 0, 1, 0]
    assert data.times.tolist() == [10, 20, 30, 50]
    assert data.ratings is None


def test_ratings_come_along_where_every_positive_has_one():
    data = interactions_of(watches((1, 2, 30, 4.0, True), (0, 1, 20, 5.0, True), (0, 3, 25, None, False)), 2, 4)
    assert data.ratings is not None and data.ratings.tolist() == [5.0, 4.0]


def test_lists_have_what_is_known_and_not_seen_for_whoever_has_a_history(data, seen):
    (listed,) = tables_of(Fixed(), "lists", data, USERS, ITEMS, seen).values()
    lists = listed.to_pandas().sort_values(["user_id", "rank"]).groupby("user_id")["item_id"].apply(list).to_dict()
    assert lists == {
        0: [0, 2, 3, 6, 7],
        1: [1, 0, 3, 5, 7],  # 6 was watched, though not liked
        4: [3, 5, 2, 6, 1, 7],
    }
    assert listed["rank"].to_pylist() == [r for n in (5, 5, 6) for r in range(1, n + 1)]


def test_neighbours_are_of_known_items_ranked_and_nobody_s_own(data, seen):
    (near,) = tables_of(Fixed(), "neighbours", data, USERS, ITEMS, seen).values()
    rows = near.to_pylist()
    assert {r["item_id"] for r in rows} | {r["neighbour_id"] for r in rows} <= set(ITEMS.tolist())
    assert all(r["item_id"] != r["neighbour_id"] for r in rows)
    own = [r for r in rows if r["item_id"] == 3]
    assert [r["neighbour_id"] for r in own][:2] == [5, 6]
    assert [r["rank"] for r in own] == list(range(1, len(own) + 1))


def test_vectors_are_of_users_with_a_history_and_of_known_items(data, seen):
    tables = tables_of(Fixed(), "vectors", data, USERS, ITEMS, seen)
    users, items = tables["source_user_vectors"].to_pydict(), tables["source_item_vectors"].to_pydict()
    assert users == {"user_id": [0, 1, 4], "vector": [[0, 2], [1, 1], [4, 1]]}
    assert items["item_id"] == ITEMS.tolist() and items["vector"][4] == [10, 11]


@pytest.mark.parametrize("kind", ["ranking", "index", "graph"])
def test_a_kind_that_keeps_no_tables_of_a_model_is_refused(kind, data, seen):
    with pytest.raises(ValueError, match=f"no tables for a source of kind '{kind}'"):
        tables_of(Fixed(), kind, data, USERS, ITEMS, seen)
