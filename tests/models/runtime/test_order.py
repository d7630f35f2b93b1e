"""The order of a list against a greedy reference that goes one user and one candidate at a time."""

from types import SimpleNamespace

import numpy as np
import pytest

from models.runtime.order import Order

SETTINGS = {
    "mmr_lambda": 0.7,
    "genre_weight": 0.3,
    "genre_coverage": 0.3,
    "by_relevance": True,
    "series_cap": 2,
    "creator_cap": 3,
    "fresh_quota": 2,
    "fresh_days": 7.0,
    "exploration_position": 4,
    "exploration_head": 10,
    "exploration_seed": 0,
}
TASTES = np.random.default_rng(5).dirichlet(np.ones(5), 30) * (np.arange(30) % 7 > 0)[:, None]
TASTES = np.pad(TASTES, ((0, 0), (0, 1)))
"""Of every user; some have watched nothing yet. The last column is for items without a genre."""
OFF = {
    "mmr_lambda": 1.0,
    "genre_coverage": 0.0,
    "by_relevance": False,
    "series_cap": 0,
    "creator_cap": 0,
    "fresh_quota": 0,
    "exploration_position": 0,
}


class MadeItems(SimpleNamespace):
    """What `Order` asks of the items, for 40 of them."""

    @classmethod
    def of(cls, seed):
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(41, 5))
        return cls(
            vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
            series=rng.integers(-1, 8, 41),
            creator=rng.integers(0, 9, 41),
            fresh=rng.random(41) < 0.2,
            primary_genre=rng.integers(-1, TASTES.shape[1] - 1, 41),
        )

    def variety(self, genre_weight):
        return self.vectors

    def is_fresh(self, days):
        return self.fresh


def reference(candidates, relevance, items, settings, k, draw, tastes):
    """One user's list, written out."""
    relevance = dict(zip(candidates, relevance, strict=True))
    by_relevance = sorted(candidates, key=lambda item: -relevance[item])
    picked: list[int] = []
    left, explored = list(by_relevance), None
    due = min(settings["fresh_quota"], sum(items.fresh[item] for item in candidates))

    def over_cap(item):
        caps = ((items.series, settings["series_cap"]), (items.creator, settings["creator_cap"]))
        return any(
            cap and group[item] >= 0 and sum(group[p] == group[item] for p in picked) >= cap for group, cap in caps
        )

    def worth(item):
        closest = max([0.0] + [float(items.vectors[item] @ items.vectors[p]) for p in picked])
        mmr = settings["mmr_lambda"] * relevance[item] - (1 - settings["mmr_lambda"]) * closest
        genre, coverage = items.primary_genre[item], settings["genre_coverage"]
        is_new = genre >= 0 and genre not in {items.primary_genre[p] for p in picked}
        promise = tastes[genre] if is_new else 0
        return (1 - coverage) * mmr + coverage * promise

    explores = 0 < settings["exploration_position"] <= k and k > 1
    for slot in range(k):
        slots_left = k - explores - slot
        wanted = due - sum(items.fresh[p] for p in picked)
        must_be_fresh = wanted > 0 and wanted >= slots_left
        if explores and slot == k - 1:
            outside = [i for i in by_relevance[settings["exploration_head"] :] if i in left and not over_cap(i)]
            if outside:
                explored = outside[int(draw * len(outside))]
                picked.append(explored)
                break
        if left:
            best = max(left, key=lambda i: (not over_cap(i), bool(items.fresh[i]) or not must_be_fresh, worth(i)))
            picked.append(best)
            left.remove(best)
    if settings["by_relevance"]:
        picked.sort(key=lambda item: (item == explored, by_relevance.index(item)))
    if explored is not None:
        picked.insert(settings["exploration_position"] - 1, picked.pop())
    return picked, explored


def made_case(seed, num_users=30, width=25):
    rng = np.random.default_rng([seed, 1])
    ids = np.stack([rng.permutation(40)[:width] for _ in range(num_users)])
    for user, count in enumerate(rng.integers(0, width + 1, num_users)):
        if user % 3 == 0:
            ids[user, count:] = -1
    return MadeItems.of(seed), ids, rng.random((num_users, width)), rng.random(num_users)


def ordered(items, ids, relevance, draw, k=8, **changes):
    """Items of every list, and the explored item or None."""
    settings = SETTINGS | changes
    columns, explored = Order(ids, relevance, items, settings, TASTES).lists(k, draw)
    assert columns.shape == explored.shape == (len(ids), k)
    lists = [ids[user, row[row >= 0]].tolist() for user, row in enumerate(columns)]
    found = [
        next((int(i) for i, e in zip(ids[u, columns[u]], explored[u], strict=True) if e), None) for u in range(len(ids))
    ]
    return lists, found


@pytest.mark.parametrize(
    "changes",
    [{}, *({name: value} for name, value in OFF.items()), OFF, {"exploration_position": 99}, {"mmr_lambda": 0.0}],
)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.filterwarnings("error")
def test_lists_equal_the_reference(seed, changes):
    items, ids, relevance, draw = made_case(seed)
    lists, explored = ordered(items, ids, relevance, draw, **changes)
    for user in range(len(ids)):
        real = ids[user] >= 0
        case = ids[user, real].tolist(), relevance[user, real], items, SETTINGS | changes, 8, draw[user]
        wanted = reference(*case, TASTES[user])
        assert (lists[user], explored[user]) == wanted, user


def test_everything_off_is_the_order_of_relevance():
    items, ids, relevance, draw = made_case(0)
    lists, explored = ordered(items, ids, relevance, draw, **OFF)
    assert lists[1] == ids[1][np.argsort(-relevance[1])][:8].tolist()
    assert explored == [None] * len(ids)


def mean_similarity(items, lists):
    vectors = [items.vectors[one] for one in lists if len(one) > 1]
    return np.mean([(v @ v.T)[np.triu_indices(len(v), 1)].mean() for v in vectors])


def test_mmr_makes_lists_more_diverse_the_lower_its_lambda():
    items, ids, relevance, draw = made_case(1)
    similarity = [
        mean_similarity(items, ordered(items, ids, relevance, draw, **(OFF | {"mmr_lambda": share}))[0])
        for share in (1.0, 0.7, 0.3)
    ]
    assert similarity[0] > similarity[1] + 0.03 > similarity[2] + 0.06


def test_by_relevance_the_same_items_stand_in_the_order_of_their_relevance():
    items, ids, relevance, draw = made_case(1)
    changes = OFF | {"mmr_lambda": 0.3, "genre_coverage": 0.5}
    picked, _ = ordered(items, ids, relevance, draw, **changes)
    lists, _ = ordered(items, ids, relevance, draw, **(changes | {"by_relevance": True}))
    assert [set(one) for one in lists] == [set(one) for one in picked] and lists != picked
    for user, one in enumerate(lists):
        worth = dict(zip(ids[user].tolist(), relevance[user], strict=True))
        assert one == sorted(one, key=lambda item: -worth[item])


def test_coverage_opens_lists_with_the_genres_that_the_user_watches_most():
    items, ids, relevance, draw = made_case(1)
    lists, _ = ordered(items, ids, relevance, draw, k=3, **(OFF | {"genre_coverage": 1.0}))
    for user in range(1, len(ids), 3):
        genres = items.primary_genre[lists[user]]
        offered = np.intersect1d(items.primary_genre[ids[user]], range(TASTES.shape[1] - 1))
        if TASTES[user].any():
            assert genres.tolist() == offered[np.argsort(-TASTES[user, offered])][:3].tolist()


@pytest.mark.parametrize(("name", "group"), [("series_cap", "series"), ("creator_cap", "creator")])
def test_caps_hold_while_there_are_others(name, group):
    items, ids, relevance, draw = made_case(2)
    full = [user for user in range(len(ids)) if user % 3]

    def most(cap):
        lists, _ = ordered(items, ids, relevance, draw, **(OFF | {name: cap}))
        groups = [getattr(items, group)[lists[user]] for user in full]
        return max(np.bincount(g[g >= 0]).max() for g in groups)

    assert most(0) > 2
    assert most(2) == 2
    assert most(1) == 1


def test_caps_bend_rather_than_leave_a_list_short():
    items, ids, relevance, draw = made_case(2)
    items.series[:] = 1
    lists, _ = ordered(items, ids, relevance, draw, **(OFF | {"series_cap": 1}))
    assert {len(one) for user, one in enumerate(lists) if user % 3} == {8}


def test_the_quota_brings_fresh_items_where_there_are_any():
    items, ids, relevance, draw = made_case(3)
    available = [np.count_nonzero(items.fresh[row[row >= 0]]) for row in ids]

    def fresh(quota):
        lists, _ = ordered(items, ids, relevance, draw, **(OFF | {"fresh_quota": quota}))
        return [int(items.fresh[one].sum()) for one in lists]

    assert any(count < min(3, most) for count, most in zip(fresh(0), available, strict=True))
    assert all(count >= min(3, most) for count, most in zip(fresh(3), available, strict=True))


def test_the_exploration_slot_is_drawn_from_outside_the_head():
    items, ids, relevance, _ = made_case(0)
    drawn = set()
    for draw in np.linspace(0, 0.999, 200):
        lists, explored = ordered(
            items, ids[1:2], relevance[1:2], np.array([draw]), **(OFF | {"exploration_position": 4})
        )
        assert lists[0][3] == explored[0]
        drawn.add(explored[0])
    head = ids[1][np.argsort(-relevance[1])][:10]
    assert drawn == set(ids[1].tolist()) - set(head.tolist())


def test_the_draw_is_the_users_own_and_stays_for_the_day(bundle, bundle_with, remade, tables):
    draws = bundle.steps._draws(np.arange(1000))
    assert (bundle.steps._draws(np.arange(1000)) == draws).all()
    assert (bundle_with(order__exploration_seed=1).steps._draws(np.arange(1000)) != draws).all()
    assert len(set(draws.tolist())) == 1000
    assert abs(draws.mean() - 0.5) < 0.05
    assert (draws >= 0).all()
    assert (draws < 1).all()
    assert (draws[500:600] == bundle.steps._draws(np.arange(500, 600))).all()


def lists_of(bundle, user_ids):
    return bundle.recommend(user_ids).table["item_id"].to_pylist()


@pytest.mark.parametrize("name", OFF)
def test_every_switch_changes_recommendations(name, bundle, bundle_with, user_ids):
    other = {"genre_coverage": 0.5, "by_relevance": True}.get(name, OFF[name])  # which ship switched off
    assert lists_of(bundle_with(**{f"order__{name}": other}), user_ids) != lists_of(bundle, user_ids)


def test_genres_count_in_the_similarity(bundle):
    items = bundle.features.items
    by_genre, by_vector = items.variety(1.0), items.variety(0.0)
    np.testing.assert_allclose(by_vector @ by_vector.T, items.vectors @ items.vectors.T, atol=1e-6)
    one, other = items.genres[3], items.genres[8]
    cosine = (one & other).sum() / np.sqrt(one.sum() * other.sum())
    assert by_genre[3] @ by_genre[8] == pytest.approx(cosine)
    mixed = items.variety(0.3)
    assert mixed[3] @ mixed[8] == pytest.approx(0.3 * cosine + 0.7 * items.vectors[3] @ items.vectors[8], abs=1e-6)


def test_fresh_means_uploaded_in_the_last_days(bundle, tables):
    now = bundle.features.items.moment
    uploaded = {r["item_id"]: r["uploaded_at"].timestamp() for r in tables["items"].to_pylist()}
    for days in (3, 30):
        fresh = np.flatnonzero(bundle.features.items.is_fresh(days)).tolist()
        assert fresh == [item for item, time in uploaded.items() if now - time <= days * 86_400]
