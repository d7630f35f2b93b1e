"""What a log allows before anything is trained on it: its kind, which days to judge on, what can be won."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from tasks.sources.days import iso_day
from tasks.sources.state import Scan, watches_of

Kind = Literal["ratings", "plays", "baskets", "sessions"]

ENOUGH_PEOPLE = 500
"""Judged people from which on a difference of a few percent can be told from chance."""
NUM_ASKED = 2_000
NUM_COUNTED = 20_000
NUM_NEIGHBOURED_ITEMS = 20_000
LAST_OF_HISTORY = 50
K = 10
SEED = 0


@dataclass(frozen=True)
class Events:
    """All events of a log, by time.

    Attributes:
        user, item: int32 `[N]`, dense ids.
        day: int32 `[N]`, days since 1970.
        micros: int64 `[N]`, since 1970.
        positive: bool `[N]`.
    """

    user: np.ndarray
    item: np.ndarray
    day: np.ndarray
    micros: np.ndarray
    positive: np.ndarray


def events_of(scan: Scan, until: str) -> Events:
    """Everything up to a day."""
    days = [day for day, rows in scan.rows.items() if rows and day <= until]
    if not days:
        none = np.empty(0, np.int64)
        return Events(none, none, none, none, none.astype(bool))
    tables = [watches_of(scan, day).table for day in days]
    columns = {n: np.concatenate([t[n].to_numpy() for t in tables]) for n in ("user_id", "item_id", "time", "positive")}
    micros = columns["time"].astype("datetime64[us]").astype(np.int64)
    return Events(columns["user_id"], columns["item_id"], (micros // 86_400_000_000).astype(np.int32), micros,
                  columns["positive"])  # fmt: skip


@dataclass(frozen=True)
class Potential:
    """What a log allows.

    Attributes:
        repeated: share of the events whose user had an event with the item before.
        judge_days, num_days: days judged, and days there are.
        num_judged: people with a positive in the judged days; `with_history` of them had one before.
        familiar: share of what these like in the judged days that somebody liked before.
        again: share that they themselves had before.
        popularity, neighbours: share of people with a history for whom one of ten items that they had not had is
            right, by what everybody likes, and by what goes with their own history.
    """

    kind: Kind
    repeated: float
    num_days: int
    judge_days: int
    num_judged: int
    with_history: int
    familiar: float
    again: float
    popularity: float
    neighbours: float


def potential_of(events: Events, has_ratings: bool) -> Potential:
    """Look at a log."""
    repeated = _repeated(events)
    kind = _kind(events, has_ratings, repeated)
    first, last = int(events.day[0]), int(events.day[-1])
    judge_days = _judge_days(events, last - first + 1)
    before = events.positive & (events.day <= last - judge_days)
    after = events.positive & (events.day > last - judge_days)
    judged = np.unique(events.user[after])
    knows = np.zeros(int(events.user.max()) + 1, dtype=bool)
    knows[events.user[before]] = True
    liked = np.zeros(int(events.item.max()) + 1, dtype=bool)
    liked[events.item[before]] = True
    theirs = after & knows[events.user]
    pairs = _pairs(events)
    again = np.isin(pairs[theirs], pairs[before]).mean() if theirs.any() else 0.0
    popularity, neighbours = _finds(events, before, theirs)
    return Potential(
        kind, repeated, last - first + 1, judge_days, len(judged), int(knows[judged].sum()),
        float(liked[events.item[theirs]].mean()) if theirs.any() else 0.0, float(again), popularity, neighbours,
    )  # fmt: skip


def _pairs(events: Events) -> np.ndarray:
    return events.user.astype(np.int64) << 32 | events.item


def _repeated(events: Events) -> float:
    return 1 - len(np.unique(_pairs(events))) / len(events.user)


def _kind(events: Events, has_ratings: bool, repeated: float) -> Kind:
    users, moments = np.unique(events.user, return_inverse=True)
    first, last = np.full(len(users), 2**62), np.zeros(len(users), np.int64)
    np.minimum.at(first, moments, events.micros)
    np.maximum.at(last, moments, events.micros)
    counts = np.bincount(moments)
    if has_ratings and repeated < 0.05:
        return "ratings"
    order = np.lexsort((events.micros, events.user))
    alone = (np.diff(events.user[order]) != 0) | (np.diff(events.micros[order]) != 0)
    if alone.sum() + 1 < 0.6 * len(events.user):
        return "baskets"
    # Ids that live for an hour are sessions, not people.
    if (counts > 1).any() and np.mean((last - first)[counts > 1] < 3_600_000_000) > 0.8:
        return "sessions"
    return "plays"


def _judge_days(events: Events, num_days: int) -> int:
    """As few last days as have enough people with a history, and no more than a fifth of the log."""
    last = int(events.day[-1])
    longest = max(1, num_days // 5)
    for days in (1, 2, 3, 5, 7, 14, 30, 60, 90, 180):
        if days >= longest:
            return longest
        before, after = events.day <= last - days, events.day > last - days
        both = np.intersect1d(events.user[before & events.positive], events.user[after & events.positive])
        if len(both) >= ENOUGH_PEOPLE:
            return days
    return min(longest, 180)


def _finds(events: Events, before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Share of people for whom ten items that they had not had have one that they like then.

    Of popular ones, and of neighbours of their history (cosine of co-occurrence; Sarwar et al. 2001, section 3.1.1).
    """
    counts = np.bincount(events.item[before], minlength=int(events.item.max()) + 1)
    items = np.argsort(-counts, kind="stable")[:NUM_NEIGHBOURED_ITEMS]
    items = items[counts[items] > 0]
    place = np.full(len(counts), -1)
    place[items] = np.arange(len(items))
    asked = np.unique(events.user[after])
    random = np.random.default_rng(SEED)
    asked = np.sort(random.choice(asked, min(NUM_ASKED, len(asked)), replace=False))
    if not len(asked) or not len(items):
        return 0.0, 0.0
    own = _matrix(events, before, asked, place, len(items))
    users = np.unique(events.user[before])
    counted = _matrix(
        events, before, np.sort(random.choice(users, min(NUM_COUNTED, len(users)), replace=False)), place, len(items)
    )
    norms = np.sqrt(np.asarray(counted.sum(axis=0)).ravel() + 1)
    scores = own @ (counted.T @ counted)
    truth = _matrix(events, after, asked, place, len(items), last=None)
    truth = truth - truth.multiply(own)
    by_popularity = counts[items].astype(float)
    hits = np.zeros(2)
    judged = 0
    for row in range(len(asked)):
        wanted = truth[row].indices[truth[row].data > 0]
        if not len(wanted):
            continue
        judged += 1
        for way, score in enumerate((by_popularity, scores[row].toarray().ravel() / norms)):
            score = score.copy()
            score[own[row].indices] = -1.0
            hits[way] += bool(np.isin(np.argpartition(-score, min(K, len(score) - 1))[:K], wanted).any())
    popularity, neighbours = (hits / max(judged, 1)).tolist()
    return popularity, neighbours


def _matrix(
    events: Events,
    chosen: np.ndarray,
    users: np.ndarray,
    place: np.ndarray,
    width: int,
    last: int | None = LAST_OF_HISTORY,
) -> sparse.csr_matrix:
    """Of some users, who had what: 0 and 1; of long histories the last items."""
    rows = np.flatnonzero(chosen & (place[events.item] >= 0) & np.isin(events.user, users))
    row = np.searchsorted(users, events.user[rows])
    if last is not None:
        order = np.lexsort((-rows, row))
        nth = np.arange(len(rows)) - np.searchsorted(row[order], row[order])
        keep = order[nth < last]
        rows, row = rows[keep], row[keep]
    made = sparse.csr_matrix((np.ones(len(rows)), (row, place[events.item[rows]])), shape=(len(users), width))
    made.sum_duplicates()
    made.data[:] = 1.0
    return made


def sentences(found: Potential, last_day: int) -> list[str]:
    """What it means, in words for people."""
    from_day = iso_day(last_day - found.judge_days + 1)
    told = [
        f"A log of {found.kind}: {found.repeated:.0%} of its events are of an item that the same person had before.",
        f"Judged on {_days(found.judge_days)} from {from_day}: {found.num_judged:,} people, {found.with_history:,} of "
        f"them with a history; {found.familiar:.0%} of what these like then was liked by somebody before.",
    ]
    if found.with_history < ENOUGH_PEOPLE:
        told.append(f"That is few people: below {ENOUGH_PEOPLE:,}, differences of less than a few percent are chance.")
    if found.again > 0.2:
        told.append(
            f"{found.again:.0%} of it they had themselves before: pipeline.filters.seen=false recommends it again."
        )
    if found.with_history:
        better = "more than" if found.neighbours > 1.1 * found.popularity else "no more than"
        told.append(
            f"Ten new items have a right one for {found.popularity:.1%} of people by popularity, for "
            f"{found.neighbours:.1%} by what goes with their history: that tells {better} what everybody likes."
        )
    return told


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
