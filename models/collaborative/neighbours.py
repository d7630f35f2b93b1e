"""Recommend what is near to the items of a history: the sum of similarities, of neighbours that a Spark job has found.

Deshpande, Karypis, "Item-Based Top-N Recommendation Algorithms" (TOIS 2004); `spark_jobs/item_similarity.py`. Shapes:
B users of a batch, I items, M neighbours of all items together.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix

from models.compressed_rows import offsets_of
from models.interactions import Floats, Histories, Ints


@dataclass(frozen=True)
class Neighbours:
    """Neighbours of every item, as compressed rows.

    Attributes:
        offsets: int64 `[I + 1]`. neighbours: int32 `[M]`. similarities: float32 `[M]`.
        counts: float32 `[I]`, popularity: what is said of a user without a history, or whose history has no neighbour.
    """

    offsets: Ints
    neighbours: Ints
    similarities: Floats
    counts: Floats

    @classmethod
    def of(cls, items: Ints, neighbours: Ints, similarities: Floats, counts: Floats) -> Self:
        """Made from rows in any order."""
        order = np.lexsort((neighbours, items))
        sizes = np.bincount(items, minlength=len(counts))
        offsets = offsets_of(sizes)
        return cls(offsets, neighbours[order].astype(np.int32), similarities[order].astype(np.float32), counts)

    def scores(self, users: Ints, histories: Histories) -> Floats:
        num_items = len(self.counts)
        histories = histories.known(num_items)
        near = csr_matrix((self.similarities, self.neighbours, self.offsets), shape=(num_items, num_items))
        ones = np.ones(len(histories.items), np.float32)
        had = csr_matrix((ones, histories.items, histories.offsets), shape=(len(histories), num_items))
        scores: Floats = (had @ near).toarray()
        scores[~scores.any(axis=1)] = self.counts
        return scores

    def save(self, folder: Path) -> None:
        save_file(dict(vars(self)), folder / "neighbours.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(**load_file(folder / "neighbours.safetensors"))
