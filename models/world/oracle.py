"""The upper mark: the best lists that anyone could make who knew every planted taste and habit, but not the luck.

The judged metric asks which items, not watched in the window, a person will watch and like within some days. So the
score of an item is the probability of exactly that: they come; a page shows it to them; they look, and are drawn to
it; it pleases and is watched to at least half. For the series that they follow it is that they come often enough and
do not give up. What is luck stays unknown: who comes, what the pages are dealt, which series is begun next.

Shapes: N users, P items, J judged days, Z niches, m shortlisted items.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from expectations.datasets import ORACLE
from models.world.audience import presence
from models.world.behaviour import Day, page_rate
from models.world.columns import as_table
from models.world.following import (
    FOLLOWING,
    SPELL_DAYS,
    Progress,
    leaving,
    pace,
    series_lengths,
    series_shelves,
    spell,
)
from models.world.pages import KINDS, attraction, known_share, looks, niche_attraction, propensity, size_of
from models.world.taste import fondness
from models.world.watching import pleases, positive_share

_SPARE = 100  # whims may lift an item by this many places onto a list
_CELLS = 2**22  # users times items times days held at once


@dataclass(frozen=True)
class Scores:
    """Pairs of user and item with the probability of a positive; all `[M]`."""

    user: np.ndarray
    item: np.ndarray
    score: np.ndarray


def best_lists(scores: Sequence[Scores], k: int) -> pa.Table:
    """The k best items of each user, ties by item id, in dataset `oracle`."""
    user, item, score = _together(*(np.concatenate([getattr(s, n) for s in scores]) for n in ("user", "item", "score")))
    order = np.lexsort((item, -score, user))
    rank = np.arange(len(order)) - np.searchsorted(user[order], user[order]) + 1
    order, rank = order[rank <= k], rank[rank <= k]
    return as_table(ORACLE, {"user_id": user[order], "rank": rank, "item_id": item[order], "score": score[order]})


def _together(user: np.ndarray, item: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each possible pair once: an episode may come by a page and by its series, and either way will do."""
    possible = score > 0
    user, item, score = user[possible], item[possible], score[possible]
    order = np.lexsort((item, user))
    user, item, score = user[order], item[order], score[order]
    first = np.flatnonzero(np.r_[True, (user[1:] != user[:-1]) | (item[1:] != item[:-1])][: len(user)])
    either = 1 - np.multiply.reduceat(1 - score, first) if len(first) else score
    return user[first], item[first], either


def from_pages(days: list[Day], users: np.ndarray, items: np.ndarray, seen: np.ndarray, k: int) -> Iterator[Scores]:
    """Scores of what pages may show, of more than the k best items of each user, some users at a time.

    Args:
        days: the judged days.
        items: ids that may be on a list, ascending.
        seen: sorted codes (`behaviour.pair_codes`) of pairs that may not.
    """
    shown = np.stack([day.shelves.place_of[items] >= 0 for day in days]).any(axis=0)
    size = max(_CELLS // max(int(shown.sum()) * len(days), 1), 1)
    for start in range(0, len(users) if shown.any() else 0, size):
        yield _chunk(days, users[start : start + size], items[shown], seen, k)


def _chunk(days: list[Day], users: np.ndarray, items: np.ndarray, seen: np.ndarray, k: int) -> Scores:
    """Scores of the most promising items of some users."""
    niche, quality = days[0].catalogue.niche[items], days[0].catalogue.quality[items].astype(np.float32)
    rough = np.zeros((len(users), len(items)), dtype=np.float32)
    known = []
    for day in days:
        taste = day.audience.tastes.on(day.day, users, day.config)
        there = presence(day.audience, day.day, users)
        exposure = _exposure(day, taste, users, items)
        fond = fondness(taste)
        rough += (there[:, None] * niche_attraction(fond) * pleases(fond)).astype(np.float32)[:, niche] * exposure
        known.append((day, there[:, None], fond, exposure))
    rough *= quality
    rough[_places_of(seen, users, items)] = 0
    most = min(k + _SPARE, len(items))
    best = np.argpartition(-rough, most - 1, axis=1)[:, :most]
    score, unwatched = np.zeros(best.shape), np.ones(best.shape)
    for day, there, fonds, exposure in known:
        fond = np.take_along_axis(fonds, niche[best], axis=1)
        drawn = attraction(day.config, users[:, None], items[best], fond, quality[best])
        # Pages come as a Poisson process, so the watches of an item do too: one or more is 1 - exp(-mean).
        watched = there * -np.expm1(-np.take_along_axis(exposure, best, axis=1) * drawn)
        score += unwatched * watched * pleases(fond)
        unwatched *= 1 - watched
    score *= positive_share(days[0].config, days[0].audience.device[users])[:, None]
    score[np.take_along_axis(rough, best, axis=1) == 0] = 0
    return Scores(np.repeat(users, best.shape[1]), items[best].ravel(), score.ravel())


def _exposure(day: Day, taste: np.ndarray, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """How often each user would look at each item on a day on which they come, float32 `[N, P]`."""
    config, rights, places = day.config, day.audience.rights[users], day.shelves.place_of[items]
    appeal = np.where(places >= 0, day.shelves.appeal[:, places], 0).astype(np.float32)[rights]
    niche, mass = day.catalogue.niche[items], day.shelves.mass[rights]
    looked = np.zeros(appeal.shape, dtype=np.float32)
    for kind in KINDS:
        known = known_share(config, kind, users)[:, None]
        page = taste * known + (1 - known)
        page /= (page * mass).sum(axis=1, keepdims=True)
        size = size_of(kind, config)
        looked += propensity(page[:, niche] * appeal, size) * np.float32(kind.pages * looks(config, size).sum())
    return looked * (page_rate(config) * day.audience.appetite[users]).astype(np.float32)[:, None]


def _places_of(codes: np.ndarray, users: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the sorted pair codes that are about these (ascending) users and items."""
    start, end = np.searchsorted(codes, users << 32), np.searchsorted(codes, (users + 1) << 32)
    row = np.repeat(np.arange(len(users)), end - start)
    item = codes[np.arange(len(row)) + np.repeat(start - (np.cumsum(end - start) - (end - start)), end - start)]
    item &= 2**32 - 1
    column = np.minimum(np.searchsorted(items, item), len(items) - 1)
    found = items[column] == item
    return row[found], column[found]


def from_series(days: list[Day], users: np.ndarray, standing: Progress) -> Iterator[Scores]:
    """Scores of the episodes that come next: of the series people follow, and of those they may begin.

    Args:
        standing: of the users, on the morning of the first judged day.
    """
    config, first = days[0].config, spell(days[0].config.seed, days[0].day, users)[1]
    begun = first < days[0].day
    follows = np.flatnonzero(begun & (standing.watched < standing.length))
    yield from _followed(days, users[follows], first[follows], standing.take(follows))
    starts = np.where(begun, first + SPELL_DAYS, first)
    newly = starts <= days[-1].day
    if config.series_share > 0 and newly.any():
        yield from _begun(days, users[newly], starts[newly])


def _coming(days: list[Day], users: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Probability of coming on 0, 1, ... J of the judged days within `first` to `last`, `[J + 1, N]`."""
    counts = np.zeros((len(days) + 1, len(users)))
    counts[0] = 1
    for day in days:
        there = presence(day.audience, day.day, users) * ((first <= day.day) & (day.day <= last))
        counts[1:] = counts[1:] * (1 - there) + counts[:-1] * there
        counts[0] *= 1 - there
    return counts


def _reaching(coming: np.ndarray, speed: np.ndarray, steps: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """Probability that their days suffice for an episode (from 0)."""
    enough = [np.floor(speed * (steps + n)) > episode for n in range(len(coming))]
    return (coming * np.stack(enough)).sum(axis=0)


def _followed(days: list[Day], users: np.ndarray, first: np.ndarray, standing: Progress) -> Iterator[Scores]:
    day = days[0]
    coming = _coming(days, users, first, first + SPELL_DAYS - 1)
    liked = pleases(standing.fond, True) * positive_share(day.config, day.audience.device[users])
    # Whoever came often enough for more episodes and did not watch them has given up, as anyone can see.
    still = np.floor(standing.pace * standing.steps) <= standing.watched
    for ahead in range(int(np.ceil(standing.pace.max(initial=0) * len(days))) + 1):
        episode = standing.watched + ahead
        stays = (1 - standing.leaves) ** (episode + 1 - np.maximum(standing.watched, 1))
        score = still * stays * liked * _reaching(coming, standing.pace, standing.steps, episode)
        yield Scores(users, standing.series + episode, np.where(episode < standing.length, score, 0))


def _begun(days: list[Day], users: np.ndarray, starts: np.ndarray) -> Iterator[Scores]:
    """Of series begun within the judged days nothing is known but the taste that will choose them."""
    day = days[0]
    config, audience = day.config, day.audience
    shelves = series_shelves(day.catalogue, day.day)
    niche, lengths = day.catalogue.niche[shelves.items], series_lengths(day.catalogue)[shelves.items]
    taste = audience.tastes.on(day.day, users, config)
    weight = taste[:, niche] * shelves.appeal[audience.rights[users]]
    chosen = FOLLOWING * weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
    fond = fondness(taste[:, niche])
    liked = pleases(fond, True) * positive_share(config, audience.device[users])[:, None]
    coming, speed = _coming(days, users, starts, starts + SPELL_DAYS - 1), pace(config, users)
    for episode in range(int(np.ceil(speed.max() * len(days)))):
        reached = _reaching(coming, speed, np.zeros(len(users)), np.full(len(users), episode))
        score = chosen * liked * (1 - leaving(fond)) ** episode * reached[:, None] * (episode < lengths)
        items = np.broadcast_to(shelves.items + episode, score.shape)
        yield Scores(np.repeat(users, len(niche)), items.ravel(), score.ravel())
