"""Retrieve, filter, rank, order: how a release answers under one set of settings."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from .arrays import TINY
from .bloom import scatter
from .candidates import Found, Pool, distinct, ranks_in, top
from .features import Features
from .filters import Filters, any_of
from .index import ItemIndex
from .items import Items
from .lists import Lists, Result
from .order import Order
from .ranker import Ranker
from .scores import Scores, can_score
from .sources import CandidateSource, Neighbours, Ranking
from .systems import SYSTEMS
from .users import Users

OFF = {"num_candidates": 0}  # a source that the settings, made for another release, do not know
WIDEN = 8  # how many times more candidates a user gets for whom too few are left


class Steps:
    """The steps from some users to their lists.

    Attributes:
        settings: as in `pipeline.json`.
        sources: every source that the release has; `active` names those that propose candidates, `scoring` has those
            that the system asks for scores.
        filled_by: the source that is told of items that none proposed, which fill up a list by how popular they are.
        reasons: what lists say of each source's items, see `sources.declared`.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        items: Items,
        sources: Mapping[str, CandidateSource],
        ranker: Ranker,
        reasons: Mapping[str, str],
    ) -> None:
        self.settings, self.items, self.ranker, self.reasons = settings, items, ranker, reasons
        self.sources = {
            name: source.using(settings["history"]) if isinstance(source, Neighbours) else source
            for name, source in sources.items()
        }
        self.system = SYSTEMS[settings["system"]]
        asked = settings["sources"]
        self.active = [name for name in self.sources if asked.get(name, OFF)["num_candidates"]]
        self.scoring = {name: s for name in self.system.scored_by if can_score(s := self.sources[name])}
        self.filled_by = next(name for name, source in self.sources.items() if isinstance(source, Ranking))
        self.filters = Filters(items, settings["filters"])

    def lists(self, features: Features, rows: np.ndarray, k: int, trace: bool) -> Result:
        """Lists of k for some users.

        A list that is shorter than the pipeline's is the head of that: pool, fresh quota and exploration are those of
        the whole list, so that the top does not depend on how much of it is asked for.
        """
        length = self._length(k)
        pool, removals = self.candidates(features.users, rows, length)
        relevance, expected = self._rank(features, rows, pool)
        tastes = features.users.primary_genre_shares[rows]
        order = Order(pool.item_ids, relevance, self.items, self.settings["order"], tastes)
        columns, explored = (places[:, :k] for places in order.lists(length, self._draws(features.users.ids[rows])))
        lists = Lists(features, rows, pool, columns, self.reasons)
        table = lists.table(relevance, explored)
        for name, column in lists.traces(self.active, expected, explored).to_pydict().items() if trace else ():
            table = table.append_column(name, pa.array(column))
        return Result(table, removals, dict(Counter(table["source"].to_pylist())), len(rows))

    def _length(self, k: int) -> int:
        """Length of the list that one of k is the head of."""
        return max(k, self.settings["k"])

    def candidate_table(self, features: Features, rows: np.ndarray, k: int) -> pa.Table:
        """What became of every candidate of one user, see `Bundle.candidates`."""
        lists = self._lists(features.users, rows)
        pool, _ = self.candidates(features.users, rows, self._length(k))
        relevance, _ = self._rank(features, rows, pool)
        listed = self.lists(features, rows, k, trace=False).table["item_id"].to_numpy()
        item_ids = np.unique(np.concatenate([*lists, pool.item_ids], axis=1))
        item_ids = item_ids[item_ids >= 0]

        def of(found: np.ndarray, values: np.ndarray, missing: float) -> np.ndarray:
            """Values that stand beside the ids `found`, for each candidate."""
            spread = np.full(self.items.size + 1, missing, dtype=values.dtype)
            spread[found] = values
            spread[-1] = missing
            return spread[item_ids]

        places = {
            f"place_in_{name}": of(found[0], np.arange(1, found.shape[1] + 1), 0)
            for name, found in zip(self.active, lists, strict=True)
        }
        removals = self.filters.removals(features.users, rows, item_ids[None, :])
        scores = [of(pool.item_ids[0], values[0], np.nan) for values in (pool.retrieval, relevance)]
        columns = {
            "item_id": item_ids, **places, **{f"removed_by_{reason}": gone[0] for reason, gone in removals.items()},
            **{n: pa.array(v, from_pandas=True) for n, v in zip(("retrieval", "relevance"), scores, strict=True)},
            "rank": of(listed, np.arange(1, len(listed) + 1), 0),
        }  # fmt: skip
        rank, retrieval, best = columns["rank"], *(np.nan_to_num(s, nan=-1.0) for s in scores)
        return pa.table(columns).take(np.lexsort((-retrieval, -best, np.where(rank, rank, len(item_ids)))))

    def alone(self, source: str, users: Users, rows: np.ndarray, k: int, filtered: bool) -> Found:
        """The k best of one source, see `Bundle.retrieve`."""
        offsets = users.seen.offsets
        spare = WIDEN * k + int((offsets[rows + 1] - offsets[rows]).max(initial=0)) if filtered else 0
        item_ids, scores = self._find(source, users, rows, min(k + spare, self.items.size))
        gone = any_of(self.filters.removals(users, rows, item_ids), item_ids) if filtered else item_ids < 0
        found = top(item_ids, np.where(gone, -np.inf, scores), k)
        index = self.sources[source]
        if filtered and isinstance(index, ItemIndex):
            self._fill(found, index, users, rows)
        return found

    def _fill(self, found: Found, index: ItemIndex, users: Users, rows: np.ndarray) -> None:
        """Search the index again for those who got too few items, among all that the filters let each of them see."""
        item_ids, scores = found
        everything = np.arange(self.items.size)[None, :]
        for place in np.flatnonzero((item_ids < 0).any(axis=1)):
            row = rows[place : place + 1]
            allowed = ~any_of(self.filters.removals(users, row, everything), everything)[0]
            vectors = np.ascontiguousarray(users.vectors(row)[:, 0])
            item_ids[place], scores[place] = (f[0] for f in index.search(vectors, item_ids.shape[1], allowed))

    # --- retrieve and filter -----------------------------------------------------------------------------------------

    def candidates(self, users: Users, rows: np.ndarray, k: int) -> tuple[Pool, dict[str, int]]:
        """A pool for each user, of at least k items if the catalogue has them; and what each filter removed."""
        size = max(k, self.settings["pool_size"])
        pool, removals = self._pool(users, rows, self._lists(users, rows), size)
        short = np.flatnonzero(np.count_nonzero(pool.item_ids >= 0, axis=1) < k)
        catalogue = self.items.by_popularity
        step = max(1, 2**21 // len(catalogue))
        for start in range(0, len(short), step):
            some = short[start : start + step]
            everything = np.broadcast_to(catalogue, (len(some), len(catalogue)))
            lists = [*self._lists(users, rows[some], WIDEN), everything]
            pool.replace(some, self._pool(users, rows[some], lists, size)[0])
        return pool, removals

    def _lists(self, users: Users, rows: np.ndarray, widen: int = 1) -> list[np.ndarray]:
        """What each active source proposes, `[N, num_candidates]` each."""
        lists = []
        for name in self.active:
            settings = self.settings["sources"][name]
            k = min(settings["num_candidates"] * widen, self.items.size)
            # Few neighbours are cold, so more of them are asked for.
            asked = min(k * WIDEN, self.items.size) if settings["items"] == "cold" else k
            lists.append(top(*self._find(name, users, rows, asked, settings["items"]), k)[0])
        return lists

    def _find(self, source: str, users: Users, rows: np.ndarray, k: int, kind: str = "all") -> Found:
        """What a source finds among known items of a kind: a source may know items that the catalogue does not."""
        item_ids, scores = self.sources[source].find(users, rows, k)
        item_ids = np.where(item_ids < self.items.size, item_ids, -1)
        return item_ids, np.where(self.items.of_kind(kind)[item_ids], scores, -np.inf)

    def _pool(self, users: Users, rows: np.ndarray, lists: list[np.ndarray], size: int) -> tuple[Pool, dict[str, int]]:
        """Merge, filter, fuse by weighted reciprocal rank, keep the `size` best."""
        item_ids, columns = distinct(lists)
        removals = self.filters.removals(users, rows, item_ids)
        kept = (item_ids >= 0) & ~any_of(removals, item_ids)
        ranks = np.stack([ranks_in(found, kept, c) for found, c in zip(lists, columns, strict=True)])
        # A list beyond the sources is the whole catalogue, which only fills up what they leave empty.
        weights = [self.settings["sources"][name]["weight"] for name in self.active] + [1e-6]
        constant = self.settings["rank"]["rank_constant"]
        votes = np.array(weights[: len(lists)])[:, None, None] / (constant + ranks)
        votes[ranks == 0] = 0
        retrieval = np.where(kept, votes.sum(axis=0), -np.inf)
        places = np.where(ranks > 0, ranks, 2**30)
        places[len(self.active) :] += len(self.items.ids)  # after everything that a source proposed
        names = list(self.sources)
        source = np.array([*map(names.index, self.active), names.index(self.filled_by)])[places.argmin(axis=0)]
        pool = Pool.best(item_ids, retrieval, ranks[: len(self.active)], source, size)
        return pool, {reason: int(np.count_nonzero(gone)) for reason, gone in removals.items()}

    # --- rank and order ----------------------------------------------------------------------------------------------

    def _rank(self, features: Features, rows: np.ndarray, pool: Pool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Relevance `[N, C]`, 1 for a user's best, and what it was made of (models that are not asked say nothing)."""
        rank = self.settings["rank"]
        scores = Scores(features, rows, pool, self.scoring, self.ranker, rank)
        blend = self.system.score(scores, rank)
        blend[pool.item_ids < 0] = -np.inf
        return np.exp(blend - blend.max(axis=1, initial=np.log(TINY), keepdims=True)), scores.said

    def _draws(self, user_ids: np.ndarray) -> np.ndarray:
        """A number from [0, 1) for each user; the same one all day."""
        seed = self.settings["order"]["exploration_seed"] + self.items.moment
        return (scatter(scatter(user_ids, 3), seed) >> np.uint64(11)) / 2.0**53
