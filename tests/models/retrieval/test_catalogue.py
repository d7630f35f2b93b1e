"""Rows of users and items as the towers see them."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from models.interactions import Histories, Interactions
from models.retrieval.catalogue import ITEM_ATTRIBUTES, ITEM_ID, Encoded, fit_item_fields, items_of

ITEMS = pa.table(
    {
        "item_id": pa.array([2, 5, 9], pa.int32()),
        "genres": pa.array([["a"], ["b", "a"], None], pa.list_(pa.string())),
        "duration_s": pa.array([60.0, 120.0, None], pa.float32()),
        "embedding": pa.array([[1.0, 0.0], None, [0.0, 1.0]], pa.list_(pa.float32())),
        **{
            name: pa.nulls(3, pa.string())
            for name in ("content_type", "language", "maturity_rating", "content_tier")
        },
        "series_id": pa.nulls(3, pa.int32()),
        "creator_id": pa.array([7, 7, None], pa.int32()),
    }
)  # fmt: skip


def test_items_below_the_bar_have_no_id():
    fields = fit_item_fields(ITEMS, np.array([3, 2, 0]), min_positives=2, max_vocabulary=100)
    assert {f["name"] for f in fields} == {
        ITEM_ID,
        "item_genres",
        "item_duration_s",
        "item_creator_id",
        "item_embedding",
    }
    assert Encoded.of(ITEMS, "item_id", fields).inputs[ITEM_ID].tolist() == [0, 1, 2, 0]


def test_the_vocabulary_of_ids_keeps_the_most_watched():
    fields = fit_item_fields(ITEMS, np.array([3, 9, 5]), min_positives=1, max_vocabulary=2)
    assert fields[0]["vocabulary"] == [5, 9]


def test_row_zero_is_the_unknown():
    encoded = Encoded.of(ITEMS, "item_id", fit_item_fields(ITEMS, np.array([3, 2, 0]), 1, 100))
    assert encoded.rows(np.array([9, 3, 2, 5, 100, -1])).tolist() == [3, 0, 1, 2, 0, 0]
    assert all(not values[0].any() for values in encoded.inputs.values())
    taken = encoded.take(np.array([2, 0]))
    assert taken["item_genres"].tolist() == [[2, 1], [0, 0]] and taken["item_embedding"].shape == (2, 2)


def test_an_empty_catalogue_knows_nobody():
    empty = Encoded.of(
        ITEMS[:0], "item_id", [{"name": ITEM_ID, "column": "item_id", "kind": "category", "vocabulary": []}]
    )
    assert empty.rows(np.array([1, 2])).tolist() == [0, 0]


def test_items_of_interactions_have_ids_when_met_and_their_last_attributes():
    histories = Histories.of(np.array([0, 0, 1]), np.array([2, 1, 2]), 2)
    attributes = Histories.of(np.array([0, 0, 0, 2]), np.array([4, 1, 3, 0]), 3)
    data = Interactions(histories, 3, ordered=True, attributes=attributes)
    found, fields = items_of(data, min_positives=2)
    assert found.inputs[ITEM_ID].tolist() == [0, 0, 0, 1] and fields[0]["vocabulary"] == [2]
    assert found.inputs[ITEM_ATTRIBUTES].tolist() == [[0, 0, 0], [5, 2, 4], [0, 0, 0], [0, 0, 1]]
    capped, fields = items_of(data, min_positives=2, max_attributes=2)
    assert capped.inputs[ITEM_ATTRIBUTES].tolist() == [[0, 0], [2, 4], [0, 0], [0, 1]] and fields[1]["length"] == 2
    assert list(items_of(replace(data, attributes=None), 1)[0].inputs) == [ITEM_ID]
