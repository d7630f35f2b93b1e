"""What a night carries of a trained model of the catalogue: tables, by which its release retrieves without the model.

Shapes: U users, I items, N rows.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import pyarrow as pa

from models.catalogue import SourceKind
from models.interactions import Floats, Histories, Interactions, Ints, Recommender
from models.runtime.arrays import vector_table

LIST_LENGTH = 300
"""Items of a user's list, seen ones left out: more than any pipeline asks of one source by default."""

NEIGHBOURS = 50
"""Neighbours of an item."""

_BATCH = 512


class HasNeighbours(Protocol):
    """What `neighbours` asks of a model."""

    def neighbours(self, top_k: int) -> tuple[Ints, Ints, Floats]:
        """Items, a neighbour of each, and its similarity, `[N]` each; larger is nearer, at most `top_k` an item."""


class HasVectors(Protocol):
    """What `vectors` asks of a model: inner products of these are its scores."""

    def item_vectors(self) -> Floats:
        """float32 `[I, F]`."""

    def user_vectors(self, users: Ints, histories: Histories) -> Floats:
        """float32 `[U, F]`."""


def interactions_of(watches: pa.Table, num_users: int, num_items: int) -> Interactions:
    """The positives of daily `watches` as models of the catalogue learn from them, oldest first.

    Args:
        watches: user_id, item_id, time, rating, positive; in any order.
    """
    liked = watches.filter(watches["positive"]).sort_by([("time", "ascending"), ("item_id", "ascending")])
    users = liked["user_id"].to_numpy()
    order = np.argsort(users, kind="stable")
    ratings = liked["rating"].to_numpy().astype(np.float32)[order] if not liked["rating"].null_count else None
    times = liked["time"].cast(pa.int64()).to_numpy()[order] // 1_000_000
    histories = Histories.of(users, liked["item_id"].to_numpy(), num_users)
    return Interactions(histories, num_items, ordered=True, times=times, ratings=ratings if len(order) else None)


def tables_of(
    model: Recommender, kind: SourceKind, data: Interactions, user_ids: Ints, item_ids: Ints, seen: Histories
) -> dict[str, pa.Table]:
    """Tables of a source by dataset, about these users and items only.

    Args:
        user_ids, item_ids: ascending; users without a history get no list and no vector.
        seen: what each user has watched, liked or not: a list does not spend places on it.

    Raises:
        ValueError: nothing here makes tables for a source of that kind.
    """
    users = user_ids[data.histories.sizes[user_ids] > 0]
    if kind == "neighbours":
        return {"source_neighbours": _neighbours(model, item_ids)}  # type: ignore[arg-type]
    if kind == "vectors":
        vectors: HasVectors = model  # type: ignore[assignment]
        return {
            "source_user_vectors": vector_table(
                "user_id", users, vectors.user_vectors(users, data.histories.take(users))
            ),
            "source_item_vectors": vector_table("item_id", item_ids, vectors.item_vectors()[item_ids]),
        }
    if kind == "lists":
        return {"source_lists": pa.concat_tables(_lists(model, data, users, item_ids, seen))}
    raise ValueError(f"models/source_tables.py: no tables for a source of kind {kind!r}; add what it keeps of a model")


def _neighbours(model: HasNeighbours, item_ids: Ints) -> pa.Table:
    items, neighbours, scores = model.neighbours(NEIGHBOURS)
    kept = np.isin(items, item_ids) & np.isin(neighbours, item_ids) & (items != neighbours)
    items, neighbours, scores = items[kept], neighbours[kept], scores[kept]
    order = np.lexsort((neighbours, -scores, items))
    items = items[order]
    first = np.searchsorted(items, items, side="left")
    return pa.table({
        "item_id": pa.array(items, pa.int32()), "neighbour_id": pa.array(neighbours[order], pa.int32()),
        "score": pa.array(scores[order], pa.float32()), "rank": pa.array(np.arange(len(items)) - first + 1, pa.int16()),
    })  # fmt: skip


def _lists(model: Recommender, data: Interactions, users: Ints, item_ids: Ints, seen: Histories) -> Iterator[pa.Table]:
    """The best items of each user that they have not seen, best first."""
    length = min(LIST_LENGTH, len(item_ids))
    allowed = np.full(data.num_items, -np.inf, np.float32)
    allowed[item_ids] = 0
    for start in range(0, max(len(users), 1), _BATCH):
        some = users[start : start + _BATCH]
        scores = model.scores(some, data.histories.take(some)) + allowed
        had = seen.take(some)
        scores[had.rows, had.items] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :length]
        found = np.take_along_axis(scores, best, axis=1)
        rows, places = np.nonzero(np.isfinite(found))
        yield pa.table({
            "user_id": pa.array(some[rows], pa.int32()), "rank": pa.array(places + 1, pa.int16()),
            "item_id": pa.array(best[rows, places], pa.int32()), "score": pa.array(found[rows, places], pa.float32()),
        })  # fmt: skip
