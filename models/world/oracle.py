"""The upper mark: the best lists that anyone could make who knew every planted taste and habit, but not the luck.

The judged metric asks which items, not watched in the window, a person will watch and like within some days. So the
score of an item is the probability of exactly that: they come; a page shows it to them; they look, and are drawn to
it; it pleases and is watched to at least half. For the series that they follow it is that they come often enough and
do not give up. What is luck stays unknown: who comes, what the pages are dealt, which series is begun next.

Shapes: N users, P items, J judged days, Z niches, C combinations of rights, M pairs.
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
    SeriesProgress,
    leaving,
    pace,
    series_lengths,
    series_shelves,
    spell,
)
from models.world.pages import KINDS, attraction, known_share, looks, niche_attraction, size_of
from models.world.taste import fondness
from models.world.watching import pleases, positive_share

_SPARE = 100  # whims may lift an item by this many places onto a list
_CELLS = 2**20  # users times items times days held at once, small enough for the caches


@dataclass(frozen=True)
class Scores:
    """Pairs of user and item with the probability of a positive; all `[M]`."""

    user: np.ndarray
    item: np.ndarray
    score: np.ndarray


def best_lists(scores: Sequence[Scores], k: int) -> pa.Table:
    """The k best items of each user, ties by item id, in dataset `oracle`; no pair may occur twice."""
    whole = joined(scores)
    possible = whole.score > 0
    user, item, score = whole.user[possible], whole.item[possible], whole.score[possible]
    order = np.lexsort((item, -score, user))
    rank = np.arange(len(order)) - np.searchsorted(user[order], user[order]) + 1
    order, rank = order[rank <= k], rank[rank <= k]
    return as_table(ORACLE, {"user_id": user[order], "rank": rank, "item_id": item[order], "score": score[order]})


def joined(scores: Sequence[Scores]) -> Scores:
    """All of them, one after the other."""
    return Scores(*(np.concatenate([getattr(s, name) for s in scores]) for name in ("user", "item", "score")))


def either(scores: Scores) -> Scores:
    """Each pair once: what may come about in two ways does unless both fail."""
    order = np.lexsort((scores.item, scores.user))
    user, item = scores.user[order], scores.item[order]
    first = np.flatnonzero((np.diff(user, prepend=-1) != 0) | (np.diff(item, prepend=-1) != 0))
    if not len(first):
        return scores
    return Scores(user[first], item[first], 1 - np.multiply.reduceat(1 - scores.score[order], first))


def from_pages(days: list[Day], users: np.ndarray, items: np.ndarray, seen: np.ndarray, k: int) -> Iterator[Scores]:
    """Scores of what pages may show, of more than the k best items of each user, some users at a time.

    Args:
        days: the judged days.
        items: ids that may be on a list, ascending.
        seen: sorted codes (`behaviour.pair_codes`) of pairs that may not.
    """
    shown = np.stack([day.shelves.place_of[items] >= 0 for day in days]).any(axis=0)
    items = items[shown]
    appeals = [_appeal(day, items) for day in days]
    size = max(_CELLS // max(len(items) * len(days), 1), 1)
    for start in range(0, len(users) if len(items) else 0, size):
        yield _chunk(days, appeals, users[start : start + size], items, seen, k)


def _appeal(day: Day, items: np.ndarray) -> np.ndarray:
    """Appeal of items under each combination of rights, 0 where they are not on the day's pages; float32 `[C, P]`."""
    places = day.shelves.place_of[items]
    return np.where(places >= 0, day.shelves.appeal[:, places], 0).astype(np.float32)


def _chunk(
    days: list[Day], appeals: list[np.ndarray], users: np.ndarray, items: np.ndarray, seen: np.ndarray, k: int
) -> Scores:
    """Scores of the most promising items of some users."""
    niche, quality = days[0].catalogue.niche[items], days[0].catalogue.quality[items].astype(np.float32)
    rough, known = np.zeros((len(users), len(items)), dtype=np.float32), []
    for day, appeal in zip(days, appeals, strict=True):
        taste = day.audience.tastes.on(day.day, users, day.config)
        there = presence(day.audience, day.day, users)
        exposure = _exposure(day, appeal, taste, users, niche)
        fond = fondness(taste)
        worth = (there[:, None] * niche_attraction(fond) * pleases(fond)).astype(np.float32)
        rough += np.take(worth, niche, axis=1) * exposure
        known.append((day, there[:, None], fond, exposure))
    rough *= quality
    rough[_places_of(seen, users, items)] = 0
    most = min(k + _SPARE, len(items))
    least = np.partition(rough, -most, axis=1)[:, -most, None]
    row, column = np.nonzero((rough > 0) & (rough >= least))
    score, unwatched = np.zeros(len(row)), np.ones(len(row))
    for day, there, fonds, exposure in known:
        fond = fonds[row, niche[column]]
        drawn = attraction(day.config, users[row], items[column], fond, quality[column])
        # Pages come as a Poisson process, so the watches of an item do too: one or more is 1 - exp(-mean).
        watched = there[row, 0] * -np.expm1(-exposure[row, column] * drawn)
        score += unwatched * watched * pleases(fond)
        unwatched *= 1 - watched
    score *= positive_share(days[0].config, days[0].audience.device[users])[row]
    return Scores(users[row], items[column], score)


def _exposure(day: Day, appeal: np.ndarray, taste: np.ndarray, users: np.ndarray, niche: np.ndarray) -> np.ndarray:
    """How often each user would look at each item on a day on which they come, float32 `[N, P]`."""
    config, rights = day.config, day.audience.rights[users]
    appeal, mass = appeal[rights], day.shelves.mass[rights]
    looked = np.zeros(appeal.shape, dtype=np.float32)
    for kind in KINDS:
        known, size = known_share(config, kind, users)[:, None], size_of(kind, config)
        page = taste * known + (1 - known)
        page *= size / (page * mass).sum(axis=1, keepdims=True)
        # In place and in single precision: this is done for every user and item.
        shown = np.take(page.astype(np.float32), niche, axis=1)
        shown *= appeal
        np.minimum(shown, 1, out=shown)  # `pages.propensity`, times the places of the page
        shown *= np.float32(kind.pages * looks(config, size).mean())
        looked += shown
    looked *= (page_rate(config) * day.audience.appetite[users]).astype(np.float32)[:, None]
    return looked


def _places_of(codes: np.ndarray, users: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the sorted pair codes that are about these (ascending) users and items."""
    start, end = np.searchsorted(codes, users << 32), np.searchsorted(codes, (users + 1) << 32)
    row = np.repeat(np.arange(len(users)), end - start)
    item = codes[np.arange(len(row)) + np.repeat(start - (np.cumsum(end - start) - (end - start)), end - start)]
    item &= 2**32 - 1
    column = np.minimum(np.searchsorted(items, item), len(items) - 1)
    found = items[column] == item
    return row[found], column[found]


def from_series(days: list[Day], users: np.ndarray, standing: SeriesProgress, k: int) -> Scores:
    """Scores of the episodes that come next: of the series people follow, and of those they may begin.

    Args:
        standing: of the users, on the morning of the first judged day.
    """
    config, first = days[0].config, spell(days[0].config.seed, days[0].day, users)[1]
    begun = first < days[0].day
    follows = np.flatnonzero(begun & (standing.watched < standing.length))
    scores = [*_followed(days, users[follows], first[follows], standing.take(follows))]
    starts = np.where(begun, first + SPELL_DAYS, first)
    newly = starts <= days[-1].day
    if config.series_share > 0 and newly.any():
        scores += _begun(days, users[newly], starts[newly], k)
    return either(joined(scores))


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


def _followed(days: list[Day], users: np.ndarray, first: np.ndarray, standing: SeriesProgress) -> Iterator[Scores]:
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


def _begun(days: list[Day], users: np.ndarray, starts: np.ndarray, k: int) -> Iterator[Scores]:
    """Scores of series begun within the judged days, of which only the taste is known that will choose them."""
    day = days[0]
    config, audience = day.config, day.audience
    shelves = series_shelves(day.catalogue, day.day)
    taste = audience.tastes.on(day.day, users, config)
    weight = taste[:, day.catalogue.niche[shelves.items]] * shelves.appeal[audience.rights[users]]
    chosen = FOLLOWING * weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
    # No later episode is likelier than the first, so no list of k needs more than k series, but for what is seen.
    best = np.argsort(-chosen, axis=1)[:, : k + _SPARE]
    chosen, series = np.take_along_axis(chosen, best, axis=1), shelves.items[best]
    fond = fondness(np.take_along_axis(taste, day.catalogue.niche[series], axis=1))
    liked = pleases(fond, True) * positive_share(config, audience.device[users])[:, None]
    lengths = series_lengths(day.catalogue)[series]
    coming, speed = _coming(days, users, starts, starts + SPELL_DAYS - 1), pace(config, users)
    for episode in range(int(np.ceil(speed.max() * len(days)))):
        reached = _reaching(coming, speed, np.zeros(len(users)), np.full(len(users), episode))
        score = chosen * liked * (1 - leaving(fond)) ** episode * reached[:, None] * (episode < lengths)
        yield Scores(np.repeat(users, series.shape[1]), (series + episode).ravel(), score.ravel())
