"""A set of items for each of U users, as compressed rows; truth and what was already seen are both of this shape."""

from dataclasses import dataclass

import numpy as np

from models.compressed_rows import CompressedRows, offsets_of

# Bytes of the membership bitmap: large enough to amortise numpy's calls, small enough to stay near the cache.
_BITMAP_BYTES = 1 << 24


@dataclass(frozen=True)
class ItemSets(CompressedRows):
    """Row u holds `item_ids[offsets[u]:offsets[u + 1]]`, each dense and at least 0."""

    item_ids: np.ndarray

    @classmethod
    def from_pairs(cls, rows: np.ndarray, item_ids: np.ndarray, num_users: int) -> "ItemSets":
        """Collect (row, item) pairs in any order; a pair that comes twice counts once."""
        width = 1 + int(item_ids.max(initial=0))
        pairs = np.sort(rows.astype(np.int64) * width + item_ids)  # np.unique takes ten times as long
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]
        return cls(offsets_of(np.bincount(pairs // width, minlength=num_users)), pairs % width)

    def where(self, kept: np.ndarray) -> "ItemSets":
        """The same users with the items marked in `kept` (bool, one per entry) only."""
        return ItemSets(self.of_values(kept), self.item_ids[kept])

    def take(self, users: np.ndarray) -> "ItemSets":
        """The sets of some users (int `[V]`, rows), in that order."""
        offsets, places = self.of_rows(users)
        return ItemSets(offsets, self.item_ids[places])

    def minus(self, other: "ItemSets") -> "ItemSets":
        """What is not in the same users' sets of `other`, whose items must ascend within each user."""
        width = 1 + max(self.item_ids.max(initial=0), other.item_ids.max(initial=0))
        theirs = np.append(other.rows * width + other.item_ids, -1)  # -1 answers for places past the end
        ours = self.rows * width + self.item_ids
        return self.where(theirs[np.searchsorted(theirs[:-1], ours)] != ours)

    def contains(self, lists: np.ndarray) -> np.ndarray:
        """Whether each entry of `lists` (int `[U, K]`, -1 for none) is in its user's set: bool `[U, K]`.

        A bitmap of a few users at a time replaces 10 million binary searches (100,000 users, K = 100) by as many
        look-ups.
        """
        width = 1 + max(self.item_ids.max(initial=0), lists.max(initial=0)) + 1  # the last column answers for -1
        step = max(1, _BITMAP_BYTES // width)
        bitmap = np.zeros((min(step, len(lists)), width), dtype=bool)
        found = np.empty(lists.shape, dtype=bool)
        rows = self.rows
        for start in range(0, len(lists), step):
            stop = min(start + step, len(lists))
            ours = slice(self.offsets[start], self.offsets[stop])
            members = rows[ours] - start, self.item_ids[ours]
            bitmap[members] = True
            found[start:stop] = bitmap[np.arange(stop - start)[:, None], lists[start:stop]]
            bitmap[members] = False
        return found
