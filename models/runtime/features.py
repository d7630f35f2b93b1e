"""Features of (user, item) pairs: what the ranker is trained on, and asked with."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from .arrays import BLOCK
from .items import ITEM_FEATURES, Items
from .user_tower import UserTower
from .users import USER_FEATURES, Users

RECENT = 5  # last history items that a candidate is compared with one by one
CROSS_FEATURES = (
    "genre_share_max", "genre_share_mean", "language_share", "tower_score", "history_similarity_max",
    "history_similarity_mean", "log_times_shown", "log_times_shown_not_watched", "next_episode",
    "log_series_watches", "log_creator_watches", "position",
)  # fmt: skip
PAIR_FEATURES = USER_FEATURES + ITEM_FEATURES + CROSS_FEATURES


class Features:
    """Everything known of users and items at one moment, and what it says of any pair of them.

    The ranker trains on features as of one day and serves with features as of a later one; both come from here.
    Values are raw (normalisation is inside the ranker's graph) and always finite.
    """

    def __init__(self, items: Items, users: Users) -> None:
        self.items, self.users = items, users

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table], tower: UserTower, date: str) -> "Features":
        """Made from tables by dataset: users, items, histories, user_features, item_features, exposures, embeddings.

        All but `embeddings` must hold nothing later than the end of the day `date` (ISO). With `user_embeddings`, what
        the tower says of users is taken from there.
        """
        items = Items(tables["items"], tables["item_features"], tables["embeddings"], date)
        return cls(items, Users(tables, items, tower))

    def user_rows(self, user_ids: np.ndarray) -> np.ndarray:
        """Rows of user ids, as `pairs` wants them. Raises BundleError for a user who is not known."""
        return self.users.rows(user_ids)

    def pairs(self, user_rows: np.ndarray, item_ids: np.ndarray, position: np.ndarray | None = None) -> np.ndarray:
        """float32 `[N, F]` or `[N, C, F]`, columns as in PAIR_FEATURES.

        Args:
            user_rows: `[N]`, from `user_rows`.
            item_ids: `[N]`, or `[N, C]` for C candidates of each user; -1 is padding.
            position: place at which each was shown, from 1, in the shape of `item_ids`. Only training knows it; at
                serving it is 0, which the ranker takes for no place in particular.
        """
        candidates = item_ids if item_ids.ndim == 2 else item_ids[:, None]
        shown_at = np.zeros(candidates.shape) if position is None else position.reshape(candidates.shape)
        pairs = np.empty((*candidates.shape, len(PAIR_FEATURES)), dtype=np.float32)
        block = max(1, 8 * BLOCK // candidates.shape[1])
        for start in range(0, len(candidates), block):
            part = slice(start, start + block)
            self._fill(pairs[part], user_rows[part], candidates[part], shown_at[part])
        return pairs.reshape(*item_ids.shape, len(PAIR_FEATURES))

    def _fill(self, pairs: np.ndarray, rows: np.ndarray, item_ids: np.ndarray, position: np.ndarray) -> None:
        users, items = self.users, self.items
        item_ids = np.where(item_ids < items.size, item_ids, -1)
        wide = rows[:, None]
        first_cross = len(USER_FEATURES) + len(ITEM_FEATURES)
        pairs[..., : len(USER_FEATURES)] = users.numbers[rows][:, None]
        pairs[..., len(USER_FEATURES) : first_cross] = items.numbers[item_ids]
        cross = pairs[..., first_cross:]
        cross[..., 0:2] = self._genre_shares(rows, item_ids)
        cross[..., 2] = users.language_shares[wide, items.language[item_ids]]
        cross[..., 3:6] = self._similarities(rows, item_ids)
        cross[..., 6:8] = users.shown.get(wide, item_ids)
        cross[..., 8] = users.watched.get(wide, items.previous[item_ids]) > 0
        cross[..., 9] = np.log1p(users.series.get(wide, items.series[item_ids]))
        cross[..., 10] = np.log1p(users.creators.get(wide, items.creator[item_ids]))
        cross[..., 11] = position

    def _genre_shares(self, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """`[N, C, 2]`: the largest and the mean share of the user's watches among the item's genres."""
        shares = self.users.genre_shares[rows][:, None] * self.items.genres[item_ids]
        count = np.maximum(np.count_nonzero(self.items.genres[item_ids], axis=2), 1)
        return np.stack([shares.max(axis=2, initial=0), shares.sum(axis=2) / count], axis=2)

    def _similarities(self, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """`[N, C, 3]`: with the user's tower vector, the closest and the mean of the last history items."""
        recent = self.users.history.last(rows, RECENT)
        queries = np.concatenate([self.users.vectors(rows), self.items.vectors[recent]], axis=1)
        scores = np.matmul(self.items.vectors[item_ids], queries.transpose(0, 2, 1))
        return np.stack([scores[..., 0], scores[..., 2:].max(axis=2), scores[..., 1]], axis=2)
