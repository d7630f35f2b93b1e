"""A release, loaded: what is asked of it."""

import copy
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .arguments import (
    MOST_K,
    MOST_THREADS,
    dense_id,
    dense_ids,
    finite_vectors,
    flag,
    item_mask,
    known_attributes,
    one_word,
    path_like,
    table_with,
    texts,
    whole_number,
)
from .candidates import Found
from .errors import BundleError
from .features import Features
from .files import LOADED, TABLES
from .index import ItemIndex
from .item_tower import ItemTower
from .lists import Result, joined
from .manifest import check, check_unchanged, read_json
from .outside_ids import KINDS, OutsideIds
from .ranker import Ranker
from .scores import can_score
from .settings import checked
from .sources import declared, open_sources
from .steps import Steps
from .systems import SYSTEMS
from .threads import faiss_threads
from .user_tables import AboutUsers, having_watched, visitor, words_by_column
from .user_tower import UserTower
from .users import Users

BATCH = 256  # users worked on at once; bounds memory and keeps arrays in the cache
ROW = np.zeros(1, dtype=np.int64)  # of somebody who has tables of their own


WATCHED = pa.schema([("external_user_id", pa.string()), ("external_item_ids", pa.list_(pa.string()))])


@dataclass
class WatchedSince:
    """A user who has watched more since the night: their rows of that night, the new items, their features now."""

    tables: Mapping[str, pa.Table]
    item_ids: list[int]
    features: Features


class Bundle:
    """A release, loaded: from user ids to recommendations, and every step between.

    What has no underscore here, and is no part (`tower`, `ranker`, `index`, `features`, `steps`), stays in later
    runtimes: those who open releases of every age ask nothing else.

    Every argument is checked before anything is done with it: a `BundleError` names it, what was given and what is
    allowed. Ids are whole numbers, numpy's too; neither bools nor floats nor text are.
    """

    def __init__(
        self,
        path: str | Path,
        pipeline: Mapping[str, Any] | None = None,
        threads: int | None = None,
        verify: bool = True,
    ) -> None:
        """Load and check a bundle.

        Args:
            path: folder of the bundle.
            pipeline: settings to use instead of the bundle's own `pipeline.json`, in the same form.
            threads: users are worked on in so many threads, from 1, and searches take no more; by default as many as
                the machine has cores. Results do not depend on it.
            verify: compare the sha256 of every file.

        Raises:
            BundleError: see `check`.
        """
        self.path = Path(path_like("path", path))
        most = os.cpu_count() or 1
        self.threads = most if threads is None else whole_number("threads", threads, 1, MOST_THREADS)
        self.manifest = check(self.path, flag("verify", verify))
        try:
            self._load()
        finally:  # what comes of two releases may be anything
            check_unchanged(self.path, self.manifest)
        self._since: dict[int, WatchedSince] = {}
        self._watching = threading.Lock()  # held by whoever changes what was watched since
        self._use(self._own_pipeline if pipeline is None else pipeline)

    def _load(self) -> None:
        """Read all that is ever asked: nothing is read later, when another release may be in the folder's place."""
        tables = {name: pq.read_table(self.path / TABLES[name]) for name in LOADED}
        tables["user_embeddings"] = pq.read_table(self.path / "user_embeddings.parquet")
        self.items, self.id_map = tables["items"], tables["id_map"]
        self.tower, self._item_tower = UserTower(self.path), ItemTower(self.path)
        self.features = Features.of(tables, self.tower, self.manifest["date"])
        self.ranker = Ranker(self.path)
        shards = sorted(name for name in self.manifest["files"] if name.endswith(".faiss"))
        catalogue = self.features.items
        self.index = ItemIndex([self.path / name for name in shards], catalogue.known[:-1])
        self._sources = open_sources(self.path, self.index, catalogue)
        self._reasons = {source["name"]: source["reason"] for source in declared(self.path)}
        self._about = AboutUsers(tables)
        known = zip(KINDS, (self.features.users.ids, catalogue.ids), strict=True)
        self._outside = {kind: OutsideIds(self.id_map, kind, ids) for kind, ids in known}
        self._words = words_by_column(self.features.users.table, catalogue, self.tower.fields["user"])
        self._own_pipeline = read_json(self.path / "pipeline.json")

    def _use(self, pipeline: Mapping[str, Any]) -> None:
        """Ask with other settings; raises BundleError when there is none like them, or the release lacks what they
        need."""
        pipeline = checked(pipeline)
        self._check_system(pipeline["system"])
        asked = {name for name, source in pipeline["sources"].items() if source["num_candidates"]}
        if unknown := asked - self._sources.keys():
            raise BundleError(
                f"{self.path}: the pipeline asks the source {min(unknown)}, and this release has none of it; make one "
                f"with pipeline.sources.{min(unknown)}.num_candidates above 0"
            )
        if not asked:
            raise BundleError("pipeline.sources: every num_candidates is 0; allowed: at least one above 0")
        self.pipeline = pipeline
        self.steps = Steps(pipeline, self.features.items, self._sources, self.ranker, self._reasons)

    def _check_system(self, system: str) -> None:
        for name in SYSTEMS[system].scored_by:
            if name not in self._sources:
                raise BundleError(
                    f"{self.path}: the system {system} asks the source {name} for scores, and this release has none of "
                    f"it; make one with system {system}"
                )
            if not can_score(self._sources[name]):
                raise BundleError(
                    f"{self.path}: the system {system} asks the source {name} for scores, and this release's proposes "
                    "items and scores none that others propose"
                )

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources that the release has, for `retrieve` and the pipeline's section `sources`."""
        return tuple(self._sources)

    @property
    def active_sources(self) -> tuple[str, ...]:
        """Those of them that the pipeline asks."""
        return tuple(self.steps.active)

    def with_pipeline(self, pipeline: Mapping[str, Any]) -> "Bundle":
        """The same release with other settings; nothing is loaded again.

        Args:
            pipeline: in the form of `pipeline.json`; sources that it leaves out are off.

        Raises:
            BundleError: a setting is missing, not known or not allowed, or the release lacks a source that is asked.
        """
        other = copy.copy(self)
        other._use(pipeline)
        return other

    # --- what it knows (beside `items`, the table, and `id_map`, dense ids by outside ids) ---------------------------

    @property
    def user_ids(self) -> np.ndarray:
        """int `[U]`: dense ids of the users that it knows, ascending."""
        return self.features.users.ids

    @property
    def users(self) -> pa.Table:
        """What is known of them, a row each, in the order of `user_ids`."""
        return self.features.users.table

    @property
    def num_watched(self) -> np.ndarray:
        """int `[U]`: lengths of their histories."""
        return np.diff(self.features.users.history.offsets)

    @property
    def genre_shares(self) -> np.ndarray:
        """float32 `[U, G]`: share of their watches that has each of `genres`."""
        return self.features.users.genre_shares

    @property
    def genres(self) -> list[str]:
        """Names of all genres, sorted."""
        return list(self.features.items.genre_names.to_pylist())

    @property
    def item_ids(self) -> np.ndarray:
        """int `[I]`: dense ids of the items that it knows, ascending."""
        return self.features.items.ids

    @property
    def titles(self) -> pa.Array:
        """Titles by dense id; an item without one is called by its number."""
        return self.features.items.titles

    @property
    def item_vectors(self) -> np.ndarray:
        """float32 `[largest id + 1, d]`: the items' vectors by dense id, zeros where one has none."""
        return self.features.items.vectors[:-1]

    def user_vectors(self, user_ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """float32 `[N, d]`: what is asked of the index for known users; takes in what they have watched since.

        Raises:
            BundleError: a user is not known.
        """
        batches = self._batches(self.features.user_rows(dense_ids("user_ids", user_ids)))
        return np.concatenate([features.users.vectors(rows)[:, 0] for features, rows in batches])

    def embed(self, items: pa.Table) -> np.ndarray:
        """float32 `[N, d]`: what the item tower makes of N rows in the columns of `items`: vectors for new items."""
        needed = dict.fromkeys(field["column"] for field in self._item_tower.fields)
        return self._item_tower.vectors(
            table_with("items", items, pa.schema([self.items.schema.field(n) for n in needed]))
        )

    # --- questions ---------------------------------------------------------------------------------------------------

    def recommend(self, user_ids: Iterable[int], k: int | None = None, trace: bool = False) -> Result:
        """Top-k items for known users (dense ids, see `ids`).

        Args:
            user_ids: in any order; who is there twice has one list.
            k: length of the lists, 1 to 1,000; the pipeline's when None. Shorter lists than the pipeline's are the
                heads of its lists.
            trace: add columns that say how each item came into the list: its place in every source, the fused
                retrieval score, what the ranker expects, whether it fills the exploration slot.

        Raises:
            BundleError: a user is not known; `recommend_for_history` is for them.
        """
        return joined(list(self.stream(user_ids, k, trace)))

    def stream(self, user_ids: Iterable[int], k: int | None = None, trace: bool = False) -> Iterator[Result]:
        """The same in batches of users, in order of their ids, for more lists than fit in memory."""
        rows = self.features.user_rows(np.unique(dense_ids("user_ids", user_ids)))
        return self._stream(rows, self._length(k), flag("trace", trace))

    def _stream(self, rows: np.ndarray, length: int, trace: bool) -> Iterator[Result]:
        batches = self._batches(rows)

        def lists(batch: tuple[Features, np.ndarray]) -> Result:
            with faiss_threads(1):  # the users are spread over threads
                return self.steps.lists(*batch, length, trace)

        with ThreadPoolExecutor(self.threads) as pool:
            yield from pool.map(lists, batches)

    def recommend_for_history(
        self,
        item_ids: Sequence[int],
        attributes: Mapping[str, Any] | None = None,
        k: int | None = None,
        trace: bool = False,
    ) -> Result:
        """Top-k items for somebody unknown, who gets user_id -1.

        Args:
            item_ids: what they have watched, oldest first, as often as it was; may be empty.
            attributes: columns of `users` that are known of them, such as age or region.

        Raises:
            BundleError: an item, an attribute or its value is not known.
        """
        length, trace = self._length(k), flag("trace", trace)
        stranger = self._stranger(item_ids, attributes)
        with faiss_threads(self.threads):
            return self.steps.lists(stranger, ROW, length, trace)

    def candidates(self, user_id: int, k: int | None = None) -> pa.Table:
        """Every item that was proposed to a known user, and what became of it: why one is in the list and another not.

        Returns:
            One row an item, listed ones first, then by relevance, then by retrieval: item_id; `place_in_<source>`, its
            place from 1 in what each source proposed, 0 where it did not; `removed_by_<filter>`; retrieval, relevance
            (null for what did not come that far); rank in the list of k, 0 for what is not in it.

        Raises:
            BundleError: the user is not known; `candidates_for_history` is for them.
        """
        ((features, rows),) = self._batches(self.features.user_rows(np.array([dense_id("user_id", user_id)])))
        length = self._length(k)
        with faiss_threads(self.threads):
            return self.steps.candidate_table(features, rows, length)

    def candidates_for_history(
        self, item_ids: Sequence[int], attributes: Mapping[str, Any] | None = None, k: int | None = None
    ) -> pa.Table:
        """The same for somebody unknown; arguments as for `recommend_for_history`."""
        stranger, length = self._stranger(item_ids, attributes), self._length(k)
        with faiss_threads(self.threads):
            return self.steps.candidate_table(stranger, ROW, length)

    def _length(self, k: int | None) -> int:
        """Length of the lists."""
        return whole_number("k", self.pipeline["k"] if k is None else k, 1, MOST_K)

    def _found(self, k: int) -> int:
        """Number of items that a search is asked for: up to the whole catalogue."""
        return whole_number("k", k, 1, max(MOST_K, self.features.items.size))

    def _known_items(self, item_ids: Sequence[int] | np.ndarray) -> list[int]:
        watched: list[int] = dense_ids("item_ids", item_ids).tolist()
        self.features.items.check(watched)
        return watched

    def _stranger(self, item_ids: Sequence[int], attributes: Mapping[str, Any] | None) -> Features:
        """Features of one unknown user, in row 0."""
        items, schema = self.features.items, self.features.users.table.schema
        known = known_attributes(attributes, schema, self._words)
        tables = visitor(self._known_items(item_ids), known, items, schema)
        return Features(items, Users(tables, items, self.tower))

    def watch(self, user_id: int, item_ids: Sequence[int]) -> None:
        """A known user has watched more since the night; from now on every question about that user takes it in.

        History, seen items and features include it, and the query vector is computed anew. Everyone else keeps what
        they had. It is held in memory (`watched_since` tells it, `replay` takes it back), and shared with bundles made
        by `with_pipeline`. Calls from several threads count one after the other; a question that is being answered
        meanwhile takes in a call wholly or not at all.

        Args:
            item_ids: positive watches, oldest first, later than those of earlier calls.

        Raises:
            BundleError: the user or an item is not known; nothing has changed then.
        """
        row = int(self.features.user_rows(np.array([dense_id("user_id", user_id)]))[0])
        new = self._known_items(item_ids)
        with self._watching:
            self._watch(row, new)

    def _watch(self, row: int, item_ids: list[int]) -> None:
        items, users = self.features.items, self.features.users
        since, own = self._since.get(row), users.table.slice(row, 1)
        tables = since.tables if since else {"users": own, **self._about.rows(int(users.ids[row]))}
        watched = [*(since.item_ids if since else ()), *item_ids]
        features = Features(items, Users(having_watched(tables, watched, items), items, self.tower))
        self._since[row] = WatchedSince(tables, watched, features)

    def watched_since(self) -> pa.Table:
        """What `watch` was told, to be kept and given to `replay`: a row a user, all ids as in the log.

        Columns are external_user_id (string) and external_item_ids (list of string, oldest first).
        """
        with self._watching:
            told = {row: self._since[row].item_ids for row in sorted(self._since) if self._since[row].item_ids}
        users = self.outside_ids("user", self.features.users.ids[list(told)] if told else [])
        items = [self.outside_ids("item", item_ids) for item_ids in told.values()]
        return pa.table(dict(zip(WATCHED.names, (users, items), strict=True)), schema=WATCHED)

    def replay(self, watched: pa.Table) -> None:
        """Tell it again what was watched since, such as after a restart, in this release or another one.

        It adds to what `watch` has been told already.

        Args:
            watched: as `watched_since` gives it.

        Raises:
            BundleError: it is no such table, or has a user or an item that this release does not know; nothing has
                changed then.
        """
        users, items = (table_with("watched", watched, WATCHED)[name].to_pylist() for name in WATCHED.names)
        rows = self.features.user_rows(self.ids("user", users)).tolist()
        told = [self._known_items(self.ids("item", names or [])) for names in items]
        with self._watching:
            for row, item_ids in zip(rows, told, strict=True):
                self._watch(row, item_ids)

    def retrieve(self, source: str, user_ids: Sequence[int] | np.ndarray, k: int, filtered: bool = True) -> Found:
        """Items and scores `[U, k]` of one source alone, for users in the order given; -1 where it has no more.

        Args:
            user_ids: a row each, in their order; who is there twice has two.
            k: 1 to 1,000, or to as many as there are items.
            filtered: pass them through the pipeline's filters first. Of `towers` come k wherever the filters leave k;
                the other sources give what they have among their best.
        """
        if source not in self.sources:
            raise BundleError(f"this release has no source {source!r}; it has {', '.join(self.sources)}")
        k, filtered = self._found(k), flag("filtered", filtered)
        rows = self.features.user_rows(dense_ids("user_ids", user_ids))
        batches = self._batches(rows)
        with faiss_threads(self.threads, min(len(rows), BATCH)):
            parts = [self.steps.alone(source, features.users, batch, k, filtered) for features, batch in batches]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def search(self, vectors: np.ndarray, k: int, allowed: Sequence[int] | np.ndarray | None = None) -> Found:
        """Item ids int64 and scores float32 `[N, k]` of the items nearest to each of `[N, d]` vectors, best first.

        Where there are fewer than k, -1 and -inf fill up. Items that are not in the catalogue never come.

        Args:
            vectors: finite numbers.
            k: as for `retrieve`.
            allowed: only these items: bool by item id, or item ids. Then k come wherever k are allowed, which may take
                a longer search than the one that the recall was measured at.

        Raises:
            BundleError: the vectors have another shape, or one that is no number.
        """
        size, dim = self.features.items.vectors.shape[0] - 1, self.features.items.vectors.shape[1]
        mask = None if allowed is None else item_mask("allowed", allowed, size)
        queries, k = finite_vectors("vectors", vectors, dim), self._found(k)
        with faiss_threads(self.threads, len(queries)):
            return self.index.search(queries, k, mask)

    def similar(self, item_id: int, k: int = 10) -> pa.Table:
        """The k items nearest to one by their vectors: item_id, title, score (cosine)."""
        items, k = self.features.items, self._found(k)
        items.check([item_id := dense_id("item_id", item_id)])
        with faiss_threads(self.threads):
            found, scores = self.index.search(items.vectors[item_id][None, :], k + 1)
        kept = (found[0] != item_id) & (found[0] >= 0)
        chosen = found[0][kept][:k]
        return pa.table({"item_id": chosen, "title": items.titles.take(chosen), "score": scores[0][kept][:k]})

    def ids(self, kind: str, external_ids: Sequence[str], strict: bool = True) -> np.ndarray:
        """int64 `[N]`: dense ids of outside ids.

        Args:
            kind: user or item.
            strict: refuse ids that the release does not know; else they are -1.

        Raises:
            BundleError: `strict`, and some are not known.
        """
        asked = texts("external_ids", external_ids)
        found = self._outside[one_word("kind", kind, KINDS)].dense(asked)
        if flag("strict", strict) and (found < 0).any():
            raise BundleError(_unknown(kind, [name for name, i in zip(asked, found, strict=True) if i < 0], len(asked)))
        return found

    def outside_ids(self, kind: str, ids: Sequence[int] | np.ndarray, strict: bool = True) -> list[str | None]:
        """Outside ids of dense ids, also of those that the log tells of and the release knows no more.

        Args:
            kind: user or item.
            strict: refuse ids that nobody has; else they are None.

        Raises:
            BundleError: `strict`, and nobody has some.
        """
        asked = dense_ids("ids", ids)
        found = self._outside[one_word("kind", kind, KINDS)].names(asked)
        if flag("strict", strict) and None in found:
            wrong = [i for i, name in zip(asked.tolist(), found, strict=True) if name is None]
            raise BundleError(_unknown(kind, wrong, len(found)))
        return found

    def _batches(self, rows: np.ndarray) -> list[tuple[Features, np.ndarray]]:
        """Rows in batches, in their order; who has watched since the night comes alone, with features of their own."""
        # Looked up once: others may be told of more watches meanwhile.
        own = {place: found for place, row in enumerate(rows.tolist()) if (found := self._since.get(row))}
        since = np.array(list(own), dtype=np.int64)
        bounds = np.unique([*range(0, len(rows), BATCH), *since, *since + 1, len(rows)])
        return [
            (own[start].features, ROW) if start in own else (self.features, rows[start:end])
            for start, end in pairwise(bounds)
        ] or [(self.features, rows)]


def _unknown(kind: str, ids: Sequence[str] | Sequence[int], asked: int) -> str:
    """What is said of ids, some of so many that were asked for."""
    others = f", nor are {len(ids) - 1:,} others of {asked:,}" if len(ids) > 1 else ""
    return f"{kind} {ids[0]!r} is not known to this release{others}; strict=False tells which"
