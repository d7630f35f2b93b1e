"""The index through selectors: only what is allowed, and enough of it."""

import faiss
import numpy as np
import pytest

from models.index.build import build_shards
from models.index.config import IndexConfig
from models.runtime import Bundle, BundleError
from models.runtime.index import ItemIndex
from tests.models.hnsw import hnsw_of

DIM, NUM_ITEMS, K = 16, 3000, 20
TYPES = ("flat", "ivf", "ivf_pq", "hnsw")


def clustered(num, seed):
    """Unit vectors around 30 centres, and the centre of each."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(30, DIM))
    of = rng.integers(0, 30, num)
    vectors = centres[of] + 0.3 * rng.normal(size=(num, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), of


VECTORS, CENTRE = clustered(NUM_ITEMS, 1)
QUERIES, CENTRE_OF_QUERY = clustered(25, 2)
IDS = np.random.default_rng(3).permutation(2 * NUM_ITEMS)[:NUM_ITEMS]
"""Ids with gaps, in no order."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Type, number of shards -> files of an index; its own search effort is the least."""
    made = {}

    def files(chosen, num_shards):
        if (chosen, num_shards) not in made:
            shards = [(IDS[n::num_shards], np.ascontiguousarray(VECTORS[n::num_shards])) for n in range(num_shards)]
            config = IndexConfig(type=chosen, num_lists=30, hnsw_links=4, hnsw_build_beam=20)
            folder = tmp_path_factory.mktemp(f"{chosen}-{num_shards}")
            made[chosen, num_shards] = [folder / f"{n}.faiss" for n in range(num_shards)]
            for file, index in zip(made[chosen, num_shards], build_shards(shards, config, 1)[1], strict=True):
                faiss.write_index(index, str(file))
        return made[chosen, num_shards]

    return files


@pytest.fixture(params=[(chosen, num) for chosen in TYPES for num in (1, 3)], ids=lambda p: f"{p[0]}-{p[1]}")
def shards(request, files):
    return files(*request.param)


def mask_of(ids):
    mask = np.zeros(2 * NUM_ITEMS, dtype=bool)
    mask[ids] = True
    return mask


def brute_force(queries, ids, k):
    """Ids of the k nearest among some, best first."""
    places = np.flatnonzero(np.isin(IDS, ids))
    return IDS[places][np.argsort(-(queries @ VECTORS[places].T), axis=1)[:, :k]]


def far_from(query):
    """Every item of the ten centres that are farthest from a query's."""
    means = np.stack([VECTORS[centre == CENTRE].mean(axis=0) for centre in range(30)])
    return IDS[np.isin(CENTRE, np.argsort(means @ query)[:10])]


SOME = np.random.default_rng(4).choice(IDS, 400, replace=False)


@pytest.mark.parametrize("num_shards", [1, 3])
def test_flat_equals_brute_force_over_what_is_allowed(files, num_shards):
    towers = ItemIndex(files("flat", num_shards))
    found, scores = towers.search(QUERIES, K, mask_of(SOME))
    assert found.tolist() == brute_force(QUERIES, SOME, K).tolist()
    vectors = dict(zip(IDS.tolist(), VECTORS, strict=True))
    expected = [[vectors[i] @ q for i in row] for row, q in zip(found.tolist(), QUERIES, strict=True)]
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert (found.dtype, scores.dtype) == (np.int64, np.float32)


def test_nothing_but_what_is_allowed_comes_and_enough_of_it(shards):
    for allowed in (SOME, far_from(QUERIES[0]), SOME[:K], SOME[: K + 1]):
        found, scores = ItemIndex(shards).search(QUERIES, K, mask_of(allowed))
        assert np.isin(found, allowed).all()
        assert all(len(set(row)) == K for row in found.tolist())
        assert (np.diff(scores, axis=1) <= 0).all()


def test_fewer_than_k_allowed_all_come(shards):
    for num in (1, 7):
        found, scores = ItemIndex(shards).search(QUERIES, K, mask_of(SOME[:num]))
        assert (np.sort(found[:, :num]) == np.sort(SOME[:num])).all()
        assert (found[:, num:] == -1).all() and np.isneginf(scores[:, num:]).all()


def test_ids_say_the_same_as_a_mask(shards):
    towers = ItemIndex(shards)
    expected = towers.search(QUERIES, K, mask_of(SOME))
    for ids in (SOME, np.append(SOME, -1), SOME.astype(np.int32)):
        for got, wanted in zip(towers.search(QUERIES, K, ids), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("allowed", [np.array([], dtype=bool), [], [-1], [10**6], np.zeros(50, dtype=bool)])
def test_nothing_allowed_finds_nothing(shards, allowed):
    found, scores = ItemIndex(shards).search(QUERIES, K, allowed)
    assert (found == -1).all() and np.isneginf(scores).all()


@pytest.mark.parametrize("chosen", ["ivf", "ivf_pq", "hnsw"])
@pytest.mark.parametrize("num_shards", [1, 3])
def test_the_search_is_widened_where_the_near_lists_have_too_little(chosen, num_shards, files, monkeypatch):
    """Each type's own effort finds too little of what lies far away; more effort is spent on who needs it only."""
    towers, allowed = ItemIndex(files(chosen, num_shards)), mask_of(far_from(QUERIES[0]))
    first = [shard.search(QUERIES[:1], K, allowed) for shard in towers.shards]
    assert sum(np.count_nonzero(ids >= 0) for _, ids in first) < K
    asked, search = [], towers.shards[0].search

    def told(vectors, k, allowed, times):
        asked.append((times, len(vectors)))
        return search(vectors, k, allowed, times)

    monkeypatch.setattr(towers.shards[0], "search", told)
    found, _ = towers.search(QUERIES, K, allowed)
    assert (found >= 0).all()
    times, rows = zip(*asked, strict=True)
    assert list(times) == [times[0] * 2**n for n in range(len(asked))] and len(asked) > 1
    assert rows[0] == len(QUERIES) > rows[1] and list(rows) == sorted(rows, reverse=True)


@pytest.mark.parametrize("chosen", ["ivf", "hnsw"])
@pytest.mark.parametrize("num_shards", [1, 3])
def test_at_the_end_everything_is_compared(chosen, num_shards, files):
    """As many as are allowed can only be found by looking everywhere."""
    found, _ = ItemIndex(files(chosen, num_shards)).search(QUERIES, 400, mask_of(SOME))
    assert found.tolist() == brute_force(QUERIES, SOME, 400).tolist()


def test_a_graph_that_leads_nowhere_is_no_excuse(tmp_path):
    """Without its links HNSW reaches its entry point alone."""
    _, (index,) = build_shards([(IDS, VECTORS)], IndexConfig(type="hnsw"), threads=1)
    graph = hnsw_of(index)
    faiss.copy_array_to_vector(np.full(graph.neighbors.size(), -1, dtype=np.int32), graph.neighbors)
    faiss.write_index(index, str(tmp_path / "cut.faiss"))
    towers = ItemIndex([tmp_path / "cut.faiss"])
    assert np.count_nonzero(towers.search(QUERIES, K)[0] >= 0) == len(QUERIES)
    assert towers.search(QUERIES, K, SOME)[0].tolist() == brute_force(QUERIES, SOME, K).tolist()


def test_an_allowance_of_everything_changes_nothing(shards):
    towers = ItemIndex(shards)
    plain, allowed = towers.search(QUERIES, K), towers.search(QUERIES, K, mask_of(IDS))
    enough = (plain[0] >= 0).all(axis=1)
    assert enough.any() and (plain[0][enough] == allowed[0][enough]).all()


def test_without_a_selector_one_shard_answers_as_faiss_does(files):
    for chosen in TYPES:
        (file,) = files(chosen, 1)
        scores, ids = faiss.read_index(str(file)).search(QUERIES, K)
        found = ItemIndex([file]).search(QUERIES, K)
        assert (found[0] == ids).all() and (found[1][ids >= 0] == scores[ids >= 0]).all()
        assert np.isneginf(found[1][ids < 0]).all()


def test_a_shard_knows_its_ids(shards):
    assert sorted(i for shard in ItemIndex(shards).shards for i in shard.ids.tolist()) == sorted(IDS.tolist())


def test_what_the_catalogue_has_no_more_never_comes(shards):
    known = mask_of(IDS[::2])[: max(IDS) - 100]  # half is gone, and so are the last ids
    towers = ItemIndex(shards, known)
    gone = set(IDS.tolist()) - set(np.flatnonzero(known).tolist())
    for allowed in (None, mask_of(SOME), SOME, mask_of(sorted(gone))):
        found, _ = towers.search(QUERIES, K, allowed)
        assert not gone & set(found.ravel().tolist())
    assert (towers.search(QUERIES, K)[0] >= 0).all()
    assert (towers.search(QUERIES, K, mask_of(sorted(gone)))[0] == -1).all()


def test_there_is_no_selector_while_the_catalogue_has_everything(shards, monkeypatch):
    monkeypatch.setattr("models.runtime.index._selector", lambda allowed: pytest.fail("made a selector"))
    ItemIndex(shards, mask_of(IDS)).search(QUERIES, K)


# --- through the bundle -----------------------------------------------------------------------------------------------


def allowed_for(bundle, user):
    everything = np.arange(bundle.features.items.size)[None, :]
    gone = bundle.steps.filters.removals(bundle.features.users, np.array([user]), everything)
    return np.flatnonzero(~np.logical_or.reduce(list(gone.values()))[0])


def test_the_bundle_searches_for_anything(bundle, tables):
    vectors = np.stack(tables["embeddings"]["vector"].to_numpy())
    found, scores = bundle.search(vectors[:3], 5)
    assert found[:, 0].tolist() == [0, 1, 2]
    np.testing.assert_allclose(scores[:, 0], 1, atol=1e-6)
    found, _ = bundle.search(vectors[:3].astype(np.float64).tolist(), 5, allowed=[4, 9, 140])
    assert [sorted(row) for row in found.tolist()] == [[-1, -1, 4, 9, 140]] * 3


@pytest.mark.parametrize("shape", [(16,), (2, 15), (1, 2, 16)])
def test_vectors_of_another_shape_are_refused(bundle, shape):
    with pytest.raises(BundleError, match=r"vectors have shape \[.*\]; the index takes \[N, 16\]"):
        bundle.search(np.zeros(shape), 5)


def test_as_many_come_as_the_filters_allow(bundle, user_ids, tables):
    """More than over-fetching can promise: k items, and all where there are fewer."""
    vectors = np.stack(tables["embeddings"]["vector"].to_numpy())
    for k in (5, 60, 150):
        found, scores = bundle.retrieve("towers", user_ids, k)
        for user in user_ids:
            allowed = allowed_for(bundle, user)
            likeness = vectors[allowed] @ bundle.features.users.vectors(np.array([user]))[0, 0]
            wanted = allowed[np.argsort(-likeness)[:k]]
            assert found[user, : len(wanted)].tolist() == wanted.tolist()
            assert (found[user, len(wanted) :] == -1).all()
        assert (np.diff(np.where(found < 0, -9, scores), axis=1) <= 0).all()


def test_who_comes_short_is_searched_for_among_what_they_may_see(bundle, user_ids, monkeypatch):
    """Were nothing over-fetched, the nearest items alone would be too few."""
    expected = bundle.retrieve("towers", user_ids, 12)[0]
    find = bundle.steps._find
    monkeypatch.setattr(bundle.steps, "_find", lambda source, users, rows, k: find(source, users, rows, 3))
    assert (bundle.retrieve("towers", user_ids, 12)[0] == expected).all()
    assert (bundle.retrieve("als", user_ids[:30], 12)[0] == -1).any()


def test_deleted_items_come_from_nowhere(remade, tables, user_ids):
    made = remade(items=tables["items"].filter(np.arange(150) % 3 > 0))
    vectors = np.stack(tables["embeddings"]["vector"].to_numpy())
    for found in (
        made.search(vectors, 100)[0],
        made.search(vectors, 100, allowed=np.ones(150, dtype=bool))[0],
        made.search(vectors, 100, allowed=range(150))[0],
        made.retrieve("towers", user_ids, 60)[0],
        made.retrieve("towers", user_ids, 150, filtered=False)[0],
        made.similar(1, k=99)["item_id"].to_numpy(),
        made.recommend(user_ids).table["item_id"].to_numpy(),
    ):
        assert (found[found >= 0] % 3 > 0).all()
    assert (made.search(vectors, 100)[0] >= 0).all()


def test_an_index_that_forgets_nobody_needs_no_selector(bundle):
    assert bundle.index.known is None


def test_a_user_who_has_watched_since_comes_short_of_nothing(path):
    made = Bundle(path, threads=1)
    watched = made.retrieve("towers", [4], 40)[0][0].tolist()
    made.watch(4, watched)
    found = made.retrieve("towers", [4], 150)[0][0]
    assert set(found[found >= 0].tolist()) == set(allowed_for(made, 4).tolist()) - set(watched)
