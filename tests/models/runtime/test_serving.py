"""What the runtime promises to those who ask it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.made_bundle import make_bundle, table
from expectations.datasets import RECOMMENDATIONS
from models.runtime import Bundle, BundleError
from models.runtime.features import PAIR_FEATURES, Features
from models.runtime.user_tables import visitor
from models.runtime.users import Users
from tests.models.conftest import NUM_ITEMS, NUM_USERS

SERVED = [field for field in RECOMMENDATIONS.schema if not field.name.startswith("external_")]
"""Outside ids are added where the night's lists are written; whoever asks a release has its id map."""


def lists(result):
    found: dict[int, list[int]] = {}
    for row in result.table.to_pylist():
        found.setdefault(row["user_id"], []).append(row["item_id"])
    return found


def test_everybody_gets_k_items_in_the_declared_schema(bundle, user_ids):
    result = bundle.recommend(user_ids)
    assert [(f.name, f.type) for f in result.table.schema] == [(f.name, f.type) for f in SERVED]
    assert result.table["user_id"].to_pylist() == [u for u in user_ids for _ in range(8)]
    assert result.table["rank"].to_pylist() == [*range(1, 9)] * len(user_ids)
    assert all(len(set(items)) == 8 for items in lists(result).values())
    assert sum(result.sources.values()) == result.table.num_rows
    assert result.num_users == len(user_ids)


def test_a_user_alone_gets_the_list_that_all_together_get(bundle, user_ids):
    together = bundle.recommend(user_ids).table
    alone = [bundle.recommend([user]).table for user in user_ids]
    for user, one in zip(user_ids, alone, strict=True):
        part = together.slice(8 * user, 8)
        assert part.drop_columns("score").equals(one.drop_columns("score"))
        np.testing.assert_allclose(part["score"].to_numpy(), one["score"].to_numpy(), rtol=1e-6)


def test_threads_and_the_order_of_questions_change_nothing(path, bundle, user_ids, monkeypatch):
    monkeypatch.setattr("models.runtime.release.BATCH", 7)
    expected = bundle.recommend(user_ids).table
    assert Bundle(path, threads=1).recommend([*reversed(user_ids), 3, 3]).table.equals(expected)


def test_batches_arrive_in_order_of_users(bundle, user_ids, monkeypatch):
    monkeypatch.setattr("models.runtime.release.BATCH", 16)
    batches = list(bundle.stream(user_ids))
    assert [b.num_users for b in batches] == [16, 16, 8]
    assert [u for b in batches for u in b.table["user_id"].to_pylist()][::8] == user_ids


def test_nobody_gets_nothing(bundle):
    assert bundle.recommend([]).table.num_rows == 0
    assert bundle.recommend([]).table.column_names == [field.name for field in SERVED]
    assert [a.shape for a in bundle.retrieve("als", [], 4)] == [(0, 4), (0, 4)]


def test_lists_can_be_shorter_and_longer_than_the_pipelines(bundle):
    assert len(lists(bundle.recommend([5], k=1))[5]) == 1
    long = lists(bundle.recommend([5], k=40))[5]
    assert len(long) == len(set(long)) == 40


def test_who_runs_out_of_candidates_gets_more_of_the_catalogue(bundle, bundle_with, user_ids):
    """Two candidates of one source; the filters allow far more."""
    others = {f"sources__{name}__num_candidates": 0 for name in ("als", "item_item", "content", "popularity")}
    narrow = bundle_with(sources__towers__num_candidates=2, **others)
    found = lists(narrow.recommend(user_ids))
    for user in user_ids:
        gone = bundle.steps.filters.removals(bundle.features.users, np.array([user]), np.arange(150)[None, :])
        allowed = set(np.flatnonzero(~np.logical_or.reduce(list(gone.values()))[0]).tolist())
        assert set(found[user]) <= allowed
        assert len(found[user]) == min(8, len(allowed))


def test_a_catalogue_that_is_too_small_gives_short_lists_and_no_repeats(remade, tables):
    items = tables["items"].filter(np.arange(150) < 20)
    found = lists(remade(items=items).recommend(range(40)))
    assert all(len(set(one)) == len(one) <= 20 and max(one) < 20 for one in found.values())
    assert any(len(one) < 8 for one in found.values())


def test_users_without_history_get_what_suits_their_age_and_what_is_popular(bundle):
    result = bundle.recommend([36, 37, 38, 39])
    assert set(result.sources) <= {"towers", "popularity"}
    assert len(result.table) == 32


def test_a_known_history_brings_what_the_known_user_gets_from_it(bundle, bundle_with, tables):
    """The same person, once by id and once as a stranger with the same history and attributes; ALS knows only ids."""
    user = tables["histories"].to_pylist()[4]
    attributes = next(r for r in tables["users"].to_pylist() if r["user_id"] == user["user_id"])
    plain = bundle_with(sources__als__num_candidates=0, rank__ranker_weight=0.0, order__exploration_position=0)
    known = plain.recommend([user["user_id"]]).table
    stranger = plain.recommend_for_history(user["item_ids"], attributes).table
    assert stranger["item_id"].to_pylist() == known["item_id"].to_pylist()
    assert set(stranger["user_id"].to_pylist()) == {-1}


def test_strangers_without_anything_are_served(bundle):
    result = bundle.recommend_for_history([], k=5)
    assert result.table.num_rows == 5
    assert set(result.sources) <= {"towers", "popularity"}


def test_attributes_decide_what_a_stranger_may_see(bundle, tables):
    ratings = dict(zip(*(tables["items"][c].to_pylist() for c in ("item_id", "maturity_rating")), strict=True))
    child = bundle.recommend_for_history([1, 2], {"age": 6}, k=8).table["item_id"].to_pylist()
    adult = bundle.recommend_for_history([1, 2], {"age": 40}, k=8).table["item_id"].to_pylist()
    assert {ratings[i] for i in child} == {"all"}
    assert {ratings[i] for i in adult} - {"all"}


def test_what_is_not_known_is_named(bundle):
    with pytest.raises(BundleError, match="item 777 is not among the 150 known items"):
        bundle.recommend_for_history([1, 777])
    with pytest.raises(BundleError, match=r"attribute 'aeg' is not known; there are \['age'"):
        bundle.recommend_for_history([1], {"aeg": 4})
    with pytest.raises(BundleError, match="user 40 is not among"):
        bundle.recommend([40])
    with pytest.raises(BundleError, match=r"item_id is -3 \(int\); allowed: a whole number from 0"):
        bundle.similar(-3)
    with pytest.raises(BundleError, match="user 'u99' is not known to this release; strict=False tells which"):
        bundle.ids("user", ["u1", "u99"])
    with pytest.raises(BundleError, match="user 'u99' is not known to this release, nor are 1 others of 3"):
        bundle.ids("user", ["u99", "u1", "u98"])


def test_similar_items_are_the_nearest_vectors(bundle, tables):
    vectors = np.stack(tables["embeddings"]["vector"].to_numpy())
    likeness = vectors @ vectors[17]
    likeness[17] = -2
    found = bundle.similar(17, k=6)
    assert found["item_id"].to_pylist() == np.argsort(-likeness)[:6].tolist()
    np.testing.assert_allclose(found["score"].to_numpy(), np.sort(-likeness)[:6] * -1, atol=1e-6)
    assert found["title"].to_pylist() == [f"Title {i}" for i in found["item_id"].to_pylist()]


@given(st.sampled_from(["user", "item"]), st.lists(st.integers(0, 200)))
def test_outside_ids_become_dense_ones_and_the_other_way_round(bundle, kind, numbers):
    """Each by itself, whatever else is asked for."""
    known = NUM_USERS if kind == "user" else NUM_ITEMS
    names = [f"{kind[0]}{n}" for n in numbers]
    expected = [n if n < known else -1 for n in numbers]
    found = bundle.ids(kind, names, strict=False)
    assert found.dtype == np.int64 and found.tolist() == expected
    back = bundle.outside_ids(kind, numbers, strict=False)
    assert back == [name if n < known else None for name, n in zip(names, numbers, strict=True)]
    if -1 in expected:
        with pytest.raises(BundleError, match=f"{kind} '{names[expected.index(-1)]}' is not known to this release"):
            bundle.ids(kind, names)
        with pytest.raises(BundleError, match=f"{kind} {numbers[expected.index(-1)]} is not known to this release"):
            bundle.outside_ids(kind, numbers)
    else:
        assert bundle.ids(kind, names).tolist() == numbers and bundle.outside_ids(kind, numbers) == names


def test_whom_the_log_tells_of_and_the_release_knows_no_more_is_not_known(remade, tables):
    """Their ids cannot be asked with; who finds them in a history may still look up who they were."""
    left = {"users": tables["users"].filter(np.arange(40) != 10), "items": tables["items"].filter(np.arange(150) != 3)}
    id_map = tables["id_map"].take(np.random.default_rng(0).permutation(190))
    made = remade(**left, id_map=id_map)
    for kind, gone in (("user", 10), ("item", 3)):
        names = [f"{kind[0]}{n}" for n in (gone, 4)]
        assert made.ids(kind, names, strict=False).tolist() == [-1, 4]
        assert made.outside_ids(kind, [gone, 4]) == names


def test_a_lookup_does_not_go_through_all_ids(bundle, monkeypatch):
    bundle.ids("user", ["u7"])
    monkeypatch.setattr(bundle, "id_map", None)
    assert bundle.ids("user", ["u7", "u0"]).tolist() == [7, 0] and bundle.outside_ids("user", [7, 0]) == ["u7", "u0"]


def test_dense_ids_may_have_gaps_and_come_in_any_order(remade, bundle, tables, user_ids):
    """Items 140-149 are not in the catalogue, users 10 and 11 left: the index and the log still have them."""
    items = tables["items"].take(np.random.default_rng(0).permutation(140))
    users = tables["users"].take([u for u in reversed(range(40)) if u not in (10, 11)])
    found = lists(remade(items=items, users=users).recommend([u for u in user_ids if u not in (10, 11)]))
    assert len(found) == 38
    assert max(i for one in found.values() for i in one) < 140


def test_another_pipeline_loads_nothing_again(bundle, bundle_with, path, user_ids):
    other = bundle_with(k=3)
    assert other.features is bundle.features
    assert other.recommend(user_ids).table.num_rows == 3 * len(user_ids)
    assert bundle.recommend(user_ids).table.num_rows == 8 * len(user_ids)
    assert Bundle(path, pipeline=other.pipeline).recommend([1]).table.num_rows == 3


def history_of(tables, user):
    return next((r["item_ids"] for r in tables["histories"].to_pylist() if r["user_id"] == user), [])


def test_reasons_are_true(bundle, tables, user_ids):
    rows = bundle.recommend(user_ids, trace=True).table.to_pylist()
    uploaded = {r["item_id"]: r["uploaded_at"].timestamp() for r in tables["items"].to_pylist()}
    said = set()
    for row in rows:
        words, history = row["reason"], history_of(tables, row["user_id"])
        assert (words == "something different") == row["explored"]
        kind = next((k for k in ("next after", "like others", "because you") if words.startswith(k)), words)
        said.add(kind)
        if kind in ("next after", "like others", "because you"):
            assert int(words.split("Title ")[1]) in history
        if kind == "new this week":
            assert bundle.features.items.moment - uploaded[row["item_id"]] <= 7 * 86_400
        if kind == "popular now":
            assert row["source"] == "popularity"
        if kind == "for people like you":
            assert not history
        if kind == "next after":
            assert int(words.split("Title ")[1]) == bundle.features.items.previous[row["item_id"]]
    assert said == {
        "something different", "next after", "popular now", "new this week", "like others", "because you",
        "for people like you",
    }  # fmt: skip


def test_items_without_titles_are_called_by_number(remade, tables):
    items = tables["items"].set_column(1, "title", [[None] * 150])
    reasons = remade(items=table("items", **{c: items[c].combine_chunks() for c in items.column_names if c != "title"}))
    words = {w for w in reasons.recommend(range(36)).table["reason"].to_pylist() if w.startswith("because")}
    assert words
    assert all(w.startswith("because you watched item ") for w in words)


def test_a_log_that_says_nothing_of_items_and_users_is_served(tmp_path, tables, pipeline):
    """Ids and histories alone, as from a file of pairs: no titles, genres, ages, times, content neighbours."""
    bare = tables | {
        "items": table("items", item_id=np.arange(150)),
        "users": table("users", user_id=np.arange(40)),
        "content_similarity": tables["content_similarity"].slice(0, 0),
        "exposures": tables["exposures"].slice(0, 0),
    }
    found = lists(Bundle(make_bundle(tmp_path, bare, pipeline), threads=1).recommend(range(40)))
    assert all(len(one) == 8 for one in found.values())


def test_a_strangers_features_are_those_of_their_history(bundle, tables):
    history, items = [3, 4, 9], tables["items"].to_pylist()
    known = bundle.features.items
    users = Users(visitor(history, {"age": 30}, known, tables["users"].schema), known, bundle.tower)
    pair = dict(zip(PAIR_FEATURES, Features(known, users).pairs(np.array([0]), np.array([5]))[0].tolist(), strict=True))
    shares = [sum(genre in items[i]["genres"] for i in history) / 3 for genre in items[5]["genres"]]
    assert pair["genre_share_max"] == pytest.approx(max(shares))
    assert pair["user_age"] == 30
    assert pair["user_log_watches"] == pytest.approx(np.log1p(3))
    assert pair["user_log_recency_days"] == 0
    assert pair["next_episode"] == (known.previous[5] in history)
