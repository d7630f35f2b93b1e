"""Every split: nothing in both parts, and the right things judged."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import Failure, UserError
from models.evaluation.splits import (
    DAY_S,
    Split,
    by_time,
    check_disjoint,
    check_no_leak,
    cold_items,
    cold_users,
    fixed,
    hold_one_out,
    holdout,
    k_fold,
    leave_one_out,
    rolling,
)

RNG = np.random.default_rng(0)
USERS = RNG.integers(0, 40, 600)
ITEMS = RNG.integers(0, 30, 600)
TIMES = RNG.integers(0, 20 * DAY_S, 600)


@pytest.mark.parametrize(
    "split",
    [
        leave_one_out(USERS, TIMES),
        leave_one_out(USERS),
        fixed(500, 100),
        holdout(USERS, 0.2, 0),
        hold_one_out(USERS, 0),
        cold_users(USERS, 0.2, 0),
        cold_items(ITEMS, 0.2, 0),
        *k_fold(600, 4, 0),
    ],
)
def test_every_place_is_in_one_of_the_two(split: Split) -> None:
    assert np.array_equal(np.sort(np.concatenate([split.train, split.test])), np.arange(600))
    assert len(split.train) and len(split.test)


def test_by_time_judges_whole_days_after_what_is_trained_on() -> None:
    split = by_time(TIMES, judge_days=3, train_days=5)
    assert split.cut == 17 * DAY_S
    assert np.array_equal(split.test, np.flatnonzero(TIMES >= 17 * DAY_S))
    assert np.array_equal(split.train, np.flatnonzero((TIMES >= 12 * DAY_S) & (TIMES < 17 * DAY_S)))


def test_rolling_splits_lie_end_to_end() -> None:
    splits = rolling(TIMES, num_splits=3, judge_days=2)
    assert [split.cut for split in splits] == [14 * DAY_S, 16 * DAY_S, 18 * DAY_S]
    for earlier, later in pairwise(splits):
        assert np.array_equal(np.union1d(earlier.train, earlier.test), later.train)


def test_spans_without_interactions_are_refused() -> None:
    with pytest.raises(UserError, match="train span"):
        by_time(TIMES, judge_days=100)
    with pytest.raises(UserError, match="test span"):
        by_time(np.array([0, 1]), judge_days=1, end=10 * DAY_S)
    with pytest.raises(UserError, match="no interaction"):
        by_time(np.array([], dtype=np.int64), judge_days=1)


def test_a_leak_is_found() -> None:
    check_no_leak(np.array([1, 2, 9]), 10)
    with pytest.raises(Failure, match=r"leak: 2 of 4 training interactions are not before the cut at 10 .* 12"):
        check_no_leak(np.array([1, 10, 9, 12]), 10)


def test_pairs_in_both_parts_are_found() -> None:
    check_disjoint((np.array([1, 2]), np.array([3, 4])), (np.array([1, 2]), np.array([4, 3])))
    with pytest.raises(Failure, match=r"1 pairs .* user 2 with item 4"):
        check_disjoint((np.array([1, 2]), np.array([3, 4])), (np.array([2]), np.array([4])))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=40))
def test_leave_one_out_takes_the_last_of_each(pairs: list[tuple[int, int]]) -> None:
    users, times = np.array(pairs).T
    expected = [
        max((t, n) for n, (u, t) in enumerate(pairs) if u == user)[1]
        for user in set(users.tolist())
        if (users == user).sum() > 1
    ]
    assert leave_one_out(users, times).test.tolist() == sorted(expected)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.floats(0.01, 0.9))
def test_holdout_leaves_something_of_everybody(users: list[int], share: float) -> None:
    split = holdout(np.array(users), share, 3)
    counts, held = np.bincount(users), np.bincount(np.array(users)[split.test], minlength=max(users) + 1)
    expected = np.minimum(np.maximum(np.round(counts * share), 1), counts - 1)
    assert np.array_equal(held[counts > 0], expected[counts > 0])


def test_hold_one_out_takes_one_of_each() -> None:
    users = np.array([0, 0, 0, 1, 2, 2])
    assert users[hold_one_out(users, 1).test].tolist() == [0, 2]


def test_folds_are_those_of_surprise() -> None:
    """The first three places of fold 0 of 100,000, as the protocol of MovieLens 100K states them."""
    order = np.arange(100_000)
    np.random.RandomState(0).shuffle(order)
    assert order[:3].tolist() == [3582, 60498, 53227]
    folds = k_fold(100_000, 5, 0)
    assert np.array_equal(folds[0].test, np.sort(order[:20_000]))
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(100_000))


def test_the_cold_are_unknown_to_the_training() -> None:
    users, items = cold_users(USERS, 0.25, 0), cold_items(ITEMS, 0.25, 0)
    assert not np.intersect1d(USERS[users.train], USERS[users.test]).size
    assert not np.intersect1d(ITEMS[items.train], ITEMS[items.test]).size
    assert len(np.unique(USERS[users.test])) == 10


def test_seeds_decide() -> None:
    for split in (
        lambda s: holdout(USERS, 0.3, s),
        lambda s: cold_users(USERS, 0.3, s),
        lambda s: k_fold(600, 3, s)[0],
    ):
        assert np.array_equal(split(1).test, split(1).test)
        assert not np.array_equal(split(1).test, split(2).test)
