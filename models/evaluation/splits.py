"""What is trained on and what is judged: every way to cut interactions in two, as pure functions over arrays.

Shapes: N interactions, numbered by their place. A split holds places, so that whatever columns there are can be cut by
it. Which split answers which question: `docs/evaluation.md`.
"""

from dataclasses import dataclass

import numpy as np

from expectations.errors import Failure, UserError
from models.interactions import Ints

DAY_S = 86_400


@dataclass(frozen=True)
class Split:
    """Places that are trained on, and places that are judged: int64, ascending, none in both.

    Attributes:
        cut: first moment that may not be learnt from, seconds since 1970; None where the split is not one in time.
    """

    train: Ints
    test: Ints
    cut: int | None = None

    @classmethod
    def of(cls, in_test: np.ndarray) -> "Split":
        """Made from bool `[N]`: whether a place is judged; all others are trained on."""
        return cls(np.flatnonzero(~in_test), np.flatnonzero(in_test))


def by_time(times: Ints, judge_days: int, train_days: int | None = None, end: int | None = None) -> Split:
    """Judge the last whole days (UTC), train on the days before: what a night does, and what a service lives through.

    Args:
        times: `[N]` seconds since 1970.
        train_days: days before the judged ones that are trained on; None takes all.
        end: first moment after the judged days; by default the end of the day of the last interaction.

    Raises:
        UserError: nothing happened in one of the two spans.
    """
    end = _end_of_day(times) if end is None else end
    cut = end - judge_days * DAY_S
    start = np.iinfo(np.int64).min if train_days is None else cut - train_days * DAY_S
    split = Split(
        np.flatnonzero((times >= start) & (times < cut)), np.flatnonzero((times >= cut) & (times < end)), int(cut)
    )
    if not len(split.train) or not len(split.test):
        side = "test" if len(split.train) else "train"
        raise UserError(f"no interaction is in the {side} span of a split by time: choose fewer or other days")
    return split


def rolling(times: Ints, num_splits: int, judge_days: int, train_days: int | None = None) -> list[Split]:
    """Several splits by time, oldest first; the judged days lie end to end and the last ones are the newest.

    Quality drifts: the spread over these says how far one split can be trusted.
    """
    end = _end_of_day(times)
    ends = (end - n * judge_days * DAY_S for n in reversed(range(num_splits)))
    return [by_time(times, judge_days, train_days, one) for one in ends]


def leave_one_out(users: Ints, times: Ints | None = None) -> Split:
    """Judge every user's last interaction, by time or else by place; users with a single one are only trained on.

    Not a split in time: others' later interactions are trained on.
    """
    order = np.lexsort((np.arange(len(users)), users if times is None else times, users))
    is_last = np.append(np.diff(users[order]) != 0, True)
    return Split.of(_at(order[is_last], len(users)) & (np.bincount(users)[users] > 1))


def fixed(num_train: int, num_test: int) -> Split:
    """Somebody else's split: the places of the training rows first, then those of the test rows."""
    return Split.of(np.arange(num_train + num_test) >= num_train)


def k_fold(count: int, folds: int, seed: int) -> list[Split]:
    """Every place is judged in one of the folds, at random.

    The folds are those of Surprise's `KFold(random_state=seed)` and of `numpy.random.RandomState`, which fixes its
    numbers for good.
    """
    order = np.arange(count)
    np.random.RandomState(seed).shuffle(order)
    return [Split.of(_at(part, count)) for part in np.array_split(order, folds)]


def holdout(users: Ints, share: float, seed: int) -> Split:
    """Judge a random share of every user's interactions, at least one, and always leave one to train on."""
    order, sizes = _shuffled_by_user(users, seed)
    wanted = np.minimum(np.maximum(np.round(sizes * share), 1), np.maximum(sizes - 1, 0)).astype(np.int64)
    place = np.arange(len(users)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return Split.of(_at(order[place < np.repeat(wanted, sizes)], len(users)))


def hold_one_out(users: Ints, seed: int) -> Split:
    """Judge one random interaction of every user who has two or more: leave-one-out where no order is known."""
    order, sizes = _shuffled_by_user(users, seed)
    first = (np.cumsum(sizes) - sizes)[sizes > 1]
    return Split.of(_at(order[first], len(users)))


def cold_users(users: Ints, share: float, seed: int) -> Split:
    """Judge everything of a random share of the users: they are unknown to the training."""
    return Split.of(_chosen(users, share, seed)[users])


def cold_items(items: Ints, share: float, seed: int) -> Split:
    """Judge everything about a random share of the items: only their content says what they are."""
    return Split.of(_chosen(items, share, seed)[items])


def check_no_leak(train_times: Ints, cut: int | None) -> None:
    """Refuse a training set that knows the future.

    Raises:
        Failure: something in it happened at the cut or later.
    """
    late = 0 if cut is None else int(np.count_nonzero(train_times >= cut))
    if late:
        raise Failure(
            f"leak: {late:,} of {len(train_times):,} training interactions are not before the cut at {cut} "
            f"(seconds since 1970), the latest is at {train_times.max()}; filter what is trained on by time"
        )


def check_disjoint(train: tuple[Ints, Ints], test: tuple[Ints, Ints]) -> None:
    """Refuse pairs (users, items) that are both trained on and judged.

    Raises:
        Failure: there are some.
    """
    both = np.intersect1d(_keys(*train), _keys(*test))
    if len(both):
        user, item = int(both[0] >> 32), int(both[0] & 0xFFFFFFFF)
        raise Failure(
            f"leak: {len(both):,} pairs are trained on and judged, the first is user {user} with item {item} "
            "(numbered from 0); take them out of one of the two"
        )


def _keys(users: Ints, items: Ints) -> Ints:
    return users.astype(np.int64) << 32 | items.astype(np.int64)


def _end_of_day(times: Ints) -> int:
    if not len(times):
        raise UserError("there is no interaction to split by time")
    return (int(times.max()) // DAY_S + 1) * DAY_S


def _at(places: Ints, count: int) -> np.ndarray:
    chosen = np.zeros(count, dtype=bool)
    chosen[places] = True
    return chosen


def _shuffled_by_user(users: Ints, seed: int) -> tuple[Ints, Ints]:
    """Places by user, in random order within each, and how many each user has."""
    order = np.lexsort((np.random.default_rng(seed).random(len(users)), users))
    return order, np.bincount(users)


def _chosen(numbers: Ints, share: float, seed: int) -> np.ndarray:
    """Whether each of the numbers that occur is in a random share of them, at least one; bool, by number."""
    there = np.unique(numbers)
    drawn = np.random.default_rng(seed).permutation(there)[: max(1, round(share * len(there)))]
    return _at(drawn, int(there[-1]) + 1)
