"""What users had typed before a moment, from a log of any length, and how the user tower takes it in.

Words are hashed into buckets whose embeddings are averaged (Covington et al. 2016): a table of fixed size, in which a
word that nobody had typed in training still has a place. Letter trigrams (Huang et al. 2013, "Learning Deep Structured
Semantic Models") bring words of one stem together; whole words keep them apart.

Shapes: E examples, L words of an example, V distinct words, P pieces of a word.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import Tensor

from models.encoding import EncoderField
from models.retrieval.config import TowersConfig
from models.runtime.encoding import hash_words
from models.runtime.user_tower import SEARCHED

WORD = np.dtype([("user", np.int32), ("word", np.int32), ("time", np.int64), ("search", np.int64), ("place", np.int32)])
"""One word of a search; `word` is 1 + its row among the distinct words, `time` microseconds since 1970."""

TRIGRAMS = 8
"""Letter trigrams that count of a word: those of its first eight letters."""

_READ_ROWS = 65_536


def distinct_words(searches: Sequence[Path]) -> pa.Array:
    """Every word of some Parquet files of searches, ascending."""
    words = pa.array([], pa.string())
    for path in searches:
        of_day = pc.list_flatten(pq.read_table(path, columns=["tokens"])["tokens"]).combine_chunks()
        words = pc.unique(pa.concat_arrays([words, of_day.cast(pa.string())]))
    return words.sort()


def read_words(path: Path, words: pa.Array) -> Iterator[np.ndarray]:
    """The words of a file as rows of `WORD`, some searches at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_READ_ROWS, columns=["user_id", "time", "search_id", "tokens"]):
            search = pc.list_parent_indices(batch["tokens"]).to_numpy(zero_copy_only=False)
            rows = np.empty(len(search), dtype=WORD)
            rows["word"] = pc.index_in(pc.list_flatten(batch["tokens"]), value_set=words).to_numpy() + 1
            rows["user"] = batch["user_id"].to_numpy()[search]
            rows["time"] = batch["time"].cast(pa.int64()).to_numpy()[search]
            rows["search"] = batch["search_id"].to_numpy()[search]
            rows["place"] = np.arange(len(search))
            yield rows


def last_words(rows: np.ndarray, users: np.ndarray, moments: np.ndarray, length: int) -> np.ndarray:
    """The last words that users had typed before a moment, int32 `[E, length]`: newest last, 0 where there is none.

    Args:
        rows: of `WORD`, in any order.
        users, moments: `[E]` whose words, and strictly before when (microseconds since 1970).
    """
    rows = rows[np.lexsort((rows["place"], rows["search"], rows["time"], rows["user"]))]
    # Words and questions in one order; a question comes before the words of its own moment.
    asked = np.concatenate([np.ones(len(users), dtype=bool), np.zeros(len(rows), dtype=bool)])
    order = np.lexsort(
        (~asked, np.concatenate([moments, rows["time"]]), np.concatenate([users, rows["user"]]))
    )  # fmt: skip
    before = np.cumsum(~asked[order])
    end = np.empty(len(users), dtype=np.int64)
    end[order[asked[order]]] = before[asked[order]]
    places = end[:, None] + np.arange(-length, 0)
    inside = places >= np.searchsorted(rows["user"], users)[:, None]
    padded = np.append(rows["word"], np.int32(0))
    return padded[np.where(inside, places, -1)]


@dataclass(frozen=True)
class SearchInput:
    """The input of the user tower about searches; none where nobody searched.

    Attributes:
        fields: its encoder field, or no field.
        buckets: `[1 + V, P]` what each word is hashed to; row 0 stands for no word.
    """

    fields: tuple[EncoderField, ...] = ()
    buckets: np.ndarray = field(default_factory=lambda: np.zeros((1, 0), dtype=np.int64))

    @classmethod
    def of(cls, words: Sequence[str], config: TowersConfig) -> "SearchInput":
        """The input for the distinct words of the training log."""
        if not len(words):
            return cls()
        pieces = 1 if config.search_hashing == "words" else TRIGRAMS
        spec: EncoderField = {"name": f"user_{SEARCHED}", "column": SEARCHED, "kind": "hashed", "pieces": pieces}
        spec |= {"hashing": config.search_hashing, "buckets": config.search_buckets, "length": config.search_words}
        return cls((spec,), np.pad(hash_words(words, spec), ((1, 0), (0, 0))))

    def take(self, searched: np.ndarray) -> dict[str, Tensor]:
        """The input of examples with these words, `[E, L]` -> `[E, L * P]`."""
        flat = self.buckets[searched].reshape(len(searched), -1)
        return {spec["name"]: torch.from_numpy(flat) for spec in self.fields}


NO_SEARCHES = SearchInput()
