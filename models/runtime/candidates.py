"""What sources find, and pools of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Found = tuple[np.ndarray, np.ndarray]
"""Of N users: item ids int64 `[N, k]`, best first and -1 padded, and their scores float32 `[N, k]`."""


def top(item_ids: np.ndarray, scores: np.ndarray, k: int) -> Found:
    """The k best of M candidates in each row; a score of -inf means no candidate."""
    if scores.shape[1] > 2 * k:
        part = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        part.sort(axis=1)
        item_ids, scores = np.take_along_axis(item_ids, part, axis=1), np.take_along_axis(scores, part, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    scores = np.take_along_axis(scores, order, axis=1).astype(np.float32)
    item_ids = np.where(np.isneginf(scores), -1, np.take_along_axis(item_ids, order, axis=1))
    if scores.shape[1] == k:
        return item_ids, scores
    missing = ((0, 0), (0, k - scores.shape[1]))
    return np.pad(item_ids, missing, constant_values=-1), np.pad(scores, missing, constant_values=-np.inf)


@dataclass
class Pool:
    """Distinct candidates of N users, `[N, C]` each; item id -1 is padding. `ranks` is `[S, N, C]`, 0: not found."""

    item_ids: np.ndarray
    retrieval: np.ndarray
    ranks: np.ndarray
    source: np.ndarray

    @classmethod
    def best(
        cls, item_ids: np.ndarray, retrieval: np.ndarray, ranks: np.ndarray, source: np.ndarray, size: int
    ) -> "Pool":
        """The `size` best of M candidates by retrieval; -inf means no candidate."""
        order = np.argsort(-retrieval, axis=1, kind="stable")[:, :size]
        spare = ((0, 0), (0, size - order.shape[1]))

        def take(values: np.ndarray, missing: float) -> np.ndarray:
            return np.pad(np.take_along_axis(values, order, axis=1), spare, constant_values=missing)

        item_ids = np.where(np.isneginf(retrieval), -1, item_ids)
        ranks = np.stack([take(r, 0) for r in ranks])
        return cls(take(item_ids, -1), take(retrieval, -np.inf), ranks, take(source, 0))

    def replace(self, rows: np.ndarray, other: "Pool") -> None:
        """Other pools for some of the users."""
        self.item_ids[rows], self.retrieval[rows], self.source[rows] = other.item_ids, other.retrieval, other.source
        self.ranks[:, rows] = other.ranks


def distinct(lists: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Distinct ids of several lists, `[N, M]`, ascending and -1 padded; and the column each entry of a list went to."""
    ids = np.concatenate(lists, axis=1)
    ids = np.where(ids < 0, np.iinfo(np.int64).max, ids)
    order = np.argsort(ids, axis=1)
    ordered = np.take_along_axis(ids, order, axis=1)
    new = np.zeros(ids.shape, dtype=np.int64)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    group = np.cumsum(new, axis=1)
    union, columns = np.full(ids.shape, -1, dtype=np.int64), np.empty_like(group)
    np.put_along_axis(union, group, np.where(ordered == np.iinfo(np.int64).max, -1, ordered), axis=1)
    np.put_along_axis(columns, order, group, axis=1)
    return union, np.split(columns, np.cumsum([found.shape[1] for found in lists])[:-1], axis=1)


def ranks_in(item_ids: np.ndarray, kept: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Place, from 1, of each of M candidates among those of one source that the filters left; 0: not in it."""
    listed = (item_ids >= 0) & np.take_along_axis(kept, columns, axis=1)
    ranks = np.zeros(kept.shape, dtype=np.int32)
    np.put_along_axis(ranks, columns, np.where(listed, np.cumsum(listed, axis=1), 0).astype(np.int32), axis=1)
    return ranks
