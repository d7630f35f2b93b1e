"""Sources that a release names in `sources.json`: models of the catalogue, by the tables that the night made."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.made_bundle import make_bundle
from models.catalogue import MODELS
from models.runtime import Bundle, BundleError
from models.serving.export import facts_of, write_json, write_manifest
from models.serving.sources import ReleaseSource, named_apart

ON = {"num_candidates": 30, "weight": 1.0, "items": "all"}
LISTS = {0: [7, 3, 11], 2: [5, 1]}
"""Of users 0 and 2; user 1 has none."""


def _tables(tables):
    users, items = tables["als_user_factors"], tables["als_item_factors"]
    rows = [(u, place, i, 1 / place) for u, items in LISTS.items() for place, i in enumerate(items, 1)]
    lists = pa.table(
        dict(zip(("user_id", "rank", "item_id", "score"), map(list, zip(*rows, strict=True)), strict=True))
    )
    vectors = {
        "source_user_vectors": users.rename_columns(["user_id", "vector"]),
        "source_item_vectors": items.rename_columns(["item_id", "vector"]),
    }
    return [
        ReleaseSource("mine", "lists", ("source_lists",), tables={"source_lists": lists}),
        ReleaseSource(
            "near", "neighbours", ("source_neighbours",), tables={"source_neighbours": tables["item_similarity"]}
        ),
        ReleaseSource("factors", "vectors", tuple(vectors), reason="as {} was liked", tables=vectors),
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


def rewritten(path, folder, change):
    """A copy of a bundle whose `sources.json` says something else."""
    shutil.copytree(path, folder)
    declared = json.loads((folder / "sources.json").read_text())
    facts = facts_of(json.loads((folder / "manifest.json").read_text()))
    write_json(folder / "sources.json", change(declared))
    write_manifest(folder, facts)
    return folder


def test_a_kind_of_a_later_version_is_refused(declared_path, tmp_path):
    odd = {"name": "odd", "kind": "graph", "files": [], "reason": ""}
    folder = rewritten(declared_path, tmp_path / "bundle", lambda declared: [*declared, odd])
    with pytest.raises(BundleError, match="no source of the kind 'graph'"):
        Bundle(folder)


def test_a_source_whose_files_are_missing_is_refused(declared_path, tmp_path):
    odd = {"name": "odd", "kind": "lists", "files": ["sources/odd/lists.parquet"], "reason": ""}
    folder = rewritten(declared_path, tmp_path / "bundle", lambda declared: [*declared, odd])
    with pytest.raises(BundleError, match=r"lists\.parquet: not in the manifest"):
        Bundle(folder)


def test_a_release_says_of_its_sources_what_people_read(declared, bundle):
    """The words of a source's declaration stand beside its items; without any they are the usual ones."""
    off = {name: ON | {"num_candidates": 0} for name in ("als", "item_item")}  # which find the same
    pipeline = dict(declared.pipeline) | {"sources": declared.pipeline["sources"] | off}
    table = declared.with_pipeline(pipeline).recommend(range(40)).table.to_pylist()
    own = [row["reason"] for row in table if row["source"] == "factors"]
    assert any(re.fullmatch(r"as Title \d+ was liked", reason) for reason in own)
    others = {row["reason"].split(" ")[0] for row in table if row["source"] == "near"}
    assert others <= {"because", "next", "new", "something", "for"}


def test_the_sources_of_every_release_are_declared_as_others_are(bundle):
    declared = json.loads((bundle.path / "sources.json").read_text())
    assert [one["name"] for one in declared] == list(bundle.sources)
    assert {one["kind"] for one in declared} == {"index", "vectors", "neighbours", "ranking"}


@pytest.mark.parametrize("name", ["content", "towers", "random", "ranker"])
def test_a_model_may_not_take_the_name_of_something_else(name):
    with pytest.raises(ValueError, match=f"no source can be called '{name}'"):
        named_apart([dataclasses.replace(MODELS["ease"], name=name)])


@pytest.mark.parametrize("kind", ["ranking", "index"])
def test_a_model_cannot_be_a_source_of_its_own_by_what_only_the_night_makes(kind):
    with pytest.raises(ValueError, match="by lists, neighbours or vectors"):
        dataclasses.replace(MODELS["ease"], source=kind)


def test_a_release_without_a_ranking_is_refused(declared_path, tmp_path):
    """It fills up short lists."""
    others = lambda declared: [one for one in declared if one["kind"] != "ranking"]  # noqa: E731
    folder = rewritten(declared_path, tmp_path / "bundle", others)
    with pytest.raises(BundleError, match="declares no source of the kind 'ranking'"):
        Bundle(folder)


def test_a_source_that_a_release_lacks_is_named(bundle):
    with pytest.raises(BundleError, match="no source 'nonsense'; it has towers, als, item_item"):
        bundle.retrieve("nonsense", [1], 5)


def test_vectors_of_nobody_propose_nothing(tables, pipeline, tmp_path):
    """A model may know none of the night's users, or none of its items."""
    empty = {
        "source_user_vectors": tables["als_user_factors"].rename_columns(["user_id", "vector"])[:0],
        "source_item_vectors": tables["als_item_factors"].rename_columns(["item_id", "vector"]),
    }
    for name, kept in (("users", 0), ("items", 1)):
        some = dict(empty) if not kept else {n: t[:0] for n, t in empty.items()}
        source = ReleaseSource("none", "vectors", tuple(some), tables=some)
        folder = make_bundle(tmp_path / name, tables, pipeline, sources=[source])
        found, scores = Bundle(folder).retrieve("none", range(5), 4)
        assert (found == -1).all() and np.isneginf(scores).all()
