"""What a log allows, whatever is trained on it: its kind, which days to judge on, who can be judged, what can be won.

`nightjar inspect` tells it of a whole log, a night's report of its window and judged days.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Kind = Literal["ratings", "plays", "baskets", "sessions"]

EPOCH = date(1970, 1, 1)
ENOUGH_PEOPLE = 500
"""Judged people from which on a difference of a few percent can be told from chance."""
NUM_ASKED = 2_000
NUM_COUNTED = 20_000
NUM_NEIGHBOURED_ITEMS = 20_000
LAST_OF_HISTORY = 50
K = 10
SEED = 0
_MICROS_PER_DAY = 86_400_000_000


@dataclass(frozen=True)
class Events:
    """Events of a log, by time.

    Attributes:
        user, item: int32 `[N]`, dense ids.
        micros: int64 `[N]`, since 1970.
        positive: bool `[N]`.
    """

    user: np.ndarray
    item: np.ndarray
    micros: np.ndarray
    positive: np.ndarray

    @classmethod
    def of(cls, watches: Iterable[pa.Table]) -> "Events":
        """Made from days of the dataset `watches`, earliest first."""
        tables = list(watches)
        columns = {
            name: np.concatenate([table[name].to_numpy() for table in tables]) if tables else np.empty(0, kind)
            for name, kind in (("user_id", "i4"), ("item_id", "i4"), ("time", "M8[us]"), ("positive", "?"))
        }
        micros = columns["time"].astype("datetime64[us]").astype(np.int64)
        order = np.argsort(micros, kind="stable")
        return cls(columns["user_id"][order], columns["item_id"][order], micros[order], columns["positive"][order])

    @property
    def day(self) -> np.ndarray:
        """Days since 1970, int32 `[N]`."""
        return (self.micros // _MICROS_PER_DAY).astype(np.int32)


@dataclass(frozen=True)
class Potential:
    """What a log allows.

    Attributes:
        repeated: share of the events whose user had an event with the item before.
        num_days: from the first event to the last judged day.
        judged_from, judge_days: first of the judged days, since 1970, and how many there are.
        num_judged: people with a positive in the judged days; `with_history` of them had one before.
        familiar: share of what these like in the judged days that somebody liked before.
        again: share that they themselves had before.
        popularity, neighbours: share of people with a history for whom one of ten items that they had not had is
            right, by what everybody likes, and by what goes with their own history.
    """

    kind: Kind
    repeated: float
    num_days: int
    judged_from: int
    judge_days: int
    num_judged: int
    with_history: int
    familiar: float
    again: float
    popularity: float
    neighbours: float


def potential_of(events: Events, has_ratings: bool, judged: range | None = None) -> Potential:
    """Look at a log.

    Args:
        events: at least one.
        judged: the days that are judged, since 1970, which no event is later than; None: as few last days as have
            enough people with a history, and no more than a fifth of the log.
    """
    repeated = _repeated(events)
    kind = _kind(events, has_ratings, repeated)
    day = events.day
    judged = judged or _judged_days(day, events)
    before, after = events.positive & (day < judged.start), events.positive & (day >= judged.start)
    people = np.unique(events.user[after])
    knows = np.zeros(int(events.user.max()) + 1, dtype=bool)
    knows[events.user[before]] = True
    liked = np.zeros(int(events.item.max()) + 1, dtype=bool)
    liked[events.item[before]] = True
    theirs = after & knows[events.user]
    pairs = _pairs(events)
    popularity, neighbours = _finds(events, before, theirs)
    return Potential(
        kind=kind,
        repeated=repeated,
        num_days=judged.stop - int(day[0]),
        judged_from=judged.start,
        judge_days=len(judged),
        num_judged=len(people),
        with_history=int(knows[people].sum()),
        familiar=_share(liked[events.item[theirs]]),
        again=_share(np.isin(pairs[theirs], pairs[before])),
        popularity=popularity,
        neighbours=neighbours,
    )


def _share(which: np.ndarray) -> float:
    return float(which.mean()) if len(which) else 0.0


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


def _judged_days(day: np.ndarray, events: Events) -> range:
    """As few last days as have enough people with a history, and no more than a fifth of the log."""
    end = int(day[-1]) + 1
    longest = max(1, (end - int(day[0])) // 5)
    for days in (1, 2, 3, 5, 7, 14, 30, 60, 90, 180):
        if days >= longest:
            return range(end - longest, end)
        before, after = day < end - days, day >= end - days
        both = np.intersect1d(events.user[before & events.positive], events.user[after & events.positive])
        if len(both) >= ENOUGH_PEOPLE:
            return range(end - days, end)
    return range(end - min(longest, 180), end)


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
    had = _matrix(events, before, asked, place, len(items), last=None)
    users = np.unique(events.user[before])
    counted = _matrix(
        events, before, np.sort(random.choice(users, min(NUM_COUNTED, len(users)), replace=False)), place, len(items)
    )
    norms = np.sqrt(np.asarray(counted.sum(axis=0)).ravel() + 1)
    scores = own @ (counted.T @ counted)
    truth = _matrix(events, after, asked, place, len(items), last=None)
    truth = truth - truth.multiply(had)
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
            score[had[row].indices] = -1.0
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
) -> "csr_matrix":
    """Of some users, who had what: 0 and 1; of long histories the last items."""
    from scipy.sparse import csr_matrix

    rows = np.flatnonzero(chosen & (place[events.item] >= 0) & np.isin(events.user, users))
    row = np.searchsorted(users, events.user[rows])
    if last is not None:
        order = np.lexsort((-rows, row))
        nth = np.arange(len(rows)) - np.searchsorted(row[order], row[order])
        keep = order[nth < last]
        rows, row = rows[keep], row[keep]
    made = csr_matrix((np.ones(len(rows)), (row, place[events.item[rows]])), shape=(len(users), width))
    made.sum_duplicates()
    made.data[:] = 1.0
    return made


def sentences(found: Potential) -> list[str]:
    """What it means, in words for people."""
    from_day = (EPOCH + timedelta(days=found.judged_from)).isoformat()
    told = [
        f"A log of {found.kind}: {found.repeated:.0%} of its events are of an item that the same person had before.",
        f"Judged on {_days(found.judge_days)} from {from_day}: {_people(found.num_judged)} something then, "
        f"{found.with_history:,} of them with a history; {found.familiar:.0%} of what these like then was liked by "
        "somebody before.",
    ]
    if found.with_history < ENOUGH_PEOPLE:
        told.append(f"That is few people: below {ENOUGH_PEOPLE:,}, differences of less than a few percent are chance.")
    if found.again > 0.2:
        told.append(
            f"{found.again:.0%} of it they had themselves before, which `pipeline.filters.seen=false` alone "
            "recommends again."
        )
    if found.with_history:
        better = "more than" if found.neighbours > 1.1 * found.popularity else "no more than"
        told.append(
            f"Ten new items have a right one for {found.popularity:.1%} of people by popularity, for "
            f"{found.neighbours:.1%} by what goes with their history: that tells {better} what everybody likes."
        )
    return told


def _people(count: int) -> str:
    return "1 person likes" if count == 1 else f"{count:,} people like"


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
