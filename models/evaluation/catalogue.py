"""What the metrics need to know of items: genres, popularity, and how well known each item is."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.metrics.beyond_accuracy import obviousness, self_information

TIERS = ("head", "torso", "tail", "cold")
HEAD_SHARE, TORSO_SHARE = 0.5, 0.8


@dataclass(frozen=True)
class CatalogueFacts:
    """Facts about items, as arrays by item id (`[N]`, N = largest id + 1).

    Attributes:
        item_ids: the items of the catalogue, ascending.
        genre_vectors: float32 `[N, genres]`, unit length, or zero where an item has none; no columns where no item has.
        genre_shares: float32 `[N, genres]`: the same with rows that add up to 1.
        primary_genre: the first genre of each item, a column of the above; -1 where an item has none.
        watched_share: share of all the window's watchers that each item had; sums to 1.
        self_information: bits; see `models.metrics.beyond_accuracy.self_information`.
        obviousness: 0 to 1; see `models.metrics.beyond_accuracy.obviousness`.
        tier: index into TIERS. Items by falling number of watchers: `head` makes the first half of all watching,
            `torso` the next 30 %, `tail` the rest; `cold` had none.
    """

    item_ids: np.ndarray
    genre_vectors: np.ndarray
    genre_shares: np.ndarray
    primary_genre: np.ndarray
    watched_share: np.ndarray
    self_information: np.ndarray
    obviousness: np.ndarray
    tier: np.ndarray

    @classmethod
    def of(cls, items: pa.Table, popularity: pa.Table) -> "CatalogueFacts":
        """Made from `items` (at the cut) and `popularity`; popularity of items that the first lacks is dropped."""
        item_ids = np.sort(items["item_id"].to_numpy())
        num_ids = int(item_ids.max()) + 1
        popularity = popularity.filter(pc.is_in(popularity["item_id"], value_set=pa.array(item_ids)))
        watchers = np.zeros(num_ids)
        watchers[popularity["item_id"].to_numpy()] = popularity["num_users"].to_numpy()
        is_item = np.isin(np.arange(num_ids), item_ids)
        flags, primary = _genres(items, num_ids)
        return cls(
            item_ids=item_ids,
            genre_vectors=flags / np.maximum(np.linalg.norm(flags, axis=1, keepdims=True), 1),
            genre_shares=flags / np.maximum(flags.sum(axis=1, keepdims=True), 1),
            primary_genre=primary,
            watched_share=watchers / max(watchers.sum(), 1),
            self_information=self_information(watchers, is_item),
            obviousness=obviousness(watchers, len(item_ids)),
            tier=_tiers(watchers),
        )


def _genres(items: pa.Table, num_ids: int) -> tuple[np.ndarray, np.ndarray]:
    """Which genres each item has, float32 `[N, genres]` of 0 and 1 in order of their names, and the first of each."""
    genres = items["genres"].combine_chunks()
    names = pc.unique(pc.list_flatten(genres)).sort()
    flags = np.zeros((num_ids, len(names)), dtype=np.float32)
    rows = items["item_id"].to_numpy()[pc.list_parent_indices(genres).to_numpy()]
    columns = pc.index_in(pc.list_flatten(genres), value_set=names).to_numpy()
    flags[rows, columns] = 1
    primary = np.full(num_ids, -1, dtype=np.int64)
    primary[rows[::-1]] = columns[::-1]  # what is written last stays: the first genre
    return flags, primary


def _tiers(watchers: np.ndarray) -> np.ndarray:
    """Ties go by id, so that a tier does not depend on the order of a sort."""
    order = np.argsort(-watchers, kind="stable")
    before = (np.cumsum(watchers[order]) - watchers[order]) / max(watchers.sum(), 1)
    tier = np.empty(len(watchers), dtype=np.int64)
    tier[order] = np.select([before < HEAD_SHARE, before < TORSO_SHARE], [0, 1], 2)
    tier[watchers == 0] = TIERS.index("cold")
    return tier
