"""A day of the audience: who comes, what is shown to them, what they watch of it.

Shapes: M places of pages, W watches.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.world.audience import Audience, comes
from models.world.catalogue import Catalogue, existing
from models.world.config import WorldConfig
from models.world.pages import (
    KINDS,
    Pages,
    attraction,
    known_share,
    looks,
    most_attraction,
    open_pages,
    propensity,
)
from models.world.shelves import Rows, Shelves
from models.world.taste import fondness

FRESH_DAYS = 7.0
# Pages of one unit for one watch a user and day, measured. The more people watch, the more of what the pages would
# show them they have watched already, so pages grow faster than watches.
_PAGES, _PAGES_GROWTH = 2.6, 1.3


@dataclass(frozen=True)
class Places:
    """Places of one kind of page, looked up; all `[M]`.

    Attributes:
        page: page of that kind and day, ascending.
        watches: they would watch it, had they not watched it lately.
    """

    page: np.ndarray
    position: np.ndarray
    user: np.ndarray
    item: np.ndarray
    fond: np.ndarray
    propensity: np.ndarray
    watches: np.ndarray


@dataclass(frozen=True)
class Day:
    """What the pages of one day are made of."""

    config: WorldConfig
    audience: Audience
    catalogue: Catalogue
    day: int
    present: np.ndarray
    shelves: Shelves

    def kinds(self) -> Iterator[tuple[Pages, Rows, np.ndarray]]:
        """Pages of each kind, what they are drawn from, and the true tastes of whose they are."""
        for kind in KINDS:
            rate = page_rate(self.config) * self.audience.appetite[self.present]
            pages = open_pages(self.config, kind, self.day, self.present, rate)
            taste = self.audience.tastes.on(self.day, pages.users, self.config)
            known = known_share(self.config, kind, pages.users)[:, None]
            yield pages, Rows.of(self.shelves, self.audience.rights[pages.users], taste * known + (1 - known)), taste

    def look_up(self, pages: Pages, rows: Rows, taste: np.ndarray, page: np.ndarray, point: np.ndarray) -> Places:
        """What stands on some places, given by page and number of the point, and whether it would be watched."""
        config, row = self.config, pages.row[page]
        niche, places = rows.draw(row, (pages.start[page] + point) / pages.size)
        user, item = pages.users[row], self.shelves.items[places]
        fond = fondness(taste[row, niche])
        position = (pages.shift[page] + point) % pages.size + 1
        chance = attraction(config, user, item, fond, self.catalogue.quality[item])
        watches = pages.glance[page, point] < looks(config, pages.size)[position - 1] * chance
        shown = propensity(rows.probability(row, niche, places), pages.size)
        return Places(page, position, user, item, fond, shown, watches)


def page_rate(config: WorldConfig) -> float:
    """Pages (of one unit) that a person of appetite 1 opens on a day on which they come."""
    return _PAGES * (config.watches_per_user_day * (1 - config.series_share)) ** _PAGES_GROWTH


def on_shelves(config: WorldConfig, catalogue: Catalogue, day: int) -> Shelves:
    """What pages may show on a day: single titles after their premiere and before their rights end.

    Episodes are not among them: they are met one by one by following their series.
    """
    items = np.arange(existing(catalogue, day))
    shown = (catalogue.premiere[items] <= day) & (catalogue.until[items] > day) & (catalogue.series[items] < 0)
    items = items[shown]
    age = day - catalogue.premiere[items]
    weight = catalogue.weight[items] * (1 + config.freshness * np.exp(-age / FRESH_DAYS))
    return Shelves(catalogue, items, weight, config.exploration * catalogue.weight[items].mean())


def day_of(config: WorldConfig, audience: Audience, catalogue: Catalogue, day: int) -> Day:
    """Who comes on a day (ordinal), and what stands on its shelves."""
    users = np.arange(np.searchsorted(audience.signup, day, side="right"))
    present = users[comes(audience, config.seed, day, users)]
    return Day(config, audience, catalogue, day, present, on_shelves(config, catalogue, day))


def wishes(day: Day) -> np.ndarray:
    """Sorted codes (`pair_codes`) of everything that would be watched from the day's pages by people without a past.

    Looks up only places that luck leaves a chance: this is what a day costs when it serves as another day's past.
    """
    bound = most_attraction(day.config)
    found = []
    for pages, rows, taste in day.kinds():
        chance = looks(day.config, pages.size)[pages.position - 1] * bound
        page, point = np.nonzero(pages.glance < chance)
        places = day.look_up(pages, rows, taste, page, point)
        # An item that fills more than one place is decided by its first point: look whether the one before is it too.
        again = np.flatnonzero(places.watches & (point > 0) & (places.propensity * pages.size >= 1))
        before = day.look_up(pages, rows, taste, page[again], point[again] - 1)
        places.watches[again[before.item == places.item[again]]] = False
        found.append(pair_codes(places.user[places.watches], places.item[places.watches]))
    return np.unique(np.concatenate(found))


def pair_codes(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """One int64 for each pair of a user and an item."""
    return (users.astype(np.int64) << 32) | items


def shown(day: Day, past: np.ndarray) -> Iterator[tuple[Pages, Places]]:
    """What stands on the day's pages of each kind.

    Args:
        past: sorted codes (`pair_codes`) of pairs that are neither shown nor watched.
    """
    for pages, rows, taste in day.kinds():
        page, point = (grid.ravel() for grid in np.indices(pages.glance.shape, dtype=np.int32))
        places = day.look_up(pages, rows, taste, page, point)
        # Points come in the order of the line of items, so those that fall on one item are neighbours.
        repeated = np.zeros(len(page), dtype=bool)
        repeated[1:] = (page[1:] == page[:-1]) & (places.item[1:] == places.item[:-1])
        kept = ~(repeated | contains(past, pair_codes(places.user, places.item)))
        yield pages, Places(**{name: column[kept] for name, column in vars(places).items()})


def contains(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which values occur in a sorted array. The codes of a page's places lie close together, which this is quick on."""
    if not len(ordered):
        return np.zeros(len(values), dtype=bool)
    places = np.searchsorted(ordered, values)
    return ordered[np.minimum(places, len(ordered) - 1)] == values
