"""The transformer as a source of candidates and as a score."""

from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq

from .arrays import matrix, places_of
from .candidates import Found, top
from .files import TABLES
from .items import Items
from .manifest import read_json
from .sessions import open_session, run
from .users import Users


class Foundation:
    """A transformer over histories: products of a member's vector and the titles' say what comes next.

    Vectors of the night's users were made with all that they did, searches and ratings included. Of others, and of who
    has watched since, only plays are known; the transformer is asked for their vectors.
    """

    def __init__(self, folder: Path, items: Items) -> None:
        self.told = read_json(folder / "transformer.json")
        self.session = open_session(folder / "transformer.onnx", 1)
        members, titles = (pq.read_table(folder / TABLES[f"{of}_embeddings"]) for of in ("member", "title"))
        members = members.sort_by("user_id")
        self.user_ids, self.members = members["user_id"].to_numpy(), matrix(members["vector"])
        vectors = matrix(titles["vector"])
        self.titles = items.spread(titles["item_id"].to_numpy(), vectors, 0.0)
        self.item_ids = titles["item_id"].to_numpy().astype(np.int64)
        self.vectors = vectors

    def of(self, users: Users, rows: np.ndarray) -> np.ndarray:
        """float32 `[N, D]`: vectors of some users."""
        places = places_of(self.user_ids, users.ids[rows])
        known = (places >= 0) & users.of_the_night
        vectors = self.members[places]
        if not known.all():
            vectors = vectors.copy()
            vectors[~known] = self._asked(users, rows[~known])
        return vectors

    def _asked(self, users: Users, rows: np.ndarray) -> np.ndarray:
        """Vectors after the plays of the history alone."""
        length = self.told["max_tokens"]
        history = users.history.last(rows, length)
        # Newest last and padded on the left; sentences begin at place 0.
        sizes = np.count_nonzero(history >= 0, axis=1)
        places = np.arange(length) + (length - sizes)[:, None]
        item = np.where(places < length, np.take_along_axis(history, np.minimum(places, length - 1), axis=1) + 1, 0)
        none = np.zeros_like(item)
        inputs = {
            "item": item, "length": sizes, "action": np.where(item > 0, self.told["play"], 0), "device": none,
            "gap": none, "words": np.zeros((*item.shape, self.told["num_words"]), dtype=np.int64),
        }  # fmt: skip
        return run(self.session, inputs, ["member_vector"])[0]

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        wanted = min(k, len(self.item_ids))
        vectors = np.ascontiguousarray(self.of(users, rows))
        scores, found = faiss.knn(vectors, self.vectors, wanted, faiss.METRIC_INNER_PRODUCT)
        return top(self.item_ids[found], scores, k)

    def scores(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """float32 `[N, C]` for candidates of each user."""
        return np.matmul(self.titles[item_ids], self.of(users, rows)[:, :, None])[..., 0]
