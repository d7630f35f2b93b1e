"""From scored candidates to a list: relevance, variety, caps, fresh items, exploration."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .items import Items


class Order:
    """Picks one candidate a user at a time: maximal marginal relevance and xQuAD under caps and a freshness quota.

    Carbonell and Goldstein 1998: lambda * relevance - (1 - lambda) * similarity to the closest item already picked.
    Santos, Macdonald and Ounis 2010 (WWW), equation 2, with primary genres as the aspects: a share of an item's worth
    is how much of the user's history has its genre, as long as nothing in the list has it.
    Caps and the quota bend where nothing else is left, so no list is short because of them; caps go before the quota.
    """

    OVER_CAP, NOT_FRESH = 200.0, 100.0  # more than any relevance

    def __init__(
        self, item_ids: np.ndarray, relevance: np.ndarray, items: Items, settings: Mapping[str, Any], tastes: np.ndarray
    ) -> None:
        """`item_ids` and `relevance` are `[N, C]`, -1 and anything where there is no candidate; `tastes` is
        `[N, genres + 1]`, the share of each user's history that has a primary genre; 0 in the last column."""
        self.settings, self.everyone = settings, np.arange(len(item_ids))
        relevance = np.where(item_ids >= 0, relevance, -np.inf)
        self.columns = np.argsort(-relevance, axis=1, kind="stable")  # from here on the place is the relevance rank
        ids = np.take_along_axis(item_ids, self.columns, axis=1)
        self.open = ids >= 0
        self.share = settings["mmr_lambda"]
        self.worth = np.where(self.open, np.take_along_axis(relevance, self.columns, axis=1), 0.0) * self.share
        self.closest = np.zeros(ids.shape)
        self.vectors = items.variety(settings["genre_weight"])[ids] if self.share < 1 else None
        self.coverage = settings.get("genre_coverage", 0.0)  # bundles made before it was invented lack it
        self.genre = items.primary_genre[ids]
        self.promise = np.take_along_axis(tastes, self.genre, axis=1) if self.coverage else None
        caps = ((items.series, settings["series_cap"]), (items.creator, settings["creator_cap"]))
        self.groups = [(group[ids], np.zeros(ids.shape, dtype=np.int16), cap) for group, cap in caps if cap]
        self.fresh = items.is_fresh(settings["fresh_days"])[ids] & self.open
        self.fresh_due = np.minimum(settings["fresh_quota"], np.count_nonzero(self.fresh, axis=1))

    def lists(self, k: int, draw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns of the candidates `[N, k]` in order, -1 where they are used up; and bool `[N, k]`: drawn to explore.

        Args:
            draw: a number from [0, 1) for each user, which decides the exploration slot.
        """
        place = self.settings["exploration_position"]
        explores = 0 < place <= k and k > 1  # in a short list a place would be a large part of what is seen
        regular = k - explores
        picked = [self._pick(self._best(regular - slot)) for slot in range(regular)]
        explored = np.zeros((len(self.everyone), k), dtype=bool)
        if explores:
            found, drawn = self._draw(draw)
            picked.append(self._pick(np.where(found, drawn, self._best(0))))
            explored[:, place - 1] = found
        places = np.stack(picked, axis=1)
        if self.settings.get("by_relevance"):  # bundles made before it was invented lack it
            last = np.where(places < 0, self.open.shape[1], places)
            last[explored.any(axis=1), -1] += self.open.shape[1]
            places = np.take_along_axis(places, np.argsort(last, axis=1, kind="stable"), axis=1)
        if explores:
            moved = np.insert(places[:, :-1], place - 1, places[:, -1], axis=1)
            places = np.where(found[:, None], moved, places)
        columns = np.take_along_axis(self.columns, np.maximum(places, 0), axis=1)
        return np.where(places < 0, -1, columns), explored

    def _over_cap(self) -> np.ndarray:
        over = np.zeros(self.open.shape, dtype=bool)
        for group, counts, cap in self.groups:
            over |= (group >= 0) & (counts >= cap)
        return over

    def _best(self, slots_left: int) -> np.ndarray:
        """The best candidate now; `slots_left` places can still take a fresh one, this one included."""
        value = self.worth - (1 - self.share) * self.closest
        if self.promise is not None:
            value = (1 - self.coverage) * value + self.coverage * self.promise
        value -= self.OVER_CAP * self._over_cap()
        must_be_fresh = (self.fresh_due > 0) & (self.fresh_due >= slots_left)
        value -= self.NOT_FRESH * (must_be_fresh[:, None] & ~self.fresh)
        return np.where(self.open, value, -np.inf).argmax(axis=1)

    def _draw(self, draw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether each user has an open candidate outside the head, under the caps, and the one drawn."""
        outside = self.open & ~self._over_cap()
        outside[:, : self.settings["exploration_head"]] = False
        count = np.count_nonzero(outside, axis=1)
        wanted = (draw * count).astype(np.int64)
        return count > 0, (np.cumsum(outside, axis=1) > wanted[:, None]).argmax(axis=1)

    def _pick(self, places: np.ndarray) -> np.ndarray:
        """Take one candidate of each user off the table; returns the places, -1 for users who had none left."""
        found = self.open[self.everyone, places]
        if self.vectors is not None:
            chosen = self.vectors[self.everyone, places]
            np.maximum(self.closest, np.matmul(self.vectors, chosen[:, :, None])[..., 0], out=self.closest)
        if self.promise is not None:
            self.promise[(self.genre == self.genre[self.everyone, places][:, None]) & found[:, None]] = 0
        for group, counts, _ in self.groups:
            counts += (group == group[self.everyone, places][:, None]) & found[:, None]
        self.fresh_due -= self.fresh[self.everyone, places]
        self.open[self.everyone, places] = self.fresh[self.everyone, places] = False
        return np.where(found, places, -1)
