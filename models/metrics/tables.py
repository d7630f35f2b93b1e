"""From tables of (user, item, rank) to the arrays that metrics take, and to the ranking metrics in one call.

Shapes: U users, K places, N rows of the recommendations, R rows of what is relevant. Ids are dense, from 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.metrics.item_sets import ItemSets
from models.metrics.ranking import PerUser, ranking_metrics


@dataclass(frozen=True)
class Ranking:
    """Lists beside what was relevant, for the users who have something relevant.

    Attributes:
        user_ids: int64 `[U]`, ascending.
        lists: int64 `[U, K]`, best first, -1 where a list is shorter.
        truth: the relevant items of each user.
    """

    user_ids: np.ndarray
    lists: np.ndarray
    truth: ItemSets

    @classmethod
    def of_tables(cls, ranked: pa.Table, relevant: pa.Table, k: int) -> "Ranking":
        """Made from rows of `user_id`, `item_id`, `rank` (from 1) and of `user_id`, `item_id`, in any order."""
        users, items, ranks = (ranked[name].to_numpy() for name in ("user_id", "item_id", "rank"))
        liking, liked = relevant["user_id"].to_numpy(), relevant["item_id"].to_numpy()
        user_ids = np.flatnonzero(np.bincount(liking))
        truth = ItemSets.from_pairs(rows_of(liking, user_ids), liked, len(user_ids))
        return cls(user_ids, ranked_lists(users, items, ranks, user_ids, k), truth)

    def metrics(self, ks: Sequence[int]) -> PerUser:
        """See `ranking_metrics`."""
        return ranking_metrics(self.truth.contains(self.lists), self.truth.sizes, ks)


def rows_of(ids: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Place of each id in `among`, -1 for one that is not there: int64 `[N]`.

    A look-up in a table by id: a tenth of the time of a binary search, at the memory of the largest id.
    """
    table = np.full(1 + max(ids.max(initial=-1), among.max(initial=-1)), -1, dtype=np.int64)
    table[among] = np.arange(len(among))
    return table[ids]


def ranked_lists(users: np.ndarray, items: np.ndarray, ranks: np.ndarray, user_ids: np.ndarray, k: int) -> np.ndarray:
    """The first k places of some users: int64 `[U, k]`, -1 where a list is shorter.

    Args:
        users: int `[N]`; rows of users who are not in `user_ids` are passed over.
        items: int `[N]`.
        ranks: int `[N]`, from 1.
        user_ids: int `[U]`, the users wanted, in the order wanted.
    """
    rows = rows_of(users, user_ids)
    wanted = (rows >= 0) & (ranks <= k)
    if not wanted.all():
        rows, items, ranks = rows[wanted], items[wanted], ranks[wanted]
    lists = np.full(len(user_ids) * k, -1, dtype=np.int64)
    lists[rows * k + ranks - 1] = items  # rows are int64: narrow ranks do not overflow
    return lists.reshape(len(user_ids), k)
