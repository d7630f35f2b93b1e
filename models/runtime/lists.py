"""Lists of some users as a table, with reasons for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .candidates import Pool
from .features import RECENT, Features


@dataclass
class Result:
    """Recommendations and how they came about.

    Attributes:
        table: user_id, rank (from 1), item_id, score, source, reason; ordered by user_id and rank.
        removals: candidates that each filter removed; one with two reasons to go counts for both.
        sources: recommendations by the source that ranked them highest.
    """

    table: pa.Table
    removals: dict[str, int]
    sources: dict[str, int]
    num_users: int


def joined(results: Sequence[Result]) -> Result:
    """The results of several batches as one."""
    removals, sources = Counter[str](), Counter[str]()
    for result in results:
        removals.update(result.removals)
        sources.update(result.sources)
    tables = pa.concat_tables([result.table for result in results])
    return Result(tables, dict(removals), dict(sources), sum(result.num_users for result in results))


class Lists:
    """The lists of some users, being turned into rows with reasons for people."""

    def __init__(
        self, features: Features, rows: np.ndarray, pool: Pool, columns: np.ndarray, sources: Mapping[str, str]
    ) -> None:
        """`columns` are the pool's columns `[N, k]` in order, -1 at the end of short lists; `sources` has the name of
        each of its own, and what is said of its items."""
        self.features, self.pool = features, pool
        self.user, self.slot = np.nonzero(columns >= 0)
        self.column = columns[self.user, self.slot]
        self.rows = rows[self.user]
        self.item_ids = pool.item_ids[self.user, self.column]
        self.words = {name: words for name, words in sources.items() if words}
        self.sources = pa.array(list(sources)).take(pa.array(pool.source[self.user, self.column]))

    def of(self, values: np.ndarray) -> np.ndarray:
        """Values of the pool `[N, C]` for each row."""
        return values[self.user, self.column]

    def table(self, relevance: np.ndarray, explored: np.ndarray) -> pa.Table:
        """Columns of the dataset `recommendations`."""
        return pa.table(
            {
                "user_id": pa.array(self.features.users.ids[self.rows], pa.int32()),
                "rank": pa.array(self.slot + 1, pa.int16()),
                "item_id": pa.array(self.item_ids, pa.int32()),
                "score": pa.array(self.of(relevance), pa.float32()),
                "source": self.sources,
                "reason": self._reasons(explored[self.user, self.slot]),
            }
        )

    def traces(self, active: Sequence[str], expected: Mapping[str, np.ndarray], explored: np.ndarray) -> pa.Table:
        """How each item came into the list."""
        places = {f"rank_in_{name}": self.of(ranks) for name, ranks in zip(active, self.pool.ranks, strict=True)}
        predicted = {name: self.of(values) for name, values in expected.items()}
        explored = explored[self.user, self.slot]
        return pa.table({**places, "retrieval": self.of(self.pool.retrieval), **predicted, "explored": explored})

    def _reasons(self, explored: np.ndarray) -> pa.Array:
        items, closest = self.features.items, self._closest()
        previous = items.previous[self.item_ids]
        continues = self.features.users.watched.get(self.rows, previous) > 0
        has_history = closest >= 0
        watched = items.titles.take(pa.array(closest % len(items.titles)))
        before = items.titles.take(pa.array(previous % len(items.titles)))
        told = pc.binary_join_element_wise
        # Words with a place for a title need a history.
        alone = [(self._is(name), words) for name, words in self.words.items() if "{}" not in words]
        about = [(name, words.split("{}")) for name, words in self.words.items() if "{}" in words]
        cases = (
            (explored, "something different"),
            (continues, told("next after ", before, "")),
            *alone,
            (items.is_fresh(7)[self.item_ids], "new this week"),
            *((has_history & self._is(name), told(first, watched, last, "")) for name, (first, last) in about),
            (has_history, told("because you watched ", watched, "")),
        )
        conditions = pc.make_struct(*(pa.array(condition) for condition, _ in cases))
        return pc.case_when(conditions, *(words for _, words in cases), "for people like you")

    def _is(self, source: str) -> np.ndarray:
        return pc.equal(self.sources, source).to_numpy(zero_copy_only=False)

    def _closest(self) -> np.ndarray:
        """Which of the last items of the user's history is most like the recommended one; -1 without a history."""
        history = self.features.users.history.last(self.rows, RECENT)
        vectors = self.features.items.vectors
        likeness = np.einsum("nrd,nd->nr", vectors[history], vectors[self.item_ids])
        likeness[history < 0] = -np.inf
        return history[np.arange(len(history)), likeness.argmax(axis=1)]
