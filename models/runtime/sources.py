"""Sources of candidates beside the index: each finds k items for rows of users."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import faiss
import numpy as np
import pyarrow as pa

from .arrays import matrix, places_of
from .candidates import Found, top
from .errors import BundleError
from .items import Items
from .users import Users


class CandidateSource(Protocol):
    """What a source of candidates must do."""

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        """The k best items for each of N rows of users."""


class Factors:
    """Largest products of the user's and the items' latent factors; nothing for users without factors."""

    def __init__(self, users: pa.Table, items: pa.Table, column: str = "factors") -> None:
        users = users.sort_by("user_id")
        self.user_ids, self.user_factors = users["user_id"].to_numpy(), matrix(users[column])
        self.item_ids, self.item_factors = items["item_id"].to_numpy().astype(np.int64), matrix(items[column])

    def scores(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """float32 `[N, C]` for candidates of each user; 0 where the user or the item has no factors."""
        if not len(self.user_ids) or not len(self.item_ids):
            return np.zeros(item_ids.shape, dtype=np.float32)
        user, item = places_of(self.user_ids, users.ids[rows]), places_of(self.item_ids, item_ids)
        products = np.matmul(self.item_factors[item], self.user_factors[user][:, :, None])[..., 0]
        return np.where((user >= 0)[:, None] & (item >= 0), products, 0)

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        if not len(self.user_ids):
            return top(np.empty((len(rows), 0), dtype=np.int64), np.empty((len(rows), 0)), k)
        places = np.minimum(np.searchsorted(self.user_ids, users.ids[rows]), len(self.user_ids) - 1)
        known = self.user_ids[places] == users.ids[rows]
        wanted = min(k, len(self.item_ids))
        scores, found = faiss.knn(self.user_factors[places], self.item_factors, wanted, faiss.METRIC_INNER_PRODUCT)
        return top(self.item_ids[found], np.where(known[:, None], scores, -np.inf), k)


class Neighbours:
    """Sum of the similarities to the last items of the history, the newest counting most.

    For who watched them (Sarwar et al. 2001, "Item-based Collaborative Filtering") or for what they are; the decay by
    place is that of Ding and Li 2005, "Time Weight Collaborative Filtering", with places for days.
    """

    def __init__(self, similarity: pa.Table, items: Items) -> None:
        ids, neighbours = similarity["item_id"].to_numpy(), similarity["neighbour_id"].to_numpy()
        kept = (ids < items.size) & (neighbours < items.size)
        places = similarity["rank"].to_numpy()[kept] - 1
        shape = (items.size + 1, int(places.max(initial=0)) + 1)
        self.ids, self.scores = np.full(shape, -1, dtype=np.int64), np.zeros(shape, dtype=np.float32)
        self.ids[ids[kept], places] = neighbours[kept]
        self.scores[ids[kept], places] = similarity["score"].to_numpy()[kept]
        self.weights = np.ones(1)

    def using(self, settings: Mapping[str, Any]) -> "Neighbours":
        """The same neighbours, looked at as the pipeline's section `history` says."""
        other, most = copy.copy(self), settings["num_neighbours"]
        other.ids, other.scores = self.ids[:, :most], self.scores[:, :most]
        other.weights = 0.5 ** (np.arange(settings["length"])[::-1] / settings["half_life"])
        return other

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        history = users.history.last(rows, len(self.weights)).T
        found = np.concatenate(self.ids[history], axis=1)
        scores = np.concatenate(self.scores[history] * self.weights[:, None, None], axis=1)
        order = np.argsort(found, axis=1)
        found, scores = np.take_along_axis(found, order, axis=1), np.take_along_axis(scores, order, axis=1)
        first = np.ones(found.shape, dtype=bool)
        first[:, 1:] = found[:, 1:] != found[:, :-1]
        totals = np.full(found.shape, -np.inf)
        totals[first] = np.add.reduceat(scores.ravel(), np.flatnonzero(first))
        totals[found < 0] = -np.inf
        return top(found, totals.astype(np.float32), k)


class UserLists:
    """Lists made in the night for the users of the night; nothing for others."""

    def __init__(self, lists: pa.Table) -> None:
        lists = lists.sort_by([("user_id", "ascending"), ("rank", "ascending")])
        users = lists["user_id"].to_numpy()
        self.user_ids, first = np.unique(users, return_index=True)
        self.offsets = np.append(first, len(users))
        self.item_ids = np.append(lists["item_id"].to_numpy(), -1).astype(np.int64)
        self.scores = np.append(lists["score"].to_numpy(), -np.inf).astype(np.float32)

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        if not len(self.user_ids):
            return top(np.empty((len(rows), 0), dtype=np.int64), np.empty((len(rows), 0)), k)
        own = places_of(self.user_ids, users.ids[rows])
        places = self.offsets[own][:, None] + np.arange(k)
        inside = (own >= 0)[:, None] & (places < self.offsets[own + 1][:, None])
        places = np.where(inside, places, -1)
        return self.item_ids[places], self.scores[places]


class Popularity:
    """The same items for everybody: what most have watched."""

    def __init__(self, popularity: pa.Table) -> None:
        popularity = popularity.sort_by("rank")
        self.item_ids, self.scores = popularity["item_id"].to_numpy().astype(np.int64), popularity["score"].to_numpy()

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        item_ids, scores = top(self.item_ids[None, :], self.scores[None, :], k)
        return np.repeat(item_ids, len(rows), axis=0), np.repeat(scores, len(rows), axis=0)


def declared_source(kind: str, tables: Sequence[pa.Table], items: Items) -> CandidateSource:
    """A source of a kind that `sources.json` names, from its tables.

    Raises:
        BundleError: a later version has invented the kind.
    """
    if kind == "lists":
        return UserLists(tables[0])
    if kind == "neighbours":
        return Neighbours(tables[0], items)
    if kind == "vectors":
        return Factors(tables[0], tables[1], "vector")
    raise BundleError(f"sources.json: this runtime knows no source of the kind {kind!r}")
