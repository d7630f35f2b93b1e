"""What a day's pages are drawn from: every item somebody may watch, weighted by its appeal, ready to draw from.

Shapes: C combinations of rights, P items on the shelves, Z niches, N rows of people, M draws.

A person's page is drawn from w(item) = t(niche) * a(rights, item) / total, with t what the page knows of their taste
and a the item's appeal to anyone with their rights. As w is a product, a draw costs two binary searches and its
probability two look-ups, for any number of users and items.
"""

from dataclasses import dataclass

import numpy as np

from models.world.catalogue import Catalogue
from models.world.vocabulary import MATURITY_RATINGS, NICHES, REGIONS, SPOKEN, TIERS


class Shelves:
    """Some items of the catalogue by niche, with their appeal under each combination of rights."""

    def __init__(self, catalogue: Catalogue, items: np.ndarray, weight: np.ndarray, floor: float = 0.0) -> None:
        """`weight` `[P]` is the items' appeal before language; `floor` is added whatever the language."""
        order = np.argsort(catalogue.niche[items], kind="stable")
        self.items, weight = items[order], weight[order]
        self.place_of = np.full(len(catalogue), -1)
        self.place_of[self.items] = np.arange(len(items))
        heard = SPOKEN[:, catalogue.language[self.items]] * weight + floor
        appeal = heard[:, None, None, :] * permitted(catalogue, self.items)
        self.appeal = appeal.reshape(-1, len(items))
        self._below = np.concatenate([[0.0], np.cumsum(self.appeal)])
        bounds = np.searchsorted(catalogue.niche[self.items], np.arange(NICHES + 1))
        edges = self._below[np.arange(len(self.appeal))[:, None] * len(items) + bounds]
        self._start, self._end = edges[:, :-1], edges[:, 1:]
        self.mass = self._end - self._start
        """Appeal of each niche, `[C, Z]`."""

    def item_at(self, rights: np.ndarray, niche: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Places `[M]` (in `items`) reached after a share (0 to 1) of a niche's appeal."""
        start, end = self._start[rights, niche], self._end[rights, niche]
        # Rounding must not carry a draw into the next niche, nor onto an item without weight.
        target = np.minimum(start + share * (end - start), np.nextafter(end, 0))
        return (np.searchsorted(self._below, target, side="right") - 1) % len(self.items)


def permitted(catalogue: Catalogue, items: np.ndarray) -> np.ndarray:
    """Whether rights allow an item: bool `[regions, tiers, maturity ratings, len(items)]`."""
    region = (catalogue.regions[items] >> np.arange(len(REGIONS))[:, None]) & 1 == 1
    tier = catalogue.tier[items] <= np.arange(len(TIERS))[:, None]
    grown = catalogue.maturity[items] <= np.arange(len(MATURITY_RATINGS))[:, None]
    return region[:, None, None, :] & tier[None, :, None, :] & grown[None, None, :, :]


@dataclass(frozen=True)
class Rows:
    """What pages are drawn from for N people: taste times the shelves' appeal, summed up over the niches.

    Attributes:
        taste: what the page knows of them, float32 `[N, Z]`.
        upto: share of a page up to and with each niche, `[N, Z]`; the last is 1.
        total: taste times appeal of everything, `[N]`.
    """

    shelves: Shelves
    rights: np.ndarray
    taste: np.ndarray
    upto: np.ndarray
    total: np.ndarray

    @classmethod
    def of(cls, shelves: Shelves, rights: np.ndarray, taste: np.ndarray) -> "Rows":
        upto = np.cumsum(taste * shelves.mass[rights], axis=1)
        total = upto[:, -1].copy()
        upto /= np.maximum(total, 1e-300)[:, None]
        return cls(shelves, rights, taste, upto, total)

    def draw(self, rows: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Niches and places on the shelves `[M]` that points in [0, 1) of people's pages fall on."""
        flat = self.upto + np.arange(len(self.upto))[:, None]
        found = np.searchsorted(flat.ravel(), rows + points, side="right") - rows * NICHES
        niche = np.clip(found, 0, NICHES - 1)
        begin = np.where(niche > 0, self.upto[rows, niche - 1], 0)
        share = (points - begin) / np.maximum(self.upto[rows, niche] - begin, 1e-300)
        return niche, self.shelves.item_at(self.rights[rows], niche, np.clip(share, 0, 1))

    def probability(self, rows: np.ndarray, niche: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Share of a person's page that an item fills, `[M]`: the chance that one point falls on it."""
        return self.taste[rows, niche] * self.shelves.appeal[self.rights[rows], places] / self.total[rows]
