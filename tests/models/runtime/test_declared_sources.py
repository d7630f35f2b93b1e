"""Sources that a release names in `sources.json`: models of the catalogue, by the tables that the night made."""

import json

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.made_bundle import make_bundle
from models.runtime import Bundle, BundleError
from models.serving.export import SourceTable

ON = {"num_candidates": 30, "weight": 1.0, "items": "all"}
LISTS = {0: [7, 3, 11], 2: [5, 1]}
"""Of users 0 and 2; user 1 has none."""


def _tables(tables):
    users, items = tables["als_user_factors"], tables["als_item_factors"]
    rows = [(u, place, i, 1 / place) for u, items in LISTS.items() for place, i in enumerate(items, 1)]
    lists = pa.table(
        dict(zip(("user_id", "rank", "item_id", "score"), map(list, zip(*rows, strict=True)), strict=True))
    )
    return [
        SourceTable("mine", "lists", "source_lists", lists),
        SourceTable("near", "neighbours", "source_neighbours", tables["item_similarity"]),
        SourceTable("factors", "vectors", "source_user_vectors", users.rename_columns(["user_id", "vector"])),
        SourceTable("factors", "vectors", "source_item_vectors", items.rename_columns(["item_id", "vector"])),
    ]


@pytest.fixture(scope="module")
def declared_path(tmp_path_factory, tables, pipeline):
    sources = pipeline["sources"] | dict.fromkeys(("mine", "near", "factors"), ON)
    folder = tmp_path_factory.mktemp("declared")
    return make_bundle(folder, tables, pipeline | {"sources": sources}, sources=_tables(tables))


@pytest.fixture(scope="module")
def declared(declared_path):
    return Bundle(declared_path)


def test_neighbours_and_vectors_retrieve_as_the_sources_of_every_night_do(declared):
    for name, twin in (("near", "item_item"), ("factors", "als")):
        found, expected = (declared.retrieve(source, range(36), 12) for source in (name, twin))
        assert np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1])


def test_lists_are_given_to_their_users_and_to_nobody_else(declared):
    found, scores = declared.retrieve("mine", [0, 1, 2], 4, filtered=False)
    assert found.tolist() == [[7, 3, 11, -1], [-1] * 4, [5, 1, -1, -1]]
    assert scores[0].tolist() == [1.0, 0.5, pytest.approx(1 / 3), -np.inf]
    assert declared.retrieve("mine", [0], 2, filtered=False)[0].tolist() == [[7, 3]]


def test_a_stranger_is_served_by_neighbours_and_by_neither_lists_nor_vectors(declared):
    traced = declared.recommend_for_history([5, 9], k=8, trace=True).table
    assert max(traced["rank_in_near"].to_pylist()) > 0
    assert set(traced["rank_in_mine"].to_pylist()) == set(traced["rank_in_factors"].to_pylist()) == {0}


def test_they_take_part_in_lists_with_a_place_and_a_reason(declared, bundle):
    assert set(declared.sources) - set(bundle.sources) == {"mine", "near", "factors"}
    table = declared.recommend(range(40), trace=True).table
    assert {"mine", "near", "factors"} & set(table["source"].to_pylist())
    assert all(table["reason"].to_pylist())
    assert {"place_in_mine", "place_in_near", "place_in_factors"} <= set(declared.candidates(0).column_names)


def test_switched_off_they_change_nothing(declared, bundle):
    off = declared.pipeline["sources"] | {n: ON | {"num_candidates": 0} for n in ("mine", "near", "factors")}
    without = declared.with_pipeline(dict(declared.pipeline) | {"sources": off})
    assert without.recommend(range(40)).table.equals(bundle.recommend(range(40)).table)


def test_a_pipeline_that_asks_for_what_the_release_lacks_is_refused(bundle):
    asks = dict(bundle.pipeline) | {"sources": bundle.pipeline["sources"] | {"mine": ON}}
    with pytest.raises(BundleError, match="asks the source mine, and this release has none of it"):
        bundle.with_pipeline(asks)


def test_a_kind_of_a_later_version_is_refused(declared_path, declared, monkeypatch):
    later = {"odd": {"kind": "graph", "files": []}}
    monkeypatch.setattr(Bundle, "_declared", lambda self: json.loads(json.dumps(later)))
    with pytest.raises(BundleError, match="no source of the kind 'graph'"):
        Bundle(declared_path)
