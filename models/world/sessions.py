"""A day of requests, impressions and watches, as columns of numbers; `events` makes the logs of them.

Shapes: R requests, M impressions, W watches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from models.world.behaviour import Day, pair_codes, shown
from models.world.columns import DAY_US
from models.world.following import SeriesProgress
from models.world.pages import SURFACES

NEXT_UP = SURFACES.index("next_up")
_SECOND_US = 1_000_000
_HOUR_US = 3_600 * _SECOND_US


@dataclass(frozen=True)
class Requests:
    """Requests in order of their numbers, all `[R]`; times in microseconds since midnight."""

    surface: np.ndarray
    user: np.ndarray
    time: np.ndarray


@dataclass(frozen=True)
class Shown:
    """Impressions in order of request and position, all `[M]`; `clicked` says whether a watch followed."""

    request: np.ndarray
    position: np.ndarray
    item: np.ndarray
    fond: np.ndarray
    propensity: np.ndarray
    clicked: np.ndarray


@dataclass(frozen=True)
class Watched:
    """Watches in order of time, all `[W]`; `request` is -1 where nothing was shown."""

    request: np.ndarray
    user: np.ndarray
    item: np.ndarray
    fond: np.ndarray
    time: np.ndarray


Columns = TypeVar("Columns", Requests, Shown, Watched)


def hold(
    day: Day, past: np.ndarray, progress: SeriesProgress, rng: np.random.Generator
) -> tuple[Requests, Shown, Watched]:
    """Everything requested, shown and watched on a day.

    Args:
        past: codes of pairs watched lately, see `behaviour.shown`.
        progress: where `day.present` stand in their series.
    """
    requests, impressions = _pages(day, past, rng)
    more_requests, more_impressions, episodes = _next_up(day, len(requests.user), progress, rng)
    watched = _joined([_clicks(requests, impressions, rng), episodes])
    order = np.lexsort((watched.item, watched.user, watched.time))
    return (
        _joined([requests, more_requests]),
        _joined([impressions, more_impressions]),
        Watched(*(column[order] for column in vars(watched).values())),
    )


def _joined(parts: Sequence[Columns]) -> Columns:
    """The rows of several parts, one part after the other."""
    kind = type(parts[0])
    return kind(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(kind)))


def _pages(day: Day, past: np.ndarray, rng: np.random.Generator) -> tuple[Requests, Shown]:
    requests, impressions, before = [], [], 0
    for surface, (pages, places) in enumerate(shown(day, past)):
        size = len(pages.row)
        # Evenings are busiest; the last half hour is left for what follows a request.
        time = (rng.beta(3.0, 1.6, size) * 23.5 * _HOUR_US).astype(np.int64)
        requests.append(Requests(np.full(size, surface), pages.users[pages.row], time))
        # Places of a page come in the order of its line of items; they are wanted in order of position.
        order = np.full(size * pages.size, -1)
        order[places.page * pages.size + places.position - 1] = np.arange(len(places.page))
        order = order[order >= 0]
        columns = (places.position, places.item, places.fond, places.propensity, places.watches)
        impressions.append(Shown(before + places.page[order], *(column[order] for column in columns)))
        before += size
    return _joined(requests), _joined(impressions)


def _next_up(
    day: Day, before: int, progress: SeriesProgress, rng: np.random.Generator
) -> tuple[Requests, Shown, Watched]:
    """The next episode, shown to whoever follows a series, and the episodes they watch; `before` requests precede."""
    rows = np.flatnonzero(progress.watched < progress.length)
    users, first = day.present[rows], progress.series[rows] + progress.watched[rows]
    count = (progress.upto - progress.watched)[rows]
    size, numbers = len(rows), before + np.arange(len(rows))
    time = ((7 + 12 * rng.random(size)) * _HOUR_US).astype(np.int64)
    ones = np.ones(size, dtype=np.int64)
    impressions = Shown(numbers, ones, first, progress.fond[rows], ones.astype(np.float64), count > 0)
    # The first episode comes from the request, the others play by themselves, in time for midnight.
    of = np.repeat(np.arange(size), count)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    left = (DAY_US - 600 * _SECOND_US - time[of]) / count[of]
    step = np.minimum(day.catalogue.duration_s[first[of]] * _SECOND_US, left).astype(np.int64)
    watched = Watched(
        request=np.where(nth == 0, numbers[of], -1),
        user=users[of],
        item=first[of] + nth,
        fond=progress.fond[rows][of],
        time=time[of] + 20 * _SECOND_US + nth * step,
    )
    return Requests(np.full(size, NEXT_UP), users, time), impressions, watched


def _clicks(requests: Requests, impressions: Shown, rng: np.random.Generator) -> Watched:
    """What was watched from pages; what was clicked on several pages of a day is watched once, from the first."""
    rows = np.flatnonzero(impressions.clicked)
    request, item = impressions.request[rows], impressions.item[rows]
    time = requests.time[request] + ((5 + 60 * rng.random(len(rows))) * _SECOND_US).astype(np.int64)
    user = requests.user[request]
    order = np.argsort(time, kind="stable")
    kept = order[np.unique(pair_codes(user, item)[order], return_index=True)[1]]
    return Watched(request[kept], user[kept], item[kept], impressions.fond[rows][kept], time[kept])
