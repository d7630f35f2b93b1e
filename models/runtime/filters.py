"""What must not be recommended to whom."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .items import Items
from .users import Users


class Filters:
    """What must not be recommended to whom, by reason. A candidate may have several reasons to go."""

    REASONS = ("seen", "region", "tier", "maturity", "availability")

    def __init__(self, items: Items, settings: Mapping[str, Any]) -> None:
        self.items, self.settings = items, settings

    def removals(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> dict[str, np.ndarray]:
        """bool `[N, M]` for each filter that is on: which of the candidates `[N, M]` must go."""
        return {
            reason: getattr(self, f"_{reason}")(users, rows[:, None], item_ids) & (item_ids >= 0)
            for reason in self.REASONS
            if self.settings[reason]
        }

    def _seen(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        if self.settings["seen_filter"] == "exact":
            return users.seen_exactly.get(rows, item_ids)
        keys = rows * (self.items.size + 1) + item_ids
        return users.seen_probably(self.settings["bloom_false_positive_rate"]).contains(keys)

    def _region(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        return ~self.items.regions[item_ids, users.region[rows]]

    def _tier(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        return self.items.tier[item_ids] > users.tier[rows]

    def _maturity(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        return self.items.maturity[item_ids] > np.nan_to_num(users.age[rows], nan=self.settings["default_age"])

    def _availability(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        items = self.items
        return ((items.uploaded_s > items.moment) | (items.until_s < items.moment))[item_ids]


def any_of(removals: Mapping[str, np.ndarray], item_ids: np.ndarray) -> np.ndarray:
    """bool in the shape of `item_ids`: whether there is any reason to go."""
    return np.logical_or.reduce([np.zeros(item_ids.shape, dtype=bool), *removals.values()])
