"""Every source against brute force, and their fusion against a reference."""

from collections import defaultdict

import numpy as np
import pytest

from models.collaborative.neighbours import Neighbours as Measured
from models.collaborative.ratings import Biases, RatingFactors
from models.interactions import Histories
from models.runtime.filters import Filters

SOURCES = ("towers", "als", "item_item", "content", "transformer", "popularity")


@pytest.fixture(scope="module")
def histories(tables):
    rows = tables["histories"].to_pylist()
    return defaultdict(list, {row["user_id"]: row["item_ids"] for row in rows})


def vectors_of(table, column):
    return dict(zip(table.column(0).to_pylist(), np.stack(table[column].to_numpy()), strict=True))


def best(scores, k):
    """The k best of item -> score, ties by id."""
    return sorted(scores, key=lambda item: (-round(scores[item], 5), item))[:k]


def towers(tables, bundle, histories, user):
    vector = bundle.features.users.vectors(np.array([user]))[0, 0]
    return {item: float(vector @ other) for item, other in vectors_of(tables["embeddings"], "vector").items()}


def als(tables, bundle, histories, user):
    users = vectors_of(tables["als_user_factors"], "factors")
    items = vectors_of(tables["als_item_factors"], "factors")
    return {item: float(users[user] @ other) for item, other in items.items()} if user in users else {}


def neighbours(dataset):
    def scores(tables, bundle, histories, user):
        total: dict[int, float] = defaultdict(float)
        settings = bundle.pipeline["history"]
        for places_back, watched in enumerate(histories[user][::-1][: settings["length"]]):
            for row in tables[dataset].to_pylist():
                if row["item_id"] == watched and row["rank"] <= settings["num_neighbours"]:
                    total[row["neighbour_id"]] += row["score"] * 0.5 ** (places_back / settings["half_life"])
        return total

    return scores


def popularity(tables, bundle, histories, user):
    return {row["item_id"]: row["score"] for row in tables["popularity"].to_pylist()}


def transformer(tables, bundle, histories, user):
    member = vectors_of(tables["member_embeddings"], "vector")[user]
    return {item: float(member @ other) for item, other in vectors_of(tables["title_embeddings"], "vector").items()}


REFERENCES = {
    "transformer": transformer,
    "towers": towers,
    "als": als,
    "item_item": neighbours("item_similarity"),
    "content": neighbours("content_similarity"),
    "popularity": popularity,
}


@pytest.mark.parametrize("source", SOURCES)
def test_source_equals_brute_force(source, tables, bundle, histories):
    users, k = [38, 0, 5, 39, 17], 12
    item_ids, scores = bundle.retrieve(source, users, k, filtered=False)
    assert item_ids.shape == scores.shape == (5, k)
    for user, found, values in zip(users, item_ids.tolist(), scores, strict=True):
        expected = REFERENCES[source](tables, bundle, histories, user)
        wanted = best(expected, k)
        assert sorted(wanted) == sorted(i for i in found if i >= 0)
        np.testing.assert_allclose(values[: len(wanted)], [expected[i] for i in wanted], rtol=1e-4, atol=1e-5)
        assert np.isneginf(values[len(wanted) :]).all()


@pytest.mark.parametrize("changes", [{"length": 2}, {"half_life": 0.5}, {"num_neighbours": 3}, {"length": 99}])
@pytest.mark.parametrize("source", ["item_item", "content"])
def test_the_history_is_looked_at_as_told(source, changes, tables, bundle, bundle_with, histories):
    other = bundle_with(**{f"history__{name}": value for name, value in changes.items()})
    before, after = (b.retrieve(source, range(36), 5, filtered=False)[0].tolist() for b in (bundle, other))
    for user, found in enumerate(after):
        assert sorted(i for i in found if i >= 0) == sorted(best(REFERENCES[source](tables, other, histories, user), 5))
    assert before != after


def test_cold_users_have_only_what_asks_for_no_history(bundle):
    found = {source: (bundle.retrieve(source, [39], 5)[0] >= 0).any() for source in SOURCES}
    assert {source for source, any_found in found.items() if any_found} == {"towers", "transformer", "popularity"}


def test_content_yields_items_that_nobody_watched(bundle, tables):
    warm = set(tables["item_features"]["item_id"].to_pylist())
    assert set(bundle.retrieve("content", range(36), 20)[0].ravel()) - warm - {-1}
    for source in ("als", "item_item", "popularity"):
        assert set(bundle.retrieve(source, range(36), 20)[0].ravel()) <= warm | {-1}


def test_retrieval_passes_the_filters_unless_told_not_to(bundle, histories):
    def seen(filtered):
        found = bundle.retrieve("als", range(36), 20, filtered)[0]
        return sum(item in histories[user] for user, items in enumerate(found.tolist()) for item in items)

    assert seen(filtered=False) > 0
    assert seen(filtered=True) == 0


def pools(bundle, user_ids):
    rows = bundle.features.user_rows(np.array(user_ids))
    pool, _ = bundle.steps.candidates(bundle.features.users, rows, bundle.pipeline["k"])
    return pool


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_can_be_switched_off(source, bundle_with, user_ids):
    on = {"sources__transformer__num_candidates": 20}
    bundle = bundle_with(**on)
    assert source in bundle.recommend(user_ids).sources
    others = on | {f"sources__{name}__num_candidates": 0 for name in SOURCES if name != source}
    without = bundle_with(**on | {f"sources__{source}__num_candidates": 0})
    alone = bundle_with(**others)
    assert source not in without.recommend(user_ids).sources or source == "popularity"
    assert set(alone.recommend(user_ids).sources) <= {source, "popularity"}
    assert pools(without, user_ids).item_ids.tolist() != pools(bundle, user_ids).item_ids.tolist()


def test_a_source_gives_only_so_many_candidates(bundle_with):
    unfiltered = {f"filters__{reason}": False for reason in Filters.REASONS}
    for size in (5, 30):
        alone = {f"sources__{name}__num_candidates": size * (name == "als") for name in SOURCES}
        pool = pools(bundle_with(**alone, **unfiltered, k=3), range(36))
        assert (np.count_nonzero(pool.item_ids >= 0, axis=1) == size).all()


@pytest.mark.parametrize(("kind", "cold"), [("cold", {True}), ("warm", {False}), ("all", {True, False})])
def test_a_source_proposes_cold_or_warm_items_as_told(kind, cold, bundle_with, tables):
    warm = set(tables["item_features"]["item_id"].to_pylist())
    off = {f"sources__{name}__num_candidates": 0 for name in SOURCES if name != "towers"}
    found = pools(bundle_with(**off, sources__towers__items=kind, k=1), range(36)).item_ids
    assert {item not in warm for item in found[found >= 0].tolist()} == cold


def test_fusion_equals_a_reference(bundle, user_ids):
    """Weighted reciprocal ranks of the filtered lists, added up."""
    settings, constant = bundle.pipeline["sources"], bundle.pipeline["rank"]["rank_constant"]
    rows = bundle.features.user_rows(np.array(user_ids))
    lists = bundle.steps._lists(bundle.features.users, rows)
    pool = pools(bundle, user_ids)
    for user in range(36):
        gone = bundle.steps.filters.removals(bundle.features.users, np.array([user]), np.arange(150)[None, :])
        allowed = ~np.logical_or.reduce(list(gone.values()))[0]
        places: dict[int, dict[str, int]] = defaultdict(dict)
        for name, found in zip(bundle.steps.active, lists, strict=True):
            for place, item in enumerate([i for i in found[user].tolist() if i >= 0 and allowed[i]], 1):
                places[item][name] = place
        votes = {i: sum(settings[n]["weight"] / (constant + p) for n, p in at.items()) for i, at in places.items()}
        got = {
            int(i): (score, SOURCES[source])
            for i, score, source in zip(pool.item_ids[user], pool.retrieval[user], pool.source[user], strict=True)
            if i >= 0
        }
        assert got.keys() == set(best(votes, len(got)))
        for item, (score, source) in got.items():
            assert score == pytest.approx(votes[item])
            assert places[item][source] == min(places[item].values())


def test_weights_decide_who_is_heard(bundle_with, user_ids):
    def mean_place(weight):
        other = bundle_with(sources__popularity__weight=weight, rank__ranker_weight=0.0)
        return np.mean([p or 31 for p in other.recommend(user_ids, trace=True).table["rank_in_popularity"].to_pylist()])

    assert mean_place(100.0) < mean_place(1.0) - 2 < mean_place(0.01) - 4


def test_shards_are_merged_by_score(bundle):
    """The made index has two shards; the best of both come first."""
    found, scores = bundle.index.search(bundle.features.items.vectors[:5], 10)
    assert len(bundle.index.shards) == 2
    assert (np.diff(scores, axis=1) <= 0).all()
    assert {item % 2 for item in found.ravel().tolist()} == {0, 1}


@pytest.mark.parametrize("source", ["als", "item_item", "content", "transformer"])
def test_a_source_scores_what_it_proposes_as_it_ranks_it(bundle, source):
    """So that a system may ask it about what others propose; of what it does not know it says 0."""
    found, ranked = bundle.retrieve(source, range(40), 12, filtered=False)
    users = bundle.features.users
    said = bundle.steps.sources[source].scores(users, np.arange(40), found)
    there = found >= 0
    assert there.any()
    np.testing.assert_allclose(said[there], ranked[there], rtol=1e-5)
    assert (said[~there] == 0).all()
    beyond = np.full((40, 1), -1)
    assert (bundle.steps.sources[source].scores(users, np.arange(40), beyond) == 0).all()


def test_neighbours_score_as_those_that_protocols_measure(bundle, tables):
    """Histories whole and undecayed: then the source of a release and the model of the catalogue say the same."""
    table = tables["item_similarity"]
    items, neighbours, scores = (table[name].to_numpy() for name in ("item_id", "neighbour_id", "score"))
    model = Measured.of(items, neighbours, scores, np.zeros(150, np.float32))
    whole = {"length": 1000, "half_life": 1e6, "num_neighbours": 1000}
    users = bundle.features.users
    rows = np.repeat(np.arange(40), np.diff(users.history.offsets))
    histories = Histories.of(rows, users.history.values, 40)
    everything = np.tile(np.arange(150), (40, 1))
    served = bundle._sources["item_item"].using(whole).scores(users, np.arange(40), everything)
    np.testing.assert_allclose(served, model.scores(np.arange(40), histories), rtol=1e-3, atol=1e-6)


def test_vectors_score_as_those_that_protocols_measure(bundle, tables):
    """The factors of who has no more than the night knew; protocols fold histories in instead."""
    items, users = (np.stack(tables[f"als_{of}_factors"]["factors"].to_numpy()) for of in ("item", "user"))
    model = RatingFactors(Biases(0.0, np.zeros(len(users)), np.zeros(len(items))), users, items)
    rows = np.arange(len(users))
    everything = np.tile(np.arange(len(items)), (len(users), 1))
    served = bundle._sources["als"].scores(bundle.features.users, rows, everything)
    nothing = Histories.of(rows[:0], rows[:0], len(users))
    np.testing.assert_allclose(served, model.scores(rows, nothing), rtol=1e-4, atol=1e-5)
