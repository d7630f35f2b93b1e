"""Nearest items of a vector, in FAISS shards."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from .candidates import Found, top
from .users import Users

FAISS: Any = faiss  # its type stubs know nothing of selectors and search parameters


class Shard:
    """One FAISS index, and how to search it for some ids only and with more effort than its file says."""

    def __init__(self, file: Path) -> None:
        self.index = FAISS.read_index(str(file))
        mapped = isinstance(self.index, FAISS.IndexIDMap)
        self.core = FAISS.downcast_index(self.index.index) if mapped else self.index
        self.num_items: int = self.index.ntotal

    @cached_property
    def ids(self) -> np.ndarray:
        """int64 `[n]`: every item id, in the order of the vectors (IVF: of its lists)."""
        if self.index is not self.core:
            return faiss.vector_to_array(self.index.id_map)
        if not isinstance(self.core, FAISS.IndexIVF):
            return np.arange(self.num_items)
        lists = self.core.invlists
        sizes = [(number, lists.list_size(number)) for number in range(self.core.nlist)]
        parts = [faiss.rev_swig_ptr(lists.get_ids(number), size) for number, size in sizes if size]
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])

    @cached_property
    def most(self) -> int:
        """Multiple of its own effort from which on a search is exhaustive."""
        if isinstance(self.core, FAISS.IndexIVF):
            return -(-self.core.nlist // self.core.nprobe)
        if isinstance(self.core, FAISS.IndexHNSW):
            return -(-self.num_items // self.core.hnsw.efSearch)
        return 1

    def has(self, allowed: np.ndarray) -> np.ndarray:
        """bool `[n]`: which of `ids` a mask by item id allows; beyond its end nothing is."""
        return np.append(allowed, False)[np.minimum(self.ids, len(allowed))]

    def search(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None, times: int = 1) -> Any:
        """Scores and ids as FAISS gives them, `[N, k]`, or `[N, n]` where there are fewer items.

        Args:
            allowed: mask by item id; None allows all.
            times: multiple of the index's own effort; of no account when all are allowed.
        """
        k = min(k, self.num_items)
        if allowed is None:
            return self.index.search(vectors, k)
        if isinstance(self.core, FAISS.IndexHNSW) and times >= self.most:
            # However many candidates it keeps, a graph need not lead to every item.
            storage = faiss.downcast_index(self.core.storage)
            scores, places = storage.search(vectors, k, params=FAISS.SearchParameters(sel=_selector(self.has(allowed))))
            return scores, np.where(places < 0, -1, self.ids[places])
        return self.index.search(vectors, k, params=self._parameters(_selector(allowed), times))

    def _parameters(self, selector: Any, times: int) -> Any:
        if isinstance(self.core, FAISS.IndexIVF):
            nprobe = min(self.core.nprobe * times, self.core.nlist)
            return FAISS.SearchParametersIVF(sel=selector, nprobe=nprobe)
        if isinstance(self.core, FAISS.IndexHNSW):
            return FAISS.SearchParametersHNSW(sel=selector, efSearch=self.core.hnsw.efSearch * times)
        return FAISS.SearchParameters(sel=selector)


def _selector(allowed: np.ndarray) -> Any:
    return FAISS.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


class ItemIndex:
    """Nearest items of the user's tower vector, in FAISS shards, base and delta alike: all are asked and merged."""

    def __init__(self, files: Sequence[Path], known: np.ndarray | None = None) -> None:
        """The search effort (`nprobe`, `efSearch`) that the recall was measured at is part of each file.

        Args:
            known: bool by item id: what the catalogue has. Other ids that a shard may hold are never found.
        """
        self.shards = [Shard(file) for file in files]
        # A selector costs time, so there is none unless it has something to hide.
        self.known = None if known is None or all(shard.has(known).all() for shard in self.shards) else known

    def search(self, vectors: np.ndarray, k: int, allowed: np.ndarray | None = None) -> Found:
        """The k items nearest to each of `[N, d]` vectors.

        Args:
            allowed: only these: bool by item id, or item ids. The fewer they are, the greater the effort. A vector that
                still gets fewer than k of them although there are more is searched for again with twice the effort, if
                need be until everything is compared.
        """
        allowed = self._allowed(allowed)
        if allowed is None:
            return _merged([shard.search(vectors, k) for shard in self.shards], k)
        item_ids = np.full((len(vectors), k), -1, dtype=np.int64)
        scores = np.full((len(vectors), k), -np.inf, dtype=np.float32)
        num_items, num_allowed = sum(shard.num_items for shard in self.shards), int(np.count_nonzero(allowed))
        most = max(shard.most for shard in self.shards)
        # The nearest k of a tenth of the items lie among the nearest 10 k of all, which takes ten times the effort.
        first = times = min(most, max(1, round(num_items / max(num_allowed, 1))))
        short, wanted = np.arange(len(vectors)), min(k, num_allowed)
        while wanted and len(short):
            parts = [shard.search(vectors[short], k, allowed, times) for shard in self.shards]
            item_ids[short], scores[short] = _merged(parts, k)
            if times == first and (item_ids[:, wanted - 1] < 0).any():
                wanted = min(k, sum(int(np.count_nonzero(shard.has(allowed))) for shard in self.shards))
            short = short[item_ids[short, wanted - 1] < 0] if times < most else short[:0]
            times *= 2
        return item_ids, scores

    def _allowed(self, allowed: np.ndarray | None) -> np.ndarray | None:
        """What may be found as a mask by item id; None allows all."""
        if allowed is None:
            return self.known
        mask = _mask(np.asarray(allowed))
        if self.known is None:
            return mask
        size = min(len(mask), len(self.known))
        return mask[:size] & self.known[:size]

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        return self.search(np.ascontiguousarray(users.vectors(rows)[:, 0]), k)


def _mask(allowed: np.ndarray) -> np.ndarray:
    """bool by item id, of such a mask or of ids; a negative id is no item."""
    if allowed.dtype == bool:
        return allowed
    ids = allowed[allowed >= 0].astype(np.int64)
    mask = np.zeros(int(ids.max(initial=-1)) + 1, dtype=bool)
    mask[ids] = True
    return mask


def _merged(parts: Sequence[tuple[np.ndarray, np.ndarray]], k: int) -> Found:
    """The k best of what FAISS gives for each shard: scores and ids, best first, -1 at the end."""
    if len(parts) == 1 and parts[0][1].shape[1] == k:
        scores, item_ids = parts[0]
        scores[item_ids < 0] = -np.inf
        return item_ids, scores
    scores, item_ids = (np.concatenate(found, axis=1) for found in zip(*parts, strict=True))
    return top(item_ids, np.where(item_ids < 0, -np.inf, scores), k)
