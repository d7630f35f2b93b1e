from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from models.world.audience import presence
from models.world.behaviour import pair_codes, shown
from models.world.config import WorldConfig
from models.world.oracle import Scores, either, from_pages
from models.world.tables import items_of, oracle_of, users_of
from models.world.taste import fondness
from models.world.watching import pleases, positive_share
from models.world.world import World

Log = dict[str, pa.Table]
NOTHING = np.empty(0, dtype=np.int64)
CUT, JUDGED = 27, (28, 29)


@pytest.fixture(scope="module")
def seen(month: Log) -> tuple[np.ndarray, np.ndarray]:
    window = month["watches"].filter(pa.array(month["watches"]["day"].to_numpy() <= CUT))
    return window["user_id"].to_numpy(), window["item_id"].to_numpy()


@pytest.fixture(scope="module")
def oracle(world: World, seen: tuple[np.ndarray, np.ndarray], days: Callable[..., list[str]]) -> pa.Table:
    cut, first, last = days(world, [CUT, *JUDGED])
    users, items = np.arange(users_of(world, cut).num_rows), np.arange(items_of(world, cut).num_rows)
    return oracle_of(world, first, last, users, items, seen, k=100)


def _truth(world: World, log: Log, seen: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Codes of the judged pairs: liked on the judged days, unseen, of users and items known at the cut."""
    watches = log["watches"].filter(log["watches"]["positive"])
    watches = watches.filter(pa.array(watches["day"].to_numpy() > CUT))
    user, item = watches["user_id"].to_numpy(), watches["item_id"].to_numpy()
    number = world.first_day + CUT
    known = (world.audience(number).signup[user] <= number) & (world.catalogue(number).uploaded[item] <= number)
    codes = pair_codes(user[known], item[known])
    return np.unique(codes[~np.isin(codes, pair_codes(*seen))])


def _ndcg(lists: dict[int, np.ndarray], truth: np.ndarray) -> float:
    """NDCG@10 as its definition reads, over the users with a truth."""
    liked: dict[int, set[int]] = {}
    for code in truth.tolist():
        liked.setdefault(code >> 32, set()).add(code & (2**32 - 1))
    gains = []
    for user, items in liked.items():
        found = sum(1 / np.log2(place + 2) for place, i in enumerate(lists.get(user, [])[:10]) if i in items)
        gains.append(found / sum(1 / np.log2(place + 2) for place in range(min(10, len(items)))))
    return float(np.mean(gains))


def test_lists_are_ranked_and_hold_only_what_may_be_on_them(
    oracle: pa.Table, seen: tuple[np.ndarray, np.ndarray]
) -> None:
    user, rank, item, score = (oracle[c].to_numpy() for c in ("user_id", "rank", "item_id", "score"))
    assert np.array_equal(rank == 1, np.diff(user, prepend=-1) > 0)
    assert np.all(np.diff(rank)[np.diff(user) == 0] == 1)
    assert np.all(np.diff(score)[np.diff(user) == 0] <= 0)
    assert rank.max() == 100
    assert len(np.unique(pair_codes(user, item))) == len(user)
    assert 0 < score.min() < score.max() < 1
    assert not np.isin(pair_codes(user, item), pair_codes(*seen)).any()


def test_scores_are_probabilities(
    world: World, month: Log, seen: tuple[np.ndarray, np.ndarray], oracle: pa.Table
) -> None:
    """What is said to happen with some probability happens about as often, in bands and for episodes and others."""
    codes = pair_codes(oracle["user_id"].to_numpy(), oracle["item_id"].to_numpy())
    happened, score = np.isin(codes, _truth(world, month, seen)), oracle["score"].to_numpy().astype(float)
    serial = world.catalogue(world.first_day).series[oracle["item_id"].to_numpy()] >= 0
    bands = [serial, ~serial] + [(score >= low) & (score < high) for low, high in ((0, 0.02), (0.02, 0.1), (0.1, 1))]
    for band in bands:
        expected = score[band].sum()
        assert expected > 100
        assert happened[band].sum() == pytest.approx(expected, abs=0.1 * expected + 3 * np.sqrt(expected))


def test_a_score_is_how_often_it_happens_over_many_days_alike() -> None:
    """One person's day, lived 40,000 times, against the closed form of their pages."""
    world = World(WorldConfig(num_users=200, num_items=300, drift=0.0))
    day, copies, user = world.day(world.first_day), 40_000, np.array([7])
    missed = np.ones(300)
    for pages, places in shown(replace(day, present=np.full(copies, 7)), NOTHING):
        life, item = pages.row[places.page[places.watches]], places.item[places.watches]
        lives_with = np.bincount(np.unique(life * 1_000 + item) % 1_000, minlength=300)
        missed *= 1 - lives_with / copies
    lived, items = 1 - missed, np.arange(300)
    (scores,) = from_pages([day], user, items, NOTHING, k=300)
    fond = fondness(day.audience.tastes.one[7, day.catalogue.niche[scores.item]])
    share = positive_share(world.config, day.audience.device[user])
    said = scores.score / (presence(day.audience, day.day, user) * pleases(fond) * share)
    deviations = (lived[scores.item] - said) / np.sqrt(np.maximum(said, 1e-4) / copies)
    assert np.count_nonzero(said > 0.01) > 10
    assert np.abs(deviations).max() < 5


def test_the_shortlist_misses_nothing(world: World, oracle: pa.Table, days: Callable[..., list[str]]) -> None:
    """Lists of ten, made from a shortlist, are the first ten of lists that hold everything."""
    first, last = days(world, list(JUDGED))
    users, items, none = np.arange(60), np.arange(1_900), (np.empty(0, np.int32), np.empty(0, np.int32))
    short, whole = (oracle_of(world, first, last, users, items, none, k=k) for k in (10, 1_900))
    assert short == whole.filter(pa.array(whole["rank"].to_numpy() <= 10))


def test_the_oracle_beats_what_it_is_the_mark_for(
    world: World, month: Log, seen: tuple[np.ndarray, np.ndarray], oracle: pa.Table
) -> None:
    """And popularity beats chance, as it does where popularity is a power law."""
    truth, num_users = _truth(world, month, seen), world.user_growth.by(world.first_day + CUT)
    counts = np.bincount(seen[1], minlength=2_000)
    hidden = np.zeros((num_users, 2_000), dtype=bool)
    hidden[seen] = True
    user, item = oracle["user_id"].to_numpy(), oracle["item_id"].to_numpy()
    best = {u: item[user == u] for u in range(num_users)}
    popular = {u: np.argsort(-np.where(hidden[u], -1, counts), kind="stable")[:10] for u in range(num_users)}
    rng = np.random.default_rng(0)
    chance = {u: rng.permutation(np.flatnonzero(~hidden[u]))[:10] for u in range(num_users)}
    reached = _ndcg(best, truth)
    assert reached > 0.3
    assert reached > 5 * _ndcg(popular, truth)
    assert _ndcg(popular, truth) > 3 * _ndcg(chance, truth)


def test_co_watching_can_be_learnt_from(world: World, month: Log, seen: tuple[np.ndarray, np.ndarray]) -> None:
    """Cosine between items, the plainest personal recommender, beats popularity by far on the demo."""
    truth, num_users = _truth(world, month, seen), world.user_growth.by(world.first_day + CUT)
    window = month["watches"].filter(month["watches"]["positive"])
    window = window.filter(pa.array(window["day"].to_numpy() <= CUT))
    liked = np.zeros((num_users, 2_000))
    liked[window["user_id"].to_numpy(), window["item_id"].to_numpy()] = 1
    norms = np.maximum(np.sqrt(liked.sum(axis=0)), 1)
    scores = liked @ (liked.T @ liked / np.outer(norms, norms))
    scores[seen] = -1
    counts = np.broadcast_to(liked.sum(axis=0), scores.shape).copy()
    counts[seen] = -1
    personal, popular = (_ndcg(dict(enumerate(np.argsort(-s, axis=1)[:, :10])), truth) for s in (scores, counts))
    assert personal > 1.5 * popular


def test_what_may_come_about_in_two_ways_is_listed_once() -> None:
    """An episode of the series that a person follows, who may begin the same series again."""
    two_ways = Scores(np.array([1, 0, 1, 1]), np.array([7, 7, 8, 7]), np.array([0.5, 0.1, 0.3, 0.2]))
    once = either(two_ways)
    assert (once.user.tolist(), once.item.tolist()) == ([0, 1, 1], [7, 7, 8])
    assert once.score.tolist() == pytest.approx([0.1, 0.6, 0.3])
    assert len(either(Scores(NOTHING, NOTHING, np.empty(0))).user) == 0
