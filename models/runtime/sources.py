"""Sources of candidates, as a release declares them: each finds k items for rows of users."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .arrays import matrix, places_of
from .candidates import Found, top
from .errors import BundleError
from .index import ItemIndex
from .items import Items
from .manifest import read_json
from .sentence_encoder import SentenceEncoder
from .users import Users

FILE = "sources.json"


class CandidateSource(Protocol):
    """What a source of candidates must do."""

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        """The k best items for each of N rows of users."""


class Encoder(Protocol):
    """What makes vectors of users whom the night did not know as they are now."""

    def vectors(self, users: Users, rows: np.ndarray) -> np.ndarray:
        """float32 `[N, d]`."""


class Vectors:
    """Largest products of the user's and the items' vectors.

    Users of the night have vectors that were made with all that they did. Of others, and of who has watched since, an
    encoder makes them, if the source has one; without it strangers get nothing, and others what they had.
    """

    def __init__(self, users: pa.Table, items: pa.Table, encoder: Encoder | None = None) -> None:
        """Tables of an id and a vector, in columns that are called as their dataset says."""
        users = users.sort_by("user_id")
        self.user_ids, self.user_vectors = users["user_id"].to_numpy(), _vectors(users)
        self.item_ids, self.item_vectors = items["item_id"].to_numpy().astype(np.int64), _vectors(items)
        self.encoder = encoder

    def scores(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """float32 `[N, C]` for candidates of each user; 0 where the user or the item has no vector."""
        if not len(self.item_ids):
            return np.zeros(item_ids.shape, dtype=np.float32)
        vectors, known = self._of(users, rows)
        item = places_of(self.item_ids, item_ids)
        products = np.matmul(self.item_vectors[item], vectors[:, :, None])[..., 0]
        return np.where(known[:, None] & (item >= 0), products, 0)

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        if not len(self.item_ids):
            return top(np.empty((len(rows), 0), dtype=np.int64), np.empty((len(rows), 0)), k)
        vectors, known = self._of(users, rows)
        wanted = min(k, len(self.item_ids))
        scores, found = faiss.knn(np.ascontiguousarray(vectors), self.item_vectors, wanted, faiss.METRIC_INNER_PRODUCT)
        return top(self.item_ids[found], np.where(known[:, None], scores, -np.inf), k)

    def _of(self, users: Users, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors float32 `[N, d]` of some users, and which of these have one."""
        if len(self.user_ids):
            places = places_of(self.user_ids, users.ids[rows])
            known, vectors = places >= 0, self.user_vectors[places]
        else:
            known, vectors = np.zeros(len(rows), dtype=bool), np.zeros((len(rows), self.item_vectors.shape[1]), "f4")
        asked = ~(known & users.of_the_night)
        if self.encoder and asked.any():
            vectors[asked] = self.encoder.vectors(users, rows[asked])
            known = np.ones(len(rows), dtype=bool)
        return vectors, known


def _vectors(table: pa.Table) -> np.ndarray:
    """float32 `[N, d]`: the one column of a table that has lists."""
    (name,) = (field.name for field in table.schema if pa.types.is_list(field.type))
    return matrix(table[name]) if len(table) else np.zeros((0, 0), dtype=np.float32)


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
        self.ids, self.similarities = np.full(shape, -1, dtype=np.int64), np.zeros(shape, dtype=np.float32)
        self.ids[ids[kept], places] = neighbours[kept]
        self.similarities[ids[kept], places] = similarity["score"].to_numpy()[kept]
        self.weights = np.ones(1)

    def using(self, settings: Mapping[str, Any]) -> "Neighbours":
        """The same neighbours, looked at as the pipeline's section `history` says."""
        other, most = copy.copy(self), settings["num_neighbours"]
        other.ids, other.similarities = self.ids[:, :most], self.similarities[:, :most]
        other.weights = 0.5 ** (np.arange(settings["length"])[::-1] / settings["half_life"])
        return other

    def scores(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """float32 `[N, C]` for candidates of each user; 0 for what is near to nothing of the history."""
        history, own = users.history.last(rows, len(self.weights)).T, np.arange(len(rows))[:, None]
        totals = np.zeros((len(rows), len(self.ids)))
        for items, weight in zip(history, self.weights, strict=True):
            totals[own, self.ids[items]] += self.similarities[items] * weight  # no item is there twice in a row of ids
        totals[:, -1] = 0  # what -1 reads
        return np.take_along_axis(totals, item_ids, axis=1).astype(np.float32)

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        history = users.history.last(rows, len(self.weights)).T
        found = np.concatenate(self.ids[history], axis=1)
        scores = np.concatenate(self.similarities[history] * self.weights[:, None, None], axis=1)
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
        self.values = np.append(lists["score"].to_numpy(), -np.inf).astype(np.float32)

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        if not len(self.user_ids):
            return top(np.empty((len(rows), 0), dtype=np.int64), np.empty((len(rows), 0)), k)
        own = places_of(self.user_ids, users.ids[rows])
        places = self.offsets[own][:, None] + np.arange(k)
        inside = (own >= 0)[:, None] & (places < self.offsets[own + 1][:, None])
        places = np.where(inside, places, -1)
        return self.item_ids[places], self.values[places]


class Ranking:
    """The same items for everybody, such as what most have watched."""

    def __init__(self, ranking: pa.Table) -> None:
        ranking = ranking.sort_by("rank")
        self.item_ids, self.values = ranking["item_id"].to_numpy().astype(np.int64), ranking["score"].to_numpy()

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        item_ids, scores = top(self.item_ids[None, :], self.values[None, :], k)
        return np.repeat(item_ids, len(rows), axis=0), np.repeat(scores, len(rows), axis=0)


def open_sources(folder: Path, index: ItemIndex, items: Items) -> dict[str, CandidateSource]:
    """The sources that `sources.json` of a release declares, by name and in its order.

    Raises:
        BundleError: a later version has invented the kind of one, or there is no ranking.
    """
    sources = {one["name"]: _opened(one, folder, index, items) for one in declared(folder)}
    if not any(isinstance(source, Ranking) for source in sources.values()):
        raise BundleError(f"{folder / FILE}: declares no source of the kind 'ranking', which fills up short lists")
    return sources


def declared(folder: Path) -> list[dict[str, Any]]:
    """What `sources.json` says: a name, a kind, files and perhaps a reason for people, of every source.

    Files are, by kind: a table of lists, of neighbours, a ranking; tables of users' and of items' vectors, and then the
    graph of an encoder with its JSON file, if there is one.
    """
    return list(read_json(folder / FILE))


def _opened(one: Mapping[str, Any], folder: Path, index: ItemIndex, items: Items) -> CandidateSource:
    kind, files = one["kind"], [folder / file for file in one["files"]]
    if kind == "index":
        return index
    if kind == "lists":
        return UserLists(pq.read_table(files[0]))
    if kind == "neighbours":
        return Neighbours(pq.read_table(files[0]), items)
    if kind == "vectors":
        return Vectors(*(pq.read_table(file) for file in files[:2]), *(SentenceEncoder(file) for file in files[2:3]))
    if kind == "ranking":
        return Ranking(pq.read_table(files[0]))
    raise BundleError(f"{FILE}: this runtime knows no source of the kind {kind!r}")
