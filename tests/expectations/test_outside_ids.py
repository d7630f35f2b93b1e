"""Dense ids back to those of people's own systems."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.datasets import DATASETS
from expectations.outside_ids import OutsideIds, kind_of

IDS = st.lists(st.text(min_size=1), unique=True, max_size=20)


def id_map(users: list[str], items: list[str]) -> pa.Table:
    """In no order."""
    rows = [("user", n, u) for n, u in enumerate(users)] + [("item", n, i) for n, i in enumerate(items)]
    rows = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]
    return pa.Table.from_pylist(
        [{"kind": kind, "id": n, "external_id": name} for kind, n, name in rows], DATASETS["id_map"].schema
    )


@given(users=IDS, items=IDS, data=st.data())
def test_every_dense_id_is_its_outside_id_again(users, items, data):
    outside = OutsideIds(id_map(users, items))
    for kind, names in (("user", users), ("item", items)):
        dense = data.draw(st.lists(st.one_of(st.none(), st.integers(-1, len(names) + 1))))
        expected = [names[d] if d is not None and 0 <= d < len(names) else None for d in dense]
        assert outside.of(kind, pa.array(dense, pa.int32())).to_pylist() == expected
        cut = data.draw(st.lists(st.integers(0, len(dense)), max_size=5).map(sorted))
        pieces = [dense[a:b] for a, b in zip([0, *cut], [*cut, len(dense)], strict=True)] + [None, []]
        lists = pa.array([[], *pieces], pa.list_(pa.int32()))
        wanted = [
            None if piece is None else [names[d] if d is not None and 0 <= d < len(names) else None for d in piece]
            for piece in pieces
        ]
        assert outside.of(kind, lists.slice(1)).to_pylist() == wanted, "a slice of lists"
        assert outside.of(kind, pa.chunked_array([lists, lists.slice(1)])).to_pylist() == [[], *wanted, *wanted]


def test_every_dense_id_of_every_dataset_is_known_as_one():
    said = {
        column.name
        for dataset in DATASETS.values()
        for column in dataset.columns
        if "dense user id" in column.meaning or "dense item id" in column.meaning
    }
    assert {name: kind_of(name) for name in said} == {
        name: "user" if name.startswith("user") else "item" for name in said
    }
    for name in ("clicked_item_id", "item_ids"):
        assert kind_of(name) == "item"
    for name in ("request_id", "watch_id", "series_id", "creator_id", "experiment_id", "external_user_id", "id"):
        assert kind_of(name) is None


@pytest.mark.parametrize("dataset", ["recommendations", "embeddings", "member_embeddings", "title_embeddings"])
def test_what_other_teams_take_has_outside_ids_after_the_columns_that_were_there(dataset):
    names = DATASETS[dataset].schema.names
    dense = [name for name in names if kind_of(name)]
    assert names[-len(dense) :] == [f"external_{name}" for name in dense]
    rows = pa.record_batch({name: pa.array([0], pa.int32()) for name in dense})
    beside = OutsideIds(id_map(["ann"], ["film"])).beside(rows)
    assert beside.to_pylist() == [
        {**rows.to_pylist()[0], **{f"external_{n}": {"user": "ann", "item": "film"}[str(kind_of(n))] for n in dense}}
    ]


def test_instead_leaves_no_dense_id():
    outside = OutsideIds(id_map(["ann", "bob"], ["film", "show"]))
    rows = pa.table({"user_id": pa.array([1, 0], pa.int32()), "rank": [1, 2], "item_id": pa.array([0, 1], pa.int32())})
    expected = {"external_user_id": ["bob", "ann"], "rank": [1, 2], "external_item_id": ["film", "show"]}
    assert outside.instead(rows).to_pydict() == expected
    beside = pa.table(
        [
            outside.beside(batch)[name]
            for batch in rows.to_batches()
            for name in (*rows.column_names, "external_user_id", "external_item_id")
        ],
        names=[*rows.column_names, "external_user_id", "external_item_id"],
    )
    assert outside.instead(beside).to_pydict() == expected, "with both in it, in the place of the dense ones"
