"""The four ranking protocols: from files to a task. Their rules are those of the papers named in `docs/quality.md`."""

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.protocols.formats import Log, read_negatives, read_pairs, read_ratings, read_sequences
from benchmarks.protocols.task import Files, Numbering, Task, judged, only
from expectations.errors import UserError
from models.evaluation.cases import UNKNOWABLE, Case
from models.evaluation.splits import (
    DAY_S,
    Split,
    by_time,
    check_disjoint,
    check_no_leak,
    hold_one_out,
    holdout,
    rolling,
)
from models.interactions import Histories, Interactions, Ints

JUDGE_DAYS = 30
SPANS = 3
"""Months that settings are chosen by, where the log is so long."""
POPULARITY_SHARES = (0.0, 0.25, 0.5, 0.75, 0.9)
"""Tried in the protocol in time, in which what is popular moves. Elsewhere popularity is of all times alike."""
VALIDATION_SHARE = 0.1


def fixed_split(files: Files, seed: int) -> Task:
    """Two files of `user item item ...`, the larger of them train: full ranking of all items but the user's own.

    Validation is a random tenth of every user's train items.
    """
    needed = "fixed-split needs two files, train and test, of lines `user item item ...`"
    logs = [read_sequences(path) for path in only(files, "sequences", 2, needed)]
    train, test = (log.once() for log in sorted(logs, key=lambda log: -len(log)))
    numbering = Numbering.of(train, test)
    whole = numbering.interactions(train, ordered=False, attributes=numbering.attributes(files))
    relevant = numbering.interactions(test, ordered=False).histories
    check_disjoint((whole.histories.rows, whole.histories.items), (relevant.rows, relevant.items))
    split = holdout(whole.histories.rows, VALIDATION_SHARE, seed)
    part = _only(whole, split.train)
    return Task(
        validation=judged(part, part.histories, _only(whole, split.test).histories),
        test=judged(whole, whole.histories, relevant),
        chosen_by=("ndcg", 20),
        ks=(10, 20, 50),
        counts=(*_sizes(numbering), len(train) + len(test)),
        columns=("recall@20", "ndcg@20"),
        notes=_repeats(sum(map(len, logs)) - len(train) - len(test)),
    )


def leave_one_out(files: Files, seed: int) -> Task:
    """A file of `user item item ...` oldest first, or a log with times: the last item is the test, the one before it
    the validation.

    Both are ranked among all items but those before. An item that nobody had before counts as a miss. Who has a single
    item is trained on and not judged.
    """
    needed = "leave-one-out needs one file of lines `user item item ...`, oldest first, or a log with times"
    if "ratings" in files and "sequences" not in files:
        read = read_ratings(files["ratings"][0])
    else:
        read = read_sequences(only(files, "sequences", 1, needed)[0])
    log = read.once()
    numbering = Numbering.of(log)
    whole = numbering.interactions(replace(log, ratings=None), ordered=True, attributes=numbering.attributes(files))
    return Task(
        validation=_last_of(_without_last(whole)),
        test=_last_of(whole),
        chosen_by=("ndcg", 10),
        ks=(5, 10, 20),
        counts=(*_sizes(numbering), len(log)),
        columns=("recall@10", "ndcg@10"),
        notes=_repeats(len(read) - len(log)),
    )


def sampled_negatives(files: Files, seed: int) -> Task:
    """A file of `user item` pairs, and one of `(user,item) item item ...`: the first item among the others.

    Validation is one random train item a user, among as many items that the user has not in train.
    """
    needed = "sampled-negatives needs a file of pairs `user item` and one of lines `(user,item) item item ...`"
    read = read_pairs(only(files, "pairs", 1, needed)[0])
    log = read.once()
    test = read_negatives(only(files, "negatives", 1, needed)[0])
    beside = test.negatives.ravel()
    numbering = Numbering.of(log, Log(test.users, test.items), Log(test.users[:1].repeat(len(beside)), beside))
    whole = numbering.interactions(log, ordered=False, attributes=numbering.attributes(files))
    users, items = numbering.users(test.users), numbering.items(test.items)
    check_disjoint((whole.histories.rows, whole.histories.items), (users, items))
    split = hold_one_out(whole.histories.rows, seed)
    part, held = _only(whole, split.train), _only(whole, split.test).histories
    chosen = np.flatnonzero(held.sizes > 0)
    return Task(
        validation=Case(
            part,
            chosen,
            part.histories.take(chosen),
            held.take(chosen),
            draw_negatives(whole.histories.take(chosen), whole.num_items, test.negatives.shape[1], seed),
        ),
        test=Case(
            whole,
            users,
            whole.histories.take(users),
            Histories.of(np.arange(len(users)), items, len(users)),
            numbering.items(test.negatives),
        ),
        chosen_by=("ndcg", 10),
        ks=(5, 10, 20),
        counts=(*_sizes(numbering), len(log) + len(test.users)),
        columns=("hit_rate@10", "ndcg@10"),
        notes=("sampled metrics: not comparable with full ranking", *_repeats(len(read) - len(log))),
    )


def temporal(files: Files, seed: int, spans: int = 1) -> Task:
    """A log with ratings and times: who will like what in the last 30 days, knowing only what was before.

    What is in the upper quarter of the scale (4 and 5 of 1 to 5) counts as liked, as in a night; the rest is seen, and
    no more recommended than what is liked. People who were not there before are judged too. Validation is three times
    30 days before those, each after a training on what was before it.

    Args:
        spans: how many times 30 days, end to end, are tests; validation is before the first of them.
    """
    if "ratings" not in files:
        only(files, "ratings", 1, "temporal needs a log of lines `user item rating seconds`")
    read = read_ratings(files["ratings"][0])
    log = read.once()
    tests = rolling(log.moments, spans, JUDGE_DAYS)
    numbering = Numbering.of(log)
    in_time = InTime(log, is_liked(log, tests[0].cut), numbering, numbering.attributes(files))
    validation, *earlier = in_time.before(tests[0])
    *rolled, last = (in_time.as_of(span) for span in tests)
    return Task(
        validation=validation,
        earlier=tuple(earlier),
        test=last,
        rolled=tuple(rolled),
        chosen_by=("ndcg", 10),
        ks=(5, 10, 20),
        counts=(*_sizes(numbering), len(log)),
        columns=("recall@10", "ndcg@10"),
        notes=_repeats(len(read) - len(log)),
        popularity_shares=POPULARITY_SHARES,
    )


@dataclass(frozen=True)
class InTime:
    """A log of which cases are made, each as of some moment.

    Attributes:
        liked: bool `[N]`: what is learnt from and asked for; the rest is only seen.
    """

    log: Log
    liked: np.ndarray
    numbering: Numbering
    attributes: Histories | None

    def before(self, first: Split) -> list[Case]:
        """Up to `SPANS` spans end to end before the first test, the newest first; at least one.

        Raises:
            UserError: nothing was liked in the first of them, or before it.
        """
        assert first.cut is not None
        cases: list[Case] = []
        for number in range(SPANS):
            try:
                span = by_time(self.log.moments, JUDGE_DAYS, end=first.cut - number * JUDGE_DAYS * DAY_S)
                cases.append(self.as_of(span))
            except UserError:
                if not cases:
                    raise
                break  # the log begins here
        return cases

    def as_of(self, split: Split) -> Case:
        """A case as of the split's cut; users who had liked nothing before it are unknown.

        Raises:
            Failure: something that is trained on is not before the cut.
            UserError: nothing was liked before it, or after it.
        """
        before = replace(self.log.at(split.train), ratings=None)
        train, then = before.at(self.liked[split.train]), self.log.at(split.test).at(self.liked[split.test])
        if not len(train) or not len(then):
            raise UserError(f"nothing is liked {'in' if len(train) else 'before'} the {JUDGE_DAYS} days to be judged")
        known = np.unique(train.users)
        data = replace(self.numbering, user_ids=known).interactions(train, ordered=True, attributes=self.attributes)
        check_no_leak(before.moments, split.cut)
        relevant, seen = (self.numbering.interactions(log, ordered=True).histories for log in (then, before))
        judged_users = np.flatnonzero(relevant.sizes > 0)
        ids = self.numbering.user_ids[judged_users]
        places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        users = np.where(known[places] == ids, places, -1)
        none = Histories(np.append(data.histories.offsets, data.histories.offsets[-1]), data.histories.items)
        return Case(data, users, none.take(users), relevant.take(judged_users), seen=seen.take(judged_users))


def is_liked(log: Log, cut: int | None) -> np.ndarray:
    """bool `[N]`: the upper quarter of the scale that the ratings before the cut use."""
    assert log.ratings is not None and cut is not None
    before = log.ratings[log.moments < cut]
    low, high = before.min(), before.max()
    return log.ratings >= low + 0.75 * (high - low)


def draw_negatives(had: Histories, num_items: int, count: int, seed: int) -> Ints:
    """int `[B, count]`: different random items for each row, none of which it has; -1 where not so many are left."""
    count = min(count, num_items)
    rng = np.random.default_rng([seed, 1])
    drawn = np.empty((len(had), count), dtype=np.int64)
    for row in range(len(had)):
        chance = rng.random(num_items)
        chance[had.items[had.offsets[row] : had.offsets[row + 1]]] = 2
        drawn[row] = np.argpartition(chance, count - 1)[:count]
        drawn[row, chance[drawn[row]] == 2] = -1
    return drawn


def _last_of(whole: Interactions) -> Case:
    """Everybody's last item, after a training on everything before."""
    part = _without_last(whole)
    places = whole.histories.offsets[1:][whole.histories.sizes > 1] - 1
    last = whole.histories.items[places]
    seen = np.bincount(part.histories.items, minlength=whole.num_items) > 0
    relevant = Histories.of(whole.histories.rows[places], np.where(seen[last], last, UNKNOWABLE), whole.num_users)
    return judged(part, part.histories, relevant)


def _without_last(whole: Interactions) -> Interactions:
    last = whole.histories.offsets[1:][whole.histories.sizes > 1] - 1
    return _only(whole, np.delete(np.arange(len(whole.histories.items)), last))


def _only(whole: Interactions, places: Ints) -> Interactions:
    """Some of the interactions, of the same users and items."""
    histories = Histories.of(whole.histories.rows[places], whole.histories.items[places], whole.num_users)
    return replace(
        whole,
        histories=histories,
        times=None if whole.times is None else whole.times[places],
        ratings=None if whole.ratings is None else whole.ratings[places],
    )


def _repeats(count: int) -> tuple[str, ...]:
    return (f"{count:,} lines name a user with an item a second time and do not count",) if count else ()


def _sizes(numbering: Numbering) -> tuple[int, int]:
    return len(numbering.user_ids), len(numbering.item_ids)
