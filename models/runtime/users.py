"""What is known of users."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .arrays import BLOCK, PairTable, Ragged, codes_in, floats, matrix, places_of
from .bloom import BloomFilter
from .errors import BundleError
from .items import DAY_S, TIERS, Items
from .user_tower import UserTower, query_vectors, searching

PROFILE = 20  # last history items in a user's mean vector
USER_FEATURES = (
    "user_age", "user_log_account_days", "user_log_watches", "user_log_positives", "user_log_impressions",
    "user_log_watch_s", "user_mean_completion", "user_log_days_active", "user_log_recency_days",
)  # fmt: skip


class Users:
    """What is known of users at one moment, as arrays by row (rows in the order of user ids)."""

    def __init__(self, tables: Mapping[str, pa.Table], items: Items, tower: UserTower) -> None:
        self.table = tables["users"].sort_by("user_id")
        self.ids = self.table["user_id"].to_numpy()
        self.items, self.tower = items, tower
        self.searching = searching(self.table, tables["histories"])
        rows = self.rows(tables["histories"]["user_id"].to_numpy(), strict=False)
        self.history = Ragged(tables["histories"]["item_ids"], rows, len(self.ids), items.size)
        self.seen = Ragged(tables["histories"]["seen"], rows, len(self.ids), items.size)
        self._watched(self.history.rows(), self.history.values)
        self._shown(tables["exposures"])
        self.numbers = self._numbers(tables["user_features"])
        self.genre_shares = self._genre_shares(tables["user_features"])
        self.age = floats(self.table["age"], np.nan)
        self.tier = np.maximum(codes_in(self.table["subscription_type"], pa.array(TIERS)), 0)
        self.region = codes_in(self.table["region"], items.region_names)
        self.of_the_night = "user_embeddings" in tables
        self._blooms: dict[float, BloomFilter] = {}
        self._asked = np.zeros(len(self.ids), dtype=bool)  # has a query vector
        self._ready = np.zeros(len(self.ids), dtype=bool)  # has the mean of the history, too
        self._vectors = np.zeros((len(self.ids), 2, items.vectors.shape[1]), dtype=np.float32)
        if "user_embeddings" in tables:
            self._take(tables["user_embeddings"])

    def _take(self, embeddings: pa.Table) -> None:
        """Query vectors that were made before."""
        rows = self.rows(embeddings["user_id"].to_numpy(), strict=False)
        self._vectors[rows[rows >= 0], 0] = matrix(embeddings["vector"])[rows >= 0]
        self._asked[rows[rows >= 0]] = True

    def rows(self, user_ids: np.ndarray, strict: bool = True) -> np.ndarray:
        """Rows of user ids. Raises BundleError for one that is not known; -1 for it when not `strict`."""
        rows = places_of(self.ids, user_ids)
        if strict and (rows < 0).any():
            unknown = np.asarray(user_ids)[rows < 0][0]
            raise BundleError(f"user {unknown} is not among the {len(self.ids):,} known users")
        return rows

    def _watched(self, rows: np.ndarray, item_ids: np.ndarray) -> None:
        """Which items, series, creators, languages and primary genres are in the histories."""
        items = self.items
        self.watched = PairTable.counts(rows, item_ids, items.size)
        self.series = PairTable.counts(rows, items.series[item_ids], items.size)
        self.creators = PairTable.counts(rows, items.creator[item_ids], items.size)
        self.language_shares = self._shares(rows, items.language[item_ids], int(items.language.max()) + 1)
        self.primary_genre_shares = self._shares(rows, items.primary_genre[item_ids], len(items.genre_names))

    def _shares(self, rows: np.ndarray, codes: np.ndarray, width: int) -> np.ndarray:
        """float32 `[U, width + 1]`: share of each history that has a code; the last column, which -1 reads, is 0."""
        counts = np.bincount(rows * (width + 1) + codes % (width + 1), minlength=len(self.ids) * (width + 1))
        counts = counts.reshape(-1, width + 1)
        counts[:, -1] = 0
        return (counts / np.maximum(np.diff(self.history.offsets), 1)[:, None]).astype(np.float32)

    def _shown(self, exposures: pa.Table) -> None:
        rows = self.rows(exposures["user_id"].to_numpy(), strict=False)
        item_ids = exposures["item_id"].to_numpy()
        shown, watched = floats(exposures["num_shown"]), floats(exposures["num_watched"])
        values = np.log1p(np.stack([shown, np.maximum(shown - watched, 0)], axis=1)).astype(np.float32)
        kept = (rows >= 0) & (item_ids < self.items.size)
        self.shown = PairTable(rows[kept], item_ids[kept], values[kept], self.items.size)

    def _numbers(self, features: pa.Table) -> np.ndarray:
        """float32 `[U, USER_FEATURES]`; users whom the window does not know have no watches and never came."""
        rows = self.rows(features["user_id"].to_numpy(), strict=False)

        def spread(name: str, missing: float) -> np.ndarray:
            values = np.full(len(self.ids) + 1, float(missing))
            values[rows] = floats(features[name], missing)
            values[-1] = missing
            return values[:-1]

        signup = floats(self.table["signup_date"].cast(pa.date32()).cast(pa.int32()), np.nan)
        account_days = np.nan_to_num(np.maximum(self.items.moment / DAY_S - signup, 0))
        columns = (
            floats(self.table["age"]), np.log1p(account_days), np.log1p(spread("num_watches", 0)),
            np.log1p(spread("num_positives", 0)), np.log1p(spread("num_impressions", 0)),
            np.log1p(spread("watch_s", 0)), spread("mean_completion", float(self.items.counts["mean_completion"][-1])),
            np.log1p(spread("days_active", 0)), np.log1p(np.maximum(spread("recency_days", 365), 0)),
        )  # fmt: skip
        return np.stack(columns, axis=1).astype(np.float32)

    def _genre_shares(self, features: pa.Table) -> np.ndarray:
        """float32 `[U, genres]`: share of a user's watches that have the genre."""
        shares = np.zeros((len(self.ids) + 1, len(self.items.genre_names) + 1), dtype=np.float32)
        rows = self.rows(features["user_id"].to_numpy(), strict=False)
        lists = features["top_genres"].combine_chunks()
        codes = codes_in(pc.list_flatten(lists), self.items.genre_names)
        values = pc.list_flatten(features["top_genre_shares"].combine_chunks()).to_numpy()
        shares[rows[pc.list_parent_indices(lists).to_numpy()], codes] = values
        return shares[:-1, :-1]

    @cached_property
    def seen_exactly(self) -> PairTable:
        """True for every user's seen items."""
        rows = self.seen.rows()
        return PairTable(rows, self.seen.values, np.ones(len(rows), dtype=bool), self.items.size)

    def seen_probably(self, false_positive_rate: float) -> "BloomFilter":
        """Keys `row * (I + 1) + item_id` of every user's seen items, in little memory."""
        if false_positive_rate not in self._blooms:
            keys = self.seen.rows() * (self.items.size + 1) + self.seen.values
            self._blooms[false_positive_rate] = BloomFilter(keys, false_positive_rate)
        return self._blooms[false_positive_rate]

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """float32 `[N, 2, d]`: tower vector and mean of the last history items; made once a user, when first asked."""
        missing = np.unique(rows[~self._ready[rows]])
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            new = block[~self._asked[block]]
            if len(new):
                self._vectors[new, 0] = query_vectors(self.tower, self.searching, self.history, new)
            last = self.history.last(block, PROFILE)
            total = self.items.vectors[last].sum(axis=1)
            self._vectors[block, 1] = total / np.maximum(np.count_nonzero(last >= 0, axis=1), 1)[:, None]
            self._asked[block] = self._ready[block] = True
        return self._vectors[rows]
