"""Histories as sentences: all tokens of all members, as compressed rows of parallel columns.

Shapes: U members, N tokens, W words of a search.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from models.compressed_rows import CompressedRows
from models.interactions import Floats, Histories, Ints

ACTIONS = ("play", "browse", "search", "rate", "like", "share", "complete", "pause")
"""Kinds of tokens; number k + 1 of a token's `action` is kind k, 0 is padding."""
PLAY = ACTIONS.index("play") + 1
SEARCH = ACTIONS.index("search") + 1
_PER_TOKEN = ("item", "action", "positive", "device", "gap", "share", "query")


@dataclass(frozen=True)
class Sentences(CompressedRows):
    """The tokens of U members, oldest first.

    Attributes:
        item: int64 `[N]`, 1 + row of the title; 0 for none, and for titles that are not in the catalogue.
        action: int64 `[N]`, see ACTIONS.
        positive: bool `[N]`: a play that counts as liked, which is what is predicted.
        device, gap: int64 `[N]`, 0 for not known; None where nothing is known of any.
        share: float32 `[N]`: watched share of a play, NaN where not known; None where nothing is known of any.
        query: int64 `[N]`, row of `words`, 0 for tokens that are no search; None without searches.
        words: int64 `[Q, W]`, hashed words of each distinct search, 0 for none; row 0 is all zeros.
    """

    item: Ints
    action: Ints
    positive: np.ndarray
    device: Ints | None = None
    gap: Ints | None = None
    share: Floats | None = None
    query: Ints | None = None
    words: Ints | None = None

    @classmethod
    def of_plays(cls, histories: Histories) -> "Sentences":
        """Sentences of items alone, each a play."""
        num_tokens = len(histories.items)
        return cls(
            histories.offsets,
            histories.items.astype(np.int64) + 1,
            np.full(num_tokens, PLAY),
            np.ones(num_tokens, dtype=bool),
        )

    def where(self, kept: np.ndarray) -> "Sentences":
        """The same members with the tokens marked in `kept` (bool `[N]`) only."""
        return self._at(self.of_values(kept), np.flatnonzero(kept))

    def take(self, members: Ints) -> "Sentences":
        """Some members, in that order."""
        return self._at(*self.of_rows(members))

    def _at(self, offsets: Ints, places: Ints) -> "Sentences":
        values: dict[str, Any] = {name: getattr(self, name) for name in _PER_TOKEN}
        chosen: dict[str, Any] = {name: None if v is None else v[places] for name, v in values.items()}
        return replace(self, offsets=offsets, **chosen)

    def columns(self, places: Ints) -> dict[str, Ints]:
        """Inputs of the network at some places (any shape; -1 for padding), all zero there."""
        inside = places >= 0
        columns = {"item": self.item, "action": self.action, "device": self.device, "gap": self.gap}

        def at(values: Ints) -> Ints:
            if not len(values):  # nobody did anything
                return np.zeros_like(places)
            return np.where(inside, values[np.where(inside, places, 0)], 0)

        found = {name: at(values) for name, values in columns.items() if values is not None}
        if self.query is not None and self.words is not None:
            found["words"] = self.words[at(self.query)]
        return found

    def newest(self, rows: Ints, length: int) -> dict[str, Ints]:
        """The last `length` tokens of some members, `[B, at most length]`, padded on the right."""
        ends = self.offsets[rows + 1]
        starts = np.maximum(self.offsets[rows], ends - length)
        return self.columns(right_padded(starts, ends))


def right_padded(starts: Ints, ends: Ints) -> Ints:
    """Places from start to end of each row, int64 `[B, L]`, -1 after the end; L is the longest, at least 1."""
    longest = max(1, int((ends - starts).max(initial=1)))
    places = starts[:, None] + np.arange(longest)
    return np.where(places < ends[:, None], places, -1)


def windows(offsets: Ints, length: int) -> tuple[Ints, Ints]:
    """Cut every member's tokens into windows of `length` for training: starts and ends, int64 `[windows]`.

    The newest tokens fill a window; older ones follow in windows of their own. A window's last token is only predicted,
    so windows overlap by one.
    """
    starts, ends = [], []
    for start, end in pairwise(offsets.tolist()):
        while end - start >= 2:
            first = max(start, end - length - 1)
            starts.append(first)
            ends.append(end)
            end = first + 1
            if first == start:
                break
    return np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)
