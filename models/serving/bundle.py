"""The runtime of a release: retrieve, filter, rank, order.

This one file is copied verbatim into every bundle. It needs numpy, pyarrow, faiss and onnxruntime, and nothing of
Nightjar: what was judged in the night is what a consumer serves.
"""

import copy
import hashlib
import json
import math
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

# Since 1.29 onnxruntime posts telemetry to its vendor unless it is told not to before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import faiss
import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def encode(table: pa.Table, fields: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Turn rows into model inputs; training and serving both call this, so they cannot disagree.

    Args:
        table: N rows of users or items.
        fields: one mapping a field, as in `encoders.json`: `name` (of the input), `column`, `kind`, and for
            `category` and `bag` the `vocabulary` (index = place + 1; 0 is unknown or missing), for `bag` the `length`
            it is cut or padded to, for `number` its `mean`, `std` and `transform` (see `transformed`), for `vector`
            the `length` that all its rows have, for `hashed` the `length` last words that count and what `hash_words`
            wants.

    Returns:
        name -> int64 `[N]` (category), int64 `[N, length]` (bag), float32 `[N]` (number, 0 where missing), float32
        `[N, length]` (vector, zeros where missing) or int64 `[N, length * pieces]` (hashed, 0 where there is no word).
    """
    return {field["name"]: _ENCODE[field["kind"]](table[field["column"]].combine_chunks(), field) for field in fields}


def _encode_category(values: pa.Array, field: Mapping[str, Any]) -> np.ndarray:
    found = pc.index_in(values, value_set=pa.array(field["vocabulary"], type=values.type))
    return pc.add(found.cast(pa.int64()), 1).fill_null(0).to_numpy(zero_copy_only=False)


def _encode_bag(values: pa.ListArray, field: Mapping[str, Any]) -> np.ndarray:
    encoded = np.zeros((len(values), field["length"]), dtype=np.int64)
    rows = pc.list_parent_indices(values).to_numpy(zero_copy_only=False)
    flat = _encode_category(pc.list_flatten(values), field)
    starts = np.searchsorted(rows, rows)
    places = np.arange(len(rows)) - starts
    kept = places < field["length"]
    encoded[rows[kept], places[kept]] = flat[kept]
    return encoded


def _encode_number(values: pa.Array, field: Mapping[str, Any]) -> np.ndarray:
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    numbers = transformed(numbers, field["transform"])
    return np.nan_to_num((numbers - field["mean"]) / field["std"], nan=0.0).astype(np.float32)


def transformed(numbers: np.ndarray, transform: str) -> np.ndarray:
    """Numbers as they are standardised: `none`, `log1p`, `square` or `sqrt`; logarithm and root take 0 for less."""
    match transform:
        case "log1p":
            return np.log1p(np.maximum(numbers, 0))
        case "square":
            return np.square(numbers)
        case "sqrt":
            return np.sqrt(np.maximum(numbers, 0))
        case _:
            return numbers


def _encode_vector(values: pa.ListArray, field: Mapping[str, Any]) -> np.ndarray:
    encoded = np.zeros((len(values), field["length"]), dtype=np.float32)
    present = values.is_valid().to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(values).to_numpy(zero_copy_only=False)
    encoded[present] = np.nan_to_num(flat.reshape(-1, field["length"]), nan=0.0)
    return encoded


def _encode_hashed(values: pa.ListArray, field: Mapping[str, Any]) -> np.ndarray:
    encoded = np.zeros((len(values), field["length"], field["pieces"]), dtype=np.int64)
    rows = pc.list_parent_indices(values).to_numpy(zero_copy_only=False)
    words = pc.list_flatten(values).dictionary_encode()
    places = field["length"] - (np.searchsorted(rows, rows, side="right") - np.arange(len(rows)))
    kept = places >= 0
    encoded[rows[kept], places[kept]] = hash_words(words.dictionary.to_pylist(), field)[words.indices.to_numpy()[kept]]
    return encoded.reshape(len(values), -1)


def hash_words(words: Sequence[str], field: Mapping[str, Any]) -> np.ndarray:
    """int64 `[W, pieces]`: buckets, from 1, of each word (`hashing` is `words`) or of its first letter trigrams, its
    ends marked by `#` (`trigrams`); 0 fills up."""
    hashed = np.zeros((len(words), field["pieces"]), dtype=np.int64)
    for row, word in enumerate(words):
        marked = f"#{word}#"
        trigrams = [marked[place : place + 3] for place in range(len(word))]
        pieces = [word] if field["hashing"] == "words" else trigrams[: field["pieces"]]
        hashed[row, : len(pieces)] = [zlib.crc32(piece.encode()) % field["buckets"] + 1 for piece in pieces]
    return hashed


_ENCODE = {
    "category": _encode_category, "bag": _encode_bag, "number": _encode_number, "vector": _encode_vector,
    "hashed": _encode_hashed,
}  # fmt: skip


class BundleError(ValueError):
    """A bundle that must not be used, or a question that it cannot answer; the message names the thing."""


# Shapes: U users, N rows, C candidates a row, I items, d vector size, F features, H history length.
# Item ids are dense, so arrays about items are indexed by id; each has one spare row at the end, which id -1 ("no
# item", the padding everywhere below) reads.

DAY_S = 86_400
TIERS = ("free", "basic", "premium")
SEARCHED = "searched"  # column of `histories`: the last words that a user typed
RECENT = 5  # last history items that a candidate is compared with one by one
PROFILE = 20  # last history items in a user's mean vector
BLOCK = 1024  # rows a model or a gather sees at once

USER_FEATURES = (
    "user_age", "user_log_account_days", "user_log_watches", "user_log_positives", "user_log_impressions",
    "user_log_watch_s", "user_mean_completion", "user_log_days_active", "user_log_recency_days",
)  # fmt: skip
ITEM_FEATURES = (
    "item_log_duration_s", "item_log_age_days", "item_log_watches", "item_log_recent_watches", "item_log_impressions",
    "item_watch_rate", "item_log_watch_s", "item_mean_completion", "item_is_cold", "item_is_episode", "item_is_clip",
    "item_maturity",
)  # fmt: skip
CROSS_FEATURES = (
    "genre_share_max", "genre_share_mean", "language_share", "tower_score", "history_similarity_max",
    "history_similarity_mean", "log_times_shown", "log_times_shown_not_watched", "next_episode",
    "log_series_watches", "log_creator_watches", "position",
)  # fmt: skip
PAIR_FEATURES = USER_FEATURES + ITEM_FEATURES + CROSS_FEATURES


def moment_s(date: str) -> int:
    """Seconds since 1970 at the end of a day: what happened on it is known, the next day is not."""
    return int(np.datetime64(date, "s").astype(np.int64)) + DAY_S


def _floats(values: pa.ChunkedArray, missing: float = 0.0) -> np.ndarray:
    numbers = values.cast(pa.float64()).to_numpy()
    return np.where(np.isnan(numbers), missing, numbers)


def _seconds(times: pa.ChunkedArray) -> np.ndarray:
    return _floats(times.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), np.nan) / 1e6


def _codes(values: pa.ChunkedArray | pa.Array, vocabulary: pa.Array) -> np.ndarray:
    return pc.index_in(values, value_set=vocabulary.cast(values.type)).fill_null(-1).to_numpy().astype(np.int64)


def _vocabulary(values: pa.ChunkedArray) -> pa.Array:
    return pc.unique(values.drop_null()).sort()


def _matrix(lists: pa.ChunkedArray) -> np.ndarray:
    """Lists of one length as float32 `[N, length]`."""
    return pc.list_flatten(lists.combine_chunks()).to_numpy().astype(np.float32).reshape(len(lists), -1)


def _places(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where ascending `ids` have each of the wanted ones; -1 where they do not."""
    places = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[places] == wanted, places, -1)


class Ragged:
    """One list of item ids a row: the values of row r are `values[offsets[r]:offsets[r + 1]]`."""

    def __init__(self, lists: pa.ChunkedArray, rows: np.ndarray, num_rows: int, size: int = 2**31) -> None:
        """`lists[i]` belongs to `rows[i]`; a row of -1 is dropped, rows without a list stay empty.

        Values from `size` on become -1.
        """
        order = np.argsort(rows, kind="stable")[np.count_nonzero(rows < 0) :]
        ordered = lists.combine_chunks().take(pa.array(order))
        lengths = np.zeros(num_rows + 1, dtype=np.int64)
        lengths[rows[order] + 1] = pc.list_value_length(ordered).fill_null(0).to_numpy()
        self.offsets = np.cumsum(lengths)
        values = pc.list_flatten(ordered).to_numpy()
        self._padded = np.append(np.where(values < size, values, -1), -1).astype(np.int64)
        self.values = self._padded[:-1]

    def rows(self) -> np.ndarray:
        """The row of every value."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def last(self, rows: np.ndarray, length: int) -> np.ndarray:
        """int64 `[N, length]`: the last values of each row, newest last, padded with -1 on the left."""
        places = self.offsets[rows + 1][:, None] + np.arange(-length, 0)
        found = places >= self.offsets[rows][:, None]
        return self._padded[np.where(found, places, -1)]


class PairTable:
    """Numbers about (row, column) pairs, found many at a time by binary search; 0 where there are none."""

    def __init__(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, width: int) -> None:
        self.width = width + 1  # column -1, the padding, gets a slot of its own that nothing is stored in
        keys = self._key(rows, columns)
        order = np.argsort(keys, kind="stable")
        self.keys = np.append(keys[order], np.iinfo(np.int64).max)
        self.values = np.concatenate([values[order], np.zeros_like(values, shape=(1, *values.shape[1:]))])

    @classmethod
    def counts(cls, rows: np.ndarray, columns: np.ndarray, width: int) -> "PairTable":
        """How often each pair occurs; pairs with column -1 do not count."""
        keys, counts = np.unique(rows[columns >= 0] * width + columns[columns >= 0], return_counts=True)
        return cls(keys // width, keys % width, counts.astype(np.float32), width)

    def _key(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return rows.astype(np.int64) * self.width + columns + 1

    def get(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The values of pairs, in the shape that `rows` and `columns` have together."""
        keys = self._key(rows, columns)
        places = np.searchsorted(self.keys, keys)
        return self.values[np.where(self.keys[places] == keys, places, -1)]


class UserTower:
    """The query tower: users and their histories to vectors, exactly as in training."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.fields = read_json(folder / "encoders.json")
        self.session = _session(folder / "user_tower.onnx", threads)

    @property
    def history_length(self) -> int:
        return int(self.fields["history_length"])

    def vectors(self, users: pa.Table, histories: np.ndarray) -> np.ndarray:
        """float32 `[N, d]` of N rows of users and their histories (item ids `[N, H]`, newest last, -1 padded).

        Args:
            users: as `searching` gives them, where the tower was trained with searches.
        """
        inputs = encode(users, self.fields["user"]) | {"history": histories + 1}
        return _run(self.session, inputs, ["user_vector"])[0]

    def embeddings(self, users: pa.Table, histories: pa.Table, num_items: int) -> pa.Table:
        """The query vector of every user, ascending by user_id: user_id (int32), vector (list of float32).

        Args:
            histories: user_id, item_ids and searched; ids from `num_items` on are not in the catalogue.
        """
        users = searching(users.sort_by("user_id"), histories)
        ids = users["user_id"].to_numpy()
        history = Ragged(histories["item_ids"], _places(ids, histories["user_id"].to_numpy()), len(ids), num_items)
        blocks = [np.arange(start, min(start + BLOCK, len(ids))) for start in range(0, len(ids), BLOCK)]
        vectors = np.concatenate([_queries(self, users, history, block) for block in blocks])
        offsets = np.arange(len(ids) + 1, dtype=np.int32) * vectors.shape[1]
        lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(vectors.ravel(), pa.float32()))
        return pa.table({"user_id": pa.array(ids, pa.int32()), "vector": lists})


def searching(users: pa.Table, histories: pa.Table) -> pa.Table:
    """Users with what they last searched for; the histories of earlier releases say nothing of it."""
    if SEARCHED not in histories.column_names:
        return users
    places = pc.index_in(users["user_id"], value_set=histories["user_id"].combine_chunks())
    return users.append_column(SEARCHED, histories[SEARCHED].combine_chunks().take(places.combine_chunks()))


def _queries(tower: UserTower, users: pa.Table, history: Ragged, rows: np.ndarray) -> np.ndarray:
    """float32 `[N, d]`: query vectors of some rows of `users`, whose histories have the same rows."""
    return tower.vectors(users.take(pa.array(rows)), history.last(rows, tower.history_length))


def _session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _run(session: ort.InferenceSession, inputs: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
    names = {i.name for i in session.get_inputs()}
    return session.run(outputs, {name: value for name, value in inputs.items() if name in names})


class Items:
    """What is known of every item at one moment, as arrays by item id."""

    def __init__(self, items: pa.Table, item_features: pa.Table, embeddings: pa.Table, date: str) -> None:
        items = items.sort_by("item_id")
        self.ids = items["item_id"].to_numpy()
        self.size = int(self.ids.max()) + 1
        self.moment = moment_s(date)
        self.known = self._spread(self.ids, np.ones(len(self.ids), dtype=bool), False)
        self.titles = self._titles(items["title"])
        vectors = _matrix(embeddings["vector"])
        self.vectors = self._spread(embeddings["item_id"].to_numpy(), vectors, 0.0)
        self._describe(items)
        self._count(item_features)
        self.numbers = self._numbers()
        self._variety: dict[float, np.ndarray] = {}

    def _spread(self, ids: np.ndarray, values: np.ndarray, missing: Any) -> np.ndarray:
        """Values by id, `missing` where an id has none; ids that the catalogue lacks are dropped."""
        spread = np.full((self.size + 1, *values.shape[1:]), missing, dtype=values.dtype)
        kept = ids < self.size
        spread[ids[kept]] = values[kept]
        return spread

    def _describe(self, items: pa.Table) -> None:
        """Codes and times of the catalogue."""
        place = {name: items[name] for name in items.column_names}

        def codes(name: str) -> np.ndarray:
            return self._spread(self.ids, _codes(place[name], _vocabulary(place[name])), -1)

        self.series, self.creator, self.language = codes("series_id"), codes("creator_id"), codes("language")
        self.maturity = self._spread(self.ids, _maturity(place["maturity_rating"]), 0.0)
        self.duration_s = self._spread(self.ids, np.maximum(_floats(place["duration_s"]), 0), 0.0)
        self.uploaded_s = self._spread(self.ids, np.nan_to_num(_seconds(place["uploaded_at"])), 0.0)
        self.until_s = self._spread(self.ids, np.nan_to_num(_seconds(place["available_until"]), nan=np.inf), np.inf)
        kind = place["content_type"].fill_null("")
        self.is_episode = self._spread(self.ids, pc.equal(kind, "episode").to_numpy(), False)
        self.tier = self._spread(self.ids, np.maximum(_codes(place["content_tier"], pa.array(TIERS)), 0), 0)
        self.region_names = _vocabulary(pc.list_flatten(place["available_regions"]))
        regions = _multi_hot(place["available_regions"], self.region_names)
        everywhere = place["available_regions"].is_null().to_numpy()[:, None]
        # The last column, which region -1 reads, is for users whose region is not known.
        self.regions = self._spread(self.ids, np.hstack([regions | everywhere, everywhere]), False)
        self.is_clip = self._spread(self.ids, pc.equal(kind, "clip").to_numpy(), False)
        self.genre_names = _vocabulary(pc.list_flatten(place["genres"]))
        self.genres = self._spread(self.ids, _multi_hot(place["genres"], self.genre_names), False)
        self.previous = self._previous_episodes(items)

    def _previous_episodes(self, items: pa.Table) -> np.ndarray:
        """The episode before each episode of a series; -1 for first episodes and everything else."""
        season, episode = _floats(items["season"]), _floats(items["episode"])
        series = self.series[self.ids]
        order = np.lexsort((episode, season, series))
        follows = (series[order][1:] == series[order][:-1]) & (series[order][1:] >= 0)
        previous = np.full(len(order), -1, dtype=np.int64)
        previous[order[1:][follows]] = self.ids[order[:-1][follows]]
        return self._spread(self.ids, previous, -1)

    def _count(self, features: pa.Table) -> None:
        """What the window says; an item that it does not mention gets the mean of rates and 0 of counts."""
        ids = features["item_id"].to_numpy()
        weight = _floats(features["num_watches"])
        self.counts: dict[str, np.ndarray] = {}
        for name in ("num_watches", "num_positives", "num_impressions", "recent_watches"):
            self.counts[name] = self._spread(ids, _floats(features[name]), 0.0)
        for name in ("watch_rate", "watch_s", "mean_completion"):
            values = _floats(features[name])
            mean = float(np.average(values, weights=weight)) if weight.sum() > 0 else 0.0
            self.counts[name] = self._spread(ids, values, mean)
        self.is_cold = self.counts["num_positives"] == 0

    def _numbers(self) -> np.ndarray:
        """float32 `[I + 1, ITEM_FEATURES]`."""
        age_days = np.maximum(self.moment - self.uploaded_s, 0) / DAY_S
        counts = self.counts
        columns = (
            np.log1p(self.duration_s), np.log1p(age_days), np.log1p(counts["num_watches"]),
            np.log1p(counts["recent_watches"]), np.log1p(counts["num_impressions"]), counts["watch_rate"],
            np.log1p(counts["watch_s"]), counts["mean_completion"], self.is_cold, self.is_episode, self.is_clip,
            self.maturity,
        )  # fmt: skip
        return np.stack(columns, axis=1).astype(np.float32)

    def _titles(self, titles: pa.ChunkedArray) -> pa.Array:
        """Title by id; an item without one is called by its number."""
        places = self._spread(self.ids, np.arange(len(self.ids)), -1)[:-1]
        found = titles.combine_chunks().take(pa.array(places, mask=places < 0))
        return pc.coalesce(
            found, pc.binary_join_element_wise("item ", pa.array(np.arange(self.size)).cast("string"), "")
        )

    @cached_property
    def by_popularity(self) -> np.ndarray:
        """Every known item, the most watched of late first."""
        return self.ids[np.lexsort((self.ids, -self.counts["recent_watches"][self.ids]))].astype(np.int64)

    def check(self, item_ids: Sequence[int]) -> None:
        """Raises BundleError for an item that is not known."""
        wrong = [i for i in item_ids if not (0 <= i < self.size and self.known[i])]
        if wrong:
            raise BundleError(f"item {wrong[0]} is not among the {len(self.ids):,} known items")

    def of_kind(self, kind: str) -> np.ndarray:
        """bool `[I + 1]`: known items, `all` of them, those with positive watches (`warm`), those without (`cold`)."""
        return self.known & {"all": True, "cold": self.is_cold, "warm": ~self.is_cold}[kind]

    def is_fresh(self, days: float) -> np.ndarray:
        """bool `[I + 1]`: uploaded at most so many days before the moment."""
        return (self.uploaded_s >= self.moment - days * DAY_S) & self.known

    def variety(self, genre_weight: float) -> np.ndarray:
        """float32 `[I + 1, d + genres]`; a product of two rows is the weighted mean of both items' similarities."""
        if genre_weight not in self._variety:
            length = np.sqrt(np.maximum(np.count_nonzero(self.genres, axis=1, keepdims=True), 1))
            parts = [self.vectors * math.sqrt(1 - genre_weight), self.genres / length * math.sqrt(genre_weight)]
            self._variety[genre_weight] = np.hstack(parts).astype(np.float32)
        return self._variety[genre_weight]


def _maturity(ratings: pa.ChunkedArray) -> np.ndarray:
    """Youngest age allowed: `all` and missing are 0, what is no age at all 18."""
    known = pc.match_substring_regex(ratings, r"^\d+$")
    return _floats(pc.if_else(pc.equal(ratings, "all"), "0", pc.if_else(known, ratings, "18")))


def _multi_hot(lists: pa.ChunkedArray, vocabulary: pa.Array) -> np.ndarray:
    """bool `[N, vocabulary]`: which words each list has."""
    hot = np.zeros((len(lists), len(vocabulary)), dtype=bool)
    flat = lists.combine_chunks()
    hot[pc.list_parent_indices(flat).to_numpy(), _codes(pc.list_flatten(flat), vocabulary)] = True
    return hot


class Users:
    """What is known of users at one moment, as arrays by row (rows in the order of user ids)."""

    def __init__(self, tables: Mapping[str, pa.Table], items: Items, tower: UserTower) -> None:
        self.table = tables["users"].sort_by("user_id")
        self.ids = self.table["user_id"].to_numpy()
        self.items, self.tower = items, tower
        self.searching = searching(self.table, tables["histories"])
        rows = self.rows(tables["histories"]["user_id"].to_numpy(), strict=False)
        self.history = Ragged(tables["histories"]["item_ids"], rows, len(self.ids), items.size)
        self.seen = Ragged(tables["histories"]["seen"], rows, len(self.ids), items.size)
        self._watched(self.history.rows(), self.history.values)
        self._shown(tables["exposures"])
        self.numbers = self._numbers(tables["user_features"])
        self.genre_shares = self._genre_shares(tables["user_features"])
        self.age = _floats(self.table["age"], np.nan)
        self.tier = np.maximum(_codes(self.table["subscription_type"], pa.array(TIERS)), 0)
        self.region = _codes(self.table["region"], items.region_names)
        self.of_the_night = "user_embeddings" in tables
        self._blooms: dict[float, BloomFilter] = {}
        self._asked = np.zeros(len(self.ids), dtype=bool)  # has a query vector
        self._ready = np.zeros(len(self.ids), dtype=bool)  # has the mean of the history, too
        self._vectors = np.zeros((len(self.ids), 2, items.vectors.shape[1]), dtype=np.float32)
        if "user_embeddings" in tables:
            self._take(tables["user_embeddings"])

    def _take(self, embeddings: pa.Table) -> None:
        """Query vectors that were made before."""
        rows = self.rows(embeddings["user_id"].to_numpy(), strict=False)
        self._vectors[rows[rows >= 0], 0] = _matrix(embeddings["vector"])[rows >= 0]
        self._asked[rows[rows >= 0]] = True

    def rows(self, user_ids: np.ndarray, strict: bool = True) -> np.ndarray:
        """Rows of user ids. Raises BundleError for one that is not known; -1 for it when not `strict`."""
        rows = _places(self.ids, user_ids)
        if strict and (rows < 0).any():
            unknown = np.asarray(user_ids)[rows < 0][0]
            raise BundleError(f"user {unknown} is not among the {len(self.ids):,} known users")
        return rows

    def _watched(self, rows: np.ndarray, item_ids: np.ndarray) -> None:
        """Which items, series, creators and languages are in the histories."""
        items = self.items
        self.watched = PairTable.counts(rows, item_ids, items.size)
        self.series = PairTable.counts(rows, items.series[item_ids], items.size)
        self.creators = PairTable.counts(rows, items.creator[item_ids], items.size)
        width = int(items.language.max()) + 2  # one spare column for no language
        language = items.language[item_ids] % width
        counts = np.bincount(rows * width + language, minlength=len(self.ids) * width).reshape(-1, width)
        counts[:, -1] = 0
        self.language_shares = (counts / np.maximum(np.diff(self.history.offsets), 1)[:, None]).astype(np.float32)

    def _shown(self, exposures: pa.Table) -> None:
        rows = self.rows(exposures["user_id"].to_numpy(), strict=False)
        item_ids = exposures["item_id"].to_numpy()
        shown, watched = _floats(exposures["num_shown"]), _floats(exposures["num_watched"])
        values = np.log1p(np.stack([shown, np.maximum(shown - watched, 0)], axis=1)).astype(np.float32)
        kept = (rows >= 0) & (item_ids < self.items.size)
        self.shown = PairTable(rows[kept], item_ids[kept], values[kept], self.items.size)

    def _numbers(self, features: pa.Table) -> np.ndarray:
        """float32 `[U, USER_FEATURES]`; users whom the window does not know have no watches and never came."""
        rows = self.rows(features["user_id"].to_numpy(), strict=False)

        def spread(name: str, missing: float) -> np.ndarray:
            values = np.full(len(self.ids) + 1, float(missing))
            values[rows] = _floats(features[name], missing)
            values[-1] = missing
            return values[:-1]

        signup = _floats(self.table["signup_date"].cast(pa.date32()).cast(pa.int32()), np.nan)
        account_days = np.nan_to_num(np.maximum(self.items.moment / DAY_S - signup, 0))
        columns = (
            _floats(self.table["age"]), np.log1p(account_days), np.log1p(spread("num_watches", 0)),
            np.log1p(spread("num_positives", 0)), np.log1p(spread("num_impressions", 0)),
            np.log1p(spread("watch_s", 0)), spread("mean_completion", float(self.items.counts["mean_completion"][-1])),
            np.log1p(spread("days_active", 0)), np.log1p(np.maximum(spread("recency_days", 365), 0)),
        )  # fmt: skip
        return np.stack(columns, axis=1).astype(np.float32)

    def _genre_shares(self, features: pa.Table) -> np.ndarray:
        """float32 `[U, genres]`: share of a user's watches that have the genre."""
        shares = np.zeros((len(self.ids) + 1, len(self.items.genre_names) + 1), dtype=np.float32)
        rows = self.rows(features["user_id"].to_numpy(), strict=False)
        lists = features["top_genres"].combine_chunks()
        codes = _codes(pc.list_flatten(lists), self.items.genre_names)
        values = pc.list_flatten(features["top_genre_shares"].combine_chunks()).to_numpy()
        shares[rows[pc.list_parent_indices(lists).to_numpy()], codes] = values
        return shares[:-1, :-1]

    @cached_property
    def seen_exactly(self) -> PairTable:
        """True for every user's seen items."""
        rows = self.seen.rows()
        return PairTable(rows, self.seen.values, np.ones(len(rows), dtype=bool), self.items.size)

    def seen_probably(self, false_positive_rate: float) -> "BloomFilter":
        """Keys `row * (I + 1) + item_id` of every user's seen items, in little memory."""
        if false_positive_rate not in self._blooms:
            keys = self.seen.rows() * (self.items.size + 1) + self.seen.values
            self._blooms[false_positive_rate] = BloomFilter(keys, false_positive_rate)
        return self._blooms[false_positive_rate]

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """float32 `[N, 2, d]`: tower vector and mean of the last history items; made once a user, when first asked."""
        missing = np.unique(rows[~self._ready[rows]])
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            new = block[~self._asked[block]]
            if len(new):
                self._vectors[new, 0] = _queries(self.tower, self.searching, self.history, new)
            last = self.history.last(block, PROFILE)
            total = self.items.vectors[last].sum(axis=1)
            self._vectors[block, 1] = total / np.maximum(np.count_nonzero(last >= 0, axis=1), 1)[:, None]
            self._asked[block] = self._ready[block] = True
        return self._vectors[rows]


class Features:
    """Everything known of users and items at one moment, and what it says of any pair of them.

    The ranker trains on features as of one day and serves with features as of a later one; both come from here.
    Values are raw (normalisation is inside the ranker's graph) and always finite.
    """

    def __init__(self, items: Items, users: Users) -> None:
        self.items, self.users = items, users

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table], tower: UserTower, date: str) -> "Features":
        """From tables by dataset name (users, items, histories, user_features, item_features, exposures, embeddings).

        All but `embeddings` must hold nothing later than the end of the day `date` (ISO). With `user_embeddings`, what
        the tower says of users is taken from there.
        """
        items = Items(tables["items"], tables["item_features"], tables["embeddings"], date)
        return cls(items, Users(tables, items, tower))

    def user_rows(self, user_ids: np.ndarray) -> np.ndarray:
        """Rows of user ids, as `pairs` wants them. Raises BundleError for a user who is not known."""
        return self.users.rows(user_ids)

    def pairs(self, user_rows: np.ndarray, item_ids: np.ndarray, position: np.ndarray | None = None) -> np.ndarray:
        """float32 `[N, F]` or `[N, C, F]`, columns as in PAIR_FEATURES.

        Args:
            user_rows: `[N]`, from `user_rows`.
            item_ids: `[N]`, or `[N, C]` for C candidates of each user; -1 is padding.
            position: place at which each was shown, from 1, in the shape of `item_ids`. Only training knows it; at
                serving it is 0, which the ranker takes for no place in particular.
        """
        candidates = item_ids if item_ids.ndim == 2 else item_ids[:, None]
        shown_at = np.zeros(candidates.shape) if position is None else position.reshape(candidates.shape)
        pairs = np.empty((*candidates.shape, len(PAIR_FEATURES)), dtype=np.float32)
        block = max(1, 8 * BLOCK // candidates.shape[1])
        for start in range(0, len(candidates), block):
            part = slice(start, start + block)
            self._fill(pairs[part], user_rows[part], candidates[part], shown_at[part])
        return pairs.reshape(*item_ids.shape, len(PAIR_FEATURES))

    def _fill(self, pairs: np.ndarray, rows: np.ndarray, item_ids: np.ndarray, position: np.ndarray) -> None:
        users, items = self.users, self.items
        item_ids = np.where(item_ids < items.size, item_ids, -1)
        wide = rows[:, None]
        first_cross = len(USER_FEATURES) + len(ITEM_FEATURES)
        pairs[..., : len(USER_FEATURES)] = users.numbers[rows][:, None]
        pairs[..., len(USER_FEATURES) : first_cross] = items.numbers[item_ids]
        cross = pairs[..., first_cross:]
        cross[..., 0:2] = self._genre_shares(rows, item_ids)
        cross[..., 2] = users.language_shares[wide, items.language[item_ids]]
        cross[..., 3:6] = self._similarities(rows, item_ids)
        cross[..., 6:8] = users.shown.get(wide, item_ids)
        cross[..., 8] = users.watched.get(wide, items.previous[item_ids]) > 0
        cross[..., 9] = np.log1p(users.series.get(wide, items.series[item_ids]))
        cross[..., 10] = np.log1p(users.creators.get(wide, items.creator[item_ids]))
        cross[..., 11] = position

    def _genre_shares(self, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """`[N, C, 2]`: the largest and the mean share of the user's watches among the item's genres."""
        shares = self.users.genre_shares[rows][:, None] * self.items.genres[item_ids]
        count = np.maximum(np.count_nonzero(self.items.genres[item_ids], axis=2), 1)
        return np.stack([shares.max(axis=2, initial=0), shares.sum(axis=2) / count], axis=2)

    def _similarities(self, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """`[N, C, 3]`: with the user's tower vector, the closest and the mean of the last history items."""
        recent = self.users.history.last(rows, RECENT)
        queries = np.concatenate([self.users.vectors(rows), self.items.vectors[recent]], axis=1)
        scores = np.matmul(self.items.vectors[item_ids], queries.transpose(0, 2, 1))
        return np.stack([scores[..., 0], scores[..., 2:].max(axis=2), scores[..., 1]], axis=2)


# --- retrieval: every source gives item ids int64 [N, k], best first and -1 padded, and scores float32 [N, k] ---------

Found = tuple[np.ndarray, np.ndarray]


def _top(item_ids: np.ndarray, scores: np.ndarray, k: int) -> Found:
    """The k best of M candidates in each row; a score of -inf means no candidate."""
    if scores.shape[1] > 2 * k:
        part = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        part.sort(axis=1)
        item_ids, scores = np.take_along_axis(item_ids, part, axis=1), np.take_along_axis(scores, part, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    scores = np.take_along_axis(scores, order, axis=1).astype(np.float32)
    item_ids = np.where(np.isneginf(scores), -1, np.take_along_axis(item_ids, order, axis=1))
    if scores.shape[1] == k:
        return item_ids, scores
    missing = ((0, 0), (0, k - scores.shape[1]))
    return np.pad(item_ids, missing, constant_values=-1), np.pad(scores, missing, constant_values=-np.inf)


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
        """From so many times its own effort on a search is exhaustive."""
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


class Towers:
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
    return _top(item_ids, np.where(item_ids < 0, -np.inf, scores), k)


class Factors:
    """Largest products of the user's and the items' latent factors; nothing for users without factors."""

    def __init__(self, users: pa.Table, items: pa.Table) -> None:
        users = users.sort_by("user_id")
        self.user_ids, self.user_factors = users["user_id"].to_numpy(), _matrix(users["factors"])
        self.item_ids, self.item_factors = items["item_id"].to_numpy().astype(np.int64), _matrix(items["factors"])

    def scores(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """float32 `[N, C]` for candidates of each user; 0 where the user or the item has no factors."""
        if not len(self.user_ids) or not len(self.item_ids):
            return np.zeros(item_ids.shape, dtype=np.float32)
        user, item = _places(self.user_ids, users.ids[rows]), _places(self.item_ids, item_ids)
        products = np.matmul(self.item_factors[item], self.user_factors[user][:, :, None])[..., 0]
        return np.where((user >= 0)[:, None] & (item >= 0), products, 0)

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        if not len(self.user_ids):
            return _top(np.empty((len(rows), 0), dtype=np.int64), np.empty((len(rows), 0)), k)
        places = np.minimum(np.searchsorted(self.user_ids, users.ids[rows]), len(self.user_ids) - 1)
        known = self.user_ids[places] == users.ids[rows]
        wanted = min(k, len(self.item_ids))
        scores, found = faiss.knn(self.user_factors[places], self.item_factors, wanted, faiss.METRIC_INNER_PRODUCT)
        return _top(self.item_ids[found], np.where(known[:, None], scores, -np.inf), k)


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
        self.ids, self.scores = np.full(shape, -1, dtype=np.int64), np.zeros(shape, dtype=np.float32)
        self.ids[ids[kept], places] = neighbours[kept]
        self.scores[ids[kept], places] = similarity["score"].to_numpy()[kept]
        self.weights = np.ones(1)

    def using(self, settings: Mapping[str, Any]) -> "Neighbours":
        """The same neighbours, looked at as the pipeline's section `history` says."""
        other, most = copy.copy(self), settings["num_neighbours"]
        other.ids, other.scores = self.ids[:, :most], self.scores[:, :most]
        other.weights = 0.5 ** (np.arange(settings["length"])[::-1] / settings["half_life"])
        return other

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        history = users.history.last(rows, len(self.weights)).T
        found = np.concatenate(self.ids[history], axis=1)
        scores = np.concatenate(self.scores[history] * self.weights[:, None, None], axis=1)
        order = np.argsort(found, axis=1)
        found, scores = np.take_along_axis(found, order, axis=1), np.take_along_axis(scores, order, axis=1)
        first = np.ones(found.shape, dtype=bool)
        first[:, 1:] = found[:, 1:] != found[:, :-1]
        totals = np.full(found.shape, -np.inf)
        totals[first] = np.add.reduceat(scores.ravel(), np.flatnonzero(first))
        totals[found < 0] = -np.inf
        return _top(found, totals.astype(np.float32), k)


class Foundation:
    """A transformer over histories: products of a member's vector and the titles' say what comes next.

    Vectors of the night's users were made with all that they did, searches and ratings included. Of others, and of who
    has watched since, only plays are known; the transformer is asked for their vectors.
    """

    FILES = ("transformer.onnx", "transformer.json", "member_embeddings.parquet", "title_embeddings.parquet")

    def __init__(self, folder: Path, items: Items) -> None:
        self.told = read_json(folder / "transformer.json")
        self.session = _session(folder / "transformer.onnx", 1)
        members, titles = (pq.read_table(folder / name) for name in self.FILES[2:])
        members = members.sort_by("user_id")
        self.user_ids, self.members = members["user_id"].to_numpy(), _matrix(members["vector"])
        vectors = _matrix(titles["vector"])
        self.titles = items._spread(titles["item_id"].to_numpy(), vectors, 0.0)
        self.item_ids = titles["item_id"].to_numpy().astype(np.int64)
        self.vectors = vectors

    def of(self, users: Users, rows: np.ndarray) -> np.ndarray:
        """float32 `[N, D]`: vectors of some users."""
        places = _places(self.user_ids, users.ids[rows])
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
        return _run(self.session, inputs, ["member_vector"])[0]

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        wanted = min(k, len(self.item_ids))
        vectors = np.ascontiguousarray(self.of(users, rows))
        scores, found = faiss.knn(vectors, self.vectors, wanted, faiss.METRIC_INNER_PRODUCT)
        return _top(self.item_ids[found], scores, k)

    def scores(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """float32 `[N, C]` for candidates of each user."""
        return np.matmul(self.titles[item_ids], self.of(users, rows)[:, :, None])[..., 0]


class Popularity:
    """The same items for everybody: what most have watched."""

    def __init__(self, popularity: pa.Table) -> None:
        popularity = popularity.sort_by("rank")
        self.item_ids, self.scores = popularity["item_id"].to_numpy().astype(np.int64), popularity["score"].to_numpy()

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        item_ids, scores = _top(self.item_ids[None, :], self.scores[None, :], k)
        return np.repeat(item_ids, len(rows), axis=0), np.repeat(scores, len(rows), axis=0)


class Source(Protocol):
    """What a source of candidates must do."""

    def find(self, users: Users, rows: np.ndarray, k: int) -> Found:
        """The k best items for each of N rows of users."""


@dataclass
class Pool:
    """Distinct candidates of N users, `[N, C]` each; item id -1 is padding. `ranks` is `[S, N, C]`, 0: not found."""

    item_ids: np.ndarray
    retrieval: np.ndarray
    ranks: np.ndarray
    source: np.ndarray

    @classmethod
    def best(
        cls, item_ids: np.ndarray, retrieval: np.ndarray, ranks: np.ndarray, source: np.ndarray, size: int
    ) -> "Pool":
        """The `size` best of M candidates by retrieval; -inf means no candidate."""
        order = np.argsort(-retrieval, axis=1, kind="stable")[:, :size]
        spare = ((0, 0), (0, size - order.shape[1]))

        def take(values: np.ndarray, missing: float) -> np.ndarray:
            return np.pad(np.take_along_axis(values, order, axis=1), spare, constant_values=missing)

        item_ids = np.where(np.isneginf(retrieval), -1, item_ids)
        ranks = np.stack([take(r, 0) for r in ranks])
        return cls(take(item_ids, -1), take(retrieval, -np.inf), ranks, take(source, 0))

    def replace(self, rows: np.ndarray, other: "Pool") -> None:
        """Other pools for some of the users."""
        self.item_ids[rows], self.retrieval[rows], self.source[rows] = other.item_ids, other.retrieval, other.source
        self.ranks[:, rows] = other.ranks


def _union(lists: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Distinct ids of several lists, `[N, M]`, ascending and -1 padded; and the column each entry of a list went to."""
    ids = np.concatenate(lists, axis=1)
    ids = np.where(ids < 0, np.iinfo(np.int64).max, ids)
    order = np.argsort(ids, axis=1)
    ordered = np.take_along_axis(ids, order, axis=1)
    new = np.zeros(ids.shape, dtype=np.int64)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    group = np.cumsum(new, axis=1)
    union, columns = np.full(ids.shape, -1, dtype=np.int64), np.empty_like(group)
    np.put_along_axis(union, group, np.where(ordered == np.iinfo(np.int64).max, -1, ordered), axis=1)
    np.put_along_axis(columns, order, group, axis=1)
    return union, np.split(columns, np.cumsum([found.shape[1] for found in lists])[:-1], axis=1)


def _ranks(item_ids: np.ndarray, kept: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Place, from 1, of each of M candidates among those of one source that the filters left; 0: not in it."""
    listed = (item_ids >= 0) & np.take_along_axis(kept, columns, axis=1)
    ranks = np.zeros(kept.shape, dtype=np.int32)
    np.put_along_axis(ranks, columns, np.where(listed, np.cumsum(listed, axis=1), 0).astype(np.int32), axis=1)
    return ranks


# --- filters ----------------------------------------------------------------------------------------------------------


class BloomFilter:
    """A set of keys in few bits: never misses a member, takes a known share of the others for one.

    Bloom 1970; two hashes make all others (Kirsch and Mitzenmacher 2006, "Less Hashing, Same Performance").
    """

    def __init__(self, keys: np.ndarray, false_positive_rate: float) -> None:
        self.num_bits = max(64, math.ceil(-len(keys) * math.log(false_positive_rate) / math.log(2) ** 2))
        self.num_hashes = max(1, round(-math.log2(false_positive_rate)))
        bits = np.zeros((self.num_bits + 7) // 8 * 8, dtype=bool)
        for places in self._places(keys):
            bits[places] = True
        self.bytes = np.packbits(bits, bitorder="little")

    def _places(self, keys: np.ndarray) -> Iterator[np.ndarray]:
        first, step = _scatter(keys, 1), _scatter(keys, 2) | np.uint64(1)
        for number in range(self.num_hashes):
            yield ((first + np.uint64(number) * step) % np.uint64(self.num_bits)).astype(np.int64)

    def contains(self, keys: np.ndarray) -> np.ndarray:
        """bool in the shape of `keys`: perhaps a member, or certainly none."""
        found = np.ones(keys.shape, dtype=bool)
        for places in self._places(keys):
            found &= (self.bytes[places >> 3] >> (places & 7).astype(np.uint8) & 1).astype(bool)
        return found


def _scatter(keys: np.ndarray, seed: int) -> np.ndarray:
    """Well mixed uint64 of integers (the finaliser of SplitMix64, Steele et al. 2014)."""
    mixed = np.atleast_1d(keys).astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


class Filters:
    """What must not be recommended to whom, by reason. A candidate may have several reasons to go."""

    REASONS = ("seen", "region", "tier", "maturity", "availability")

    def __init__(self, items: Items, settings: Mapping[str, Any]) -> None:
        self.items, self.settings = items, settings

    def removals(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> dict[str, np.ndarray]:
        """bool `[N, M]` for each filter that is on: which of the candidates `[N, M]` must go."""
        return {
            reason: getattr(self, f"_{reason}")(users, rows[:, None], item_ids) & (item_ids >= 0)
            for reason in self.REASONS
            if self.settings[reason]
        }

    def _seen(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        if self.settings["seen_filter"] == "exact":
            return users.seen_exactly.get(rows, item_ids)
        keys = rows * (self.items.size + 1) + item_ids
        return users.seen_probably(self.settings["bloom_false_positive_rate"]).contains(keys)

    def _region(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        return ~self.items.regions[item_ids, users.region[rows]]

    def _tier(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        return self.items.tier[item_ids] > users.tier[rows]

    def _maturity(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        return self.items.maturity[item_ids] > np.nan_to_num(users.age[rows], nan=self.settings["default_age"])

    def _availability(self, users: Users, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        items = self.items
        return ((items.uploaded_s > items.moment) | (items.until_s < items.moment))[item_ids]


# --- rank and order ---------------------------------------------------------------------------------------------------


class Ranker:
    """Expected watch seconds, click and completion probabilities of pairs, and one score made of them."""

    OUTPUTS = ("click_probability", "watch_seconds", "completion_probability")

    def __init__(self, folder: Path) -> None:
        names = tuple(read_json(folder / "ranker.json")["features"])
        if names != PAIR_FEATURES:
            raise BundleError(f"ranker.json: trained on features {names}, but this runtime makes {PAIR_FEATURES}")
        self.session = _session(folder / "ranker.onnx", 1)

    def predict(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """float32 `[N, C]` by output, of features `[N, C, F]`."""
        flat = {"features": features.reshape(-1, features.shape[-1])}
        found = _run(self.session, flat, list(self.OUTPUTS))
        return {n: f.reshape(features.shape[:-1]) for n, f in zip(self.OUTPUTS, found, strict=True)}

    @staticmethod
    def score(predicted: Mapping[str, np.ndarray], settings: Mapping[str, float]) -> np.ndarray:
        """log(click^a * watch^b * completion^c), `[N, C]`."""
        powers = (settings["click_power"], settings["watch_power"], settings["completion_power"])
        parts = zip(Ranker.OUTPUTS, powers, strict=True)
        return sum(power * np.log(np.maximum(predicted[name], TINY)) for name, power in parts)


class Order:
    """Picks one candidate a user at a time: maximal marginal relevance under caps and a freshness quota.

    Carbonell and Goldstein 1998: lambda * relevance - (1 - lambda) * similarity to the closest item already picked.
    Caps and the quota bend where nothing else is left, so no list is short because of them; caps go before the quota.
    """

    OVER_CAP, NOT_FRESH = 200.0, 100.0  # more than any relevance

    def __init__(self, item_ids: np.ndarray, relevance: np.ndarray, items: Items, settings: Mapping[str, Any]) -> None:
        """`item_ids` and `relevance` are `[N, C]`, -1 and anything where there is no candidate."""
        self.settings, self.everyone = settings, np.arange(len(item_ids))
        relevance = np.where(item_ids >= 0, relevance, -np.inf)
        self.columns = np.argsort(-relevance, axis=1, kind="stable")  # from here on the place is the relevance rank
        ids = np.take_along_axis(item_ids, self.columns, axis=1)
        self.open = ids >= 0
        self.share = settings["mmr_lambda"]
        self.worth = np.where(self.open, np.take_along_axis(relevance, self.columns, axis=1) * self.share, 0.0)
        self.closest = np.zeros(ids.shape)
        self.vectors = items.variety(settings["genre_weight"])[ids] if self.share < 1 else None
        caps = ((items.series, settings["series_cap"]), (items.creator, settings["creator_cap"]))
        self.groups = [(group[ids], np.zeros(ids.shape, dtype=np.int16), cap) for group, cap in caps if cap]
        self.fresh = items.is_fresh(settings["fresh_days"])[ids] & self.open
        self.fresh_due = np.minimum(settings["fresh_quota"], np.count_nonzero(self.fresh, axis=1))

    def lists(self, k: int, draw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns of the candidates `[N, k]` in order, -1 where they are used up; and bool `[N, k]`: drawn to explore.

        Args:
            draw: a number from [0, 1) for each user, which decides the exploration slot.
        """
        place = min(self.settings["exploration_position"], k)
        explores = place > 0 and k > 1
        regular = k - explores
        picked = [self._pick(self._best(regular - slot)) for slot in range(regular)]
        explored = np.zeros((len(self.everyone), k), dtype=bool)
        if explores:
            found, drawn = self._draw(draw)
            picked.append(self._pick(np.where(found, drawn, self._best(0))))
            explored[:, place - 1] = found
        places = np.stack(picked, axis=1)
        if explores:
            moved = np.insert(places[:, :-1], place - 1, places[:, -1], axis=1)
            places = np.where(found[:, None], moved, places)
        columns = np.take_along_axis(self.columns, np.maximum(places, 0), axis=1)
        return np.where(places < 0, -1, columns), explored

    def _over_cap(self) -> np.ndarray:
        over = np.zeros(self.open.shape, dtype=bool)
        for group, counts, cap in self.groups:
            over |= (group >= 0) & (counts >= cap)
        return over

    def _best(self, slots_left: int) -> np.ndarray:
        """The best candidate now; `slots_left` places can still take a fresh one, this one included."""
        value = self.worth - (1 - self.share) * self.closest - self.OVER_CAP * self._over_cap()
        must_be_fresh = (self.fresh_due > 0) & (self.fresh_due >= slots_left)
        value -= self.NOT_FRESH * (must_be_fresh[:, None] & ~self.fresh)
        return np.where(self.open, value, -np.inf).argmax(axis=1)

    def _draw(self, draw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether each user has an open candidate outside the head, under the caps, and the one drawn."""
        outside = self.open & ~self._over_cap()
        outside[:, : self.settings["exploration_head"]] = False
        count = np.count_nonzero(outside, axis=1)
        wanted = (draw * count).astype(np.int64)
        return count > 0, (np.cumsum(outside, axis=1) > wanted[:, None]).argmax(axis=1)

    def _pick(self, places: np.ndarray) -> np.ndarray:
        """Take one candidate of each user off the table; returns the places, -1 for users who had none left."""
        found = self.open[self.everyone, places]
        if self.vectors is not None:
            chosen = self.vectors[self.everyone, places]
            np.maximum(self.closest, np.matmul(self.vectors, chosen[:, :, None])[..., 0], out=self.closest)
        for group, counts, _ in self.groups:
            counts += (group == group[self.everyone, places][:, None]) & found[:, None]
        self.fresh_due -= self.fresh[self.everyone, places]
        self.open[self.everyone, places] = self.fresh[self.everyone, places] = False
        return np.where(found, places, -1)


# --- the bundle -------------------------------------------------------------------------------------------------------

SOURCES = ("towers", "als", "item_item", "content", "transformer", "popularity")
TINY = 1e-9  # smallest score or probability whose logarithm is taken
WIDEN = 8  # how many times more candidates a user gets for whom too few are left
BATCH = 256  # users worked on at once; bounds memory and keeps arrays in the cache
TABLES = (
    "users", "items", "histories", "user_features", "item_features", "exposures", "embeddings", "popularity",
    "item_similarity", "content_similarity", "id_map",
)  # fmt: skip
USER_EMBEDDINGS = "user_embeddings.parquet"  # made of the other parts when a bundle is assembled
FACTORS = ("als/user_factors.parquet", "als/item_factors.parquet")
REQUIRED = (
    "user_tower.onnx", "item_tower.onnx", "encoders.json", "ranker.onnx", "ranker.json", "index/index.json",
    "pipeline.json", "bundle.py", "README.md", *(f"{name}.parquet" for name in TABLES), *FACTORS,
    USER_EMBEDDINGS,
)  # fmt: skip


def read_json(path: Path) -> Any:
    """What a JSON file says."""
    return json.loads(path.read_text())


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """Digest of all that the manifest says but this digest itself."""
    said = {name: value for name, value in manifest.items() if name != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def check(folder: Path, verify: bool = True) -> dict[str, Any]:
    """The manifest of a bundle that may be used.

    Args:
        verify: compare the sha256 of every file, not only that it is there in its full size.

    Raises:
        BundleError: a file is missing, damaged or edited, the index comes from other towers than those in the bundle,
            or it was written by a newer faiss than this one.
    """
    try:
        manifest: dict[str, Any] = read_json(folder / "manifest.json")
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder / 'manifest.json'}: cannot be read ({error}); fetch the bundle again") from error
    if manifest_digest(manifest) != manifest.get("digest"):
        raise BundleError(f"{folder / 'manifest.json'}: was edited after it was written; fetch the bundle again")
    # A system that asks no transformer has none; one that has some of it must have it all.
    foundation = Foundation.FILES if any(name in manifest["files"] for name in Foundation.FILES) else ()
    for name in (*REQUIRED, *foundation, *manifest["files"]):
        _check_file(folder / name, manifest["files"].get(name), verify)
    check_towers(folder, manifest)
    check_faiss(folder, manifest)
    return manifest


def _check_file(path: Path, entry: Mapping[str, Any] | None, verify: bool) -> None:
    if entry is None:
        raise BundleError(f"{path}: not in the manifest, which must list it; fetch the bundle again")
    if not path.is_file():
        raise BundleError(f"{path}: missing; fetch the bundle again")
    if path.stat().st_size != entry["bytes"]:
        raise BundleError(
            f"{path}: {path.stat().st_size:,} bytes instead of {entry['bytes']:,}; fetch the bundle again"
        )
    if verify and sha256(path) != entry["sha256"]:
        raise BundleError(f"{path}: damaged, its sha256 is not the manifest's; fetch the bundle again")


def check_towers(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise BundleError when the index comes from other towers than the bundle."""
    towers, built_from = manifest["tower_digest"], read_json(folder / "index" / "index.json")["tower_digest"]
    if built_from != towers:
        raise BundleError(
            f"{folder / 'index'}: built from towers {built_from[:12]}, but the bundle has towers {towers[:12]}; "
            "queries would not fit the index: use an index and towers of one training"
        )


def check_faiss(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise BundleError when the index was written by a newer faiss than this one."""
    made, here = manifest["versions"]["faiss"], faiss.__version__
    if _version(made) > _version(here):
        raise BundleError(f"{folder / 'index'}: written by faiss {made}, but this is {here}; install faiss-cpu=={made}")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3])


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


@dataclass
class Since:
    """A user who has watched more since the night: their rows of that night, the new items, their features now."""

    tables: Mapping[str, pa.Table]
    item_ids: list[int]
    features: Features


class Bundle:
    """A release, loaded: from user ids to recommendations, and every step between."""

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
            threads: users are worked on in so many threads; results do not depend on it.
            verify: compare the sha256 of every file.

        Raises:
            BundleError: see `check`.
        """
        self.path = Path(path)
        self.manifest = check(self.path, verify)
        self.threads = threads or os.cpu_count() or 1
        tables = {name: pq.read_table(self.path / f"{name}.parquet") for name in TABLES}
        tables["user_embeddings"] = pq.read_table(self.path / USER_EMBEDDINGS)
        self.items, self.id_map = tables["items"], tables["id_map"]
        self.tower = UserTower(self.path)
        self.features = Features.of(tables, self.tower, self.manifest["date"])
        self.ranker = Ranker(self.path)
        shards = sorted(name for name in self.manifest["files"] if name.endswith(".faiss"))
        catalogue = self.features.items
        self.index = Towers([self.path / name for name in shards], catalogue.known[:-1])
        self._sources: dict[str, Source] = {
            "towers": self.index,
            "als": Factors(*(pq.read_table(self.path / name) for name in FACTORS)),
            "item_item": Neighbours(tables["item_similarity"], catalogue),
            "content": Neighbours(tables["content_similarity"], catalogue),
            "popularity": Popularity(tables["popularity"]),
        }
        if Foundation.FILES[0] in self.manifest["files"]:
            self._sources["transformer"] = Foundation(self.path, catalogue)
        self._since: dict[int, Since] = {}
        self._use(pipeline or read_json(self.path / "pipeline.json"))

    def _use(self, pipeline: Mapping[str, Any]) -> None:
        system, asked = pipeline["system"], pipeline["sources"]["transformer"]["num_candidates"]
        if (asked or system in ("netflix", "hybrid")) and "transformer" not in self._sources:
            raise BundleError(
                f"{self.path}: the pipeline (system {system}) asks a transformer, and this release has none; "
                "make one with system netflix or hybrid"
            )
        self.pipeline = pipeline
        self.filters = Filters(self.features.items, pipeline["filters"])
        self.sources = {
            name: source.using(pipeline["history"]) if isinstance(source, Neighbours) else source
            for name, source in self._sources.items()
        }
        self.active = [name for name in SOURCES if pipeline["sources"][name]["num_candidates"]]

    def with_pipeline(self, pipeline: Mapping[str, Any]) -> "Bundle":
        """The same release with other settings; nothing is loaded again."""
        other = copy.copy(self)
        other._use(pipeline)
        return other

    # --- questions ---------------------------------------------------------------------------------------------------

    def recommend(self, user_ids: Iterable[int], k: int | None = None, trace: bool = False) -> Result:
        """Top-k items for known users (dense ids, see `ids`).

        Args:
            k: length of the lists; the pipeline's when None.
            trace: add columns that say how each item came into the list: its place in every source, the fused
                retrieval score, what the ranker expects, whether it fills the exploration slot.

        Raises:
            BundleError: a user is not known; `recommend_for_history` is for them.
        """
        return _joined(list(self.stream(user_ids, k, trace)))

    def stream(self, user_ids: Iterable[int], k: int | None = None, trace: bool = False) -> Iterator[Result]:
        """The same in batches of users, in order of their ids, for more lists than fit in memory."""
        rows = self.features.user_rows(np.unique(np.fromiter(user_ids, dtype=np.int64)))
        batches = self._batches(rows)
        # FAISS's own threads are set for each thread that calls it; one each, as the users are spread over threads.
        with ThreadPoolExecutor(self.threads, initializer=faiss.omp_set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(lambda batch: self._batch(batch[0], batch[1], k, trace), batches)

    def recommend_for_history(
        self,
        item_ids: Sequence[int],
        attributes: Mapping[str, Any] | None = None,
        k: int | None = None,
        trace: bool = False,
    ) -> Result:
        """Top-k items for somebody unknown, who gets user_id -1.

        Args:
            item_ids: what they have watched, oldest first; may be empty.
            attributes: columns of `users` that are known of them, such as age or region.

        Raises:
            BundleError: an item or an attribute is not known.
        """
        return self._batch(self._stranger(item_ids, attributes), np.zeros(1, dtype=np.int64), k, trace)

    def candidates(self, user_id: int, k: int | None = None) -> pa.Table:
        """Every item that was proposed to a known user, and what became of it: why one is in the list and another not.

        Returns:
            One row an item, listed ones first, then by relevance, then by retrieval: item_id; `place_in_<source>`, its
            place from 1 in what each source proposed, 0 where it did not; `removed_by_<filter>`; retrieval, relevance
            (null for what did not come that far); rank in the list of k, 0 for what is not in it.

        Raises:
            BundleError: the user is not known; `candidates_for_history` is for them.
        """
        ((features, rows),) = self._batches(self.features.user_rows(np.array([user_id])))
        return self._fates(features, rows, k)

    def candidates_for_history(
        self, item_ids: Sequence[int], attributes: Mapping[str, Any] | None = None, k: int | None = None
    ) -> pa.Table:
        """The same for somebody unknown; arguments as for `recommend_for_history`."""
        return self._fates(self._stranger(item_ids, attributes), np.zeros(1, dtype=np.int64), k)

    def _stranger(self, item_ids: Sequence[int], attributes: Mapping[str, Any] | None) -> Features:
        """Features of one unknown user, in row 0."""
        items = self.features.items
        items.check(item_ids)
        tables = _visitor(list(item_ids), attributes or {}, items, self.features.users.table.schema)
        return Features(items, Users(tables, items, self.tower))

    def watch(self, user_id: int, item_ids: Sequence[int]) -> None:
        """A known user has watched more since the night; from now on every question about that user takes it in.

        History, seen items and features include it, and the query vector is computed anew. Everyone else keeps what
        they had. It is held in memory, and shared with bundles made by `with_pipeline`.

        Args:
            item_ids: positive watches, oldest first, later than those of earlier calls.

        Raises:
            BundleError: the user or an item is not known; nothing has changed then.
        """
        items, users = self.features.items, self.features.users
        row = int(self.features.user_rows(np.array([user_id]))[0])
        items.check(item_ids)
        since = self._since.get(row)
        tables = since.tables if since else {"users": users.table.slice(row, 1), **self._about(user_id)}
        watched = [*(since.item_ids if since else ()), *map(int, item_ids)]
        features = Features(items, Users(_more(tables, watched, items), items, self.tower))
        self._since[row] = Since(tables, watched, features)

    def _about(self, user_id: int) -> dict[str, pa.Table]:
        """The user's own rows. Read from the files, as nobody else needs these tables once a bundle is loaded."""
        theirs = [("user_id", "==", int(user_id))]
        return {
            name: pq.read_table(self.path / f"{name}.parquet", columns=schema.names, filters=theirs)
            for name, schema in _ABOUT_USERS.items()
        }

    def retrieve(self, source: str, user_ids: Sequence[int], k: int, filtered: bool = True) -> Found:
        """Items and scores `[U, k]` of one source alone, for users in the order given; -1 where it has no more.

        Args:
            filtered: pass them through the pipeline's filters first. Of `towers` come k wherever the filters leave k;
                the other sources give what they have among their best.
        """
        rows = self.features.user_rows(np.asarray(user_ids, dtype=np.int64))
        parts = []
        for features, batch in self._batches(rows):
            users, offsets = features.users, features.users.seen.offsets
            spare = WIDEN * k + int((offsets[batch + 1] - offsets[batch]).max(initial=0)) if filtered else 0
            item_ids, scores = self._find(source, users, batch, min(k + spare, features.items.size))
            gone = _any(self.filters.removals(users, batch, item_ids), item_ids) if filtered else item_ids < 0
            found = _top(item_ids, np.where(gone, -np.inf, scores), k)
            if filtered and source == "towers":
                self._fill(found, users, batch)
            parts.append(found)
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _fill(self, found: Found, users: Users, rows: np.ndarray) -> None:
        """Search the index again for those who got too few items, among all that the filters let each of them see."""
        item_ids, scores = found
        everything = np.arange(self.features.items.size)[None, :]
        for place in np.flatnonzero((item_ids < 0).any(axis=1)):
            row = rows[place : place + 1]
            allowed = ~_any(self.filters.removals(users, row, everything), everything)[0]
            vectors = np.ascontiguousarray(users.vectors(row)[:, 0])
            item_ids[place], scores[place] = (f[0] for f in self.index.search(vectors, item_ids.shape[1], allowed))

    def search(self, vectors: np.ndarray, k: int, allowed: Sequence[int] | np.ndarray | None = None) -> Found:
        """Item ids int64 and scores float32 `[N, k]` of the items nearest to each of `[N, d]` vectors, best first.

        Where there are fewer than k, -1 and -inf fill up. Items that are not in the catalogue never come.

        Args:
            allowed: only these items: bool by item id, or item ids. Then k come wherever k are allowed, which may take
                a longer search than the one that the recall was measured at.

        Raises:
            BundleError: the vectors have another shape.
        """
        size, mask = self.features.items.size, None if allowed is None else np.asarray(allowed)
        if mask is not None and mask.dtype == bool and len(mask) != size:
            raise BundleError(f"the mask has {len(mask):,} places; this release has {size:,} item ids")
        queries = np.ascontiguousarray(vectors, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.features.items.vectors.shape[1]:
            dim = self.features.items.vectors.shape[1]
            raise BundleError(f"vectors have shape {list(queries.shape)}; the index takes [N, {dim}]")
        return self.index.search(queries, k, mask)

    def similar(self, item_id: int, k: int = 10) -> pa.Table:
        """The k items nearest to one by their vectors: item_id, title, score (cosine)."""
        items = self.features.items
        items.check([item_id])
        found, scores = self.index.search(items.vectors[item_id][None, :], k + 1)
        kept = (found[0] != item_id) & (found[0] >= 0)
        chosen = found[0][kept][:k]
        return pa.table({"item_id": chosen, "title": items.titles.take(chosen), "score": scores[0][kept][:k]})

    def ids(self, kind: str, external_ids: Sequence[str]) -> np.ndarray:
        """Dense ids of outside ids; `kind` is user or item. Raises BundleError for one that is not known."""
        known = self.id_map.filter(pc.equal(self.id_map["kind"], kind))
        places = _codes(pa.array(external_ids, pa.string()), known["external_id"].combine_chunks())
        if (places < 0).any():
            raise BundleError(f"{kind} {external_ids[int(np.argmin(places))]!r} is not in the bundle's id map")
        return known["id"].to_numpy()[places]

    # --- the pipeline ------------------------------------------------------------------------------------------------

    def _batches(self, rows: np.ndarray) -> list[tuple[Features, np.ndarray]]:
        """Rows in batches, in their order; who has watched since the night comes alone, with features of their own."""
        since = np.flatnonzero(np.isin(rows, list(self._since)))
        bounds = np.unique([*range(0, len(rows), BATCH), *since, *since + 1, len(rows)])
        parts = [rows[start:end] for start, end in pairwise(bounds)] or [rows]

        def batch(part: np.ndarray) -> tuple[Features, np.ndarray]:
            since = self._since.get(int(part[0])) if len(part) else None
            return (since.features, np.zeros(1, dtype=np.int64)) if since else (self.features, part)

        return [batch(part) for part in parts]

    def _batch(self, features: Features, rows: np.ndarray, k: int | None, trace: bool) -> Result:
        """Retrieve, filter, rank, order for some users."""
        k = self.pipeline["k"] if k is None else k
        if k < 1:
            raise BundleError(f"k is {k}; a list has at least 1 item")
        pool, removals = self._candidates(features.users, rows, k)
        relevance, expected = self._rank(features, rows, pool)
        order = Order(pool.item_ids, relevance, features.items, self.pipeline["order"])
        columns, explored = order.lists(k, self._draws(features.users.ids[rows]))
        lists = Lists(features, rows, pool, columns)
        table = lists.table(relevance, explored)
        for name, column in lists.traces(self.active, expected, explored).to_pydict().items() if trace else ():
            table = table.append_column(name, pa.array(column))
        return Result(table, removals, dict(Counter(table["source"].to_pylist())), len(rows))

    def _fates(self, features: Features, rows: np.ndarray, k: int | None) -> pa.Table:
        """What became of every candidate of one user, see `candidates`."""
        lists = self._lists(features.users, rows)
        pool, _ = self._candidates(features.users, rows, self.pipeline["k"] if k is None else k)
        relevance, _ = self._rank(features, rows, pool)
        listed = self._batch(features, rows, k, trace=False).table["item_id"].to_numpy()
        item_ids = np.unique(np.concatenate([*lists, pool.item_ids], axis=1))
        item_ids = item_ids[item_ids >= 0]

        def of(found: np.ndarray, values: np.ndarray, missing: float) -> np.ndarray:
            """Values that stand beside the ids `found`, for each candidate."""
            spread = np.full(features.items.size + 1, missing, dtype=values.dtype)
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

    def _candidates(self, users: Users, rows: np.ndarray, k: int) -> tuple[Pool, dict[str, int]]:
        """A pool for each user, of at least k items if the catalogue has them."""
        size = max(k, self.pipeline["pool_size"])
        pool, removals = self._pool(users, rows, self._lists(users, rows), size)
        short = np.flatnonzero(np.count_nonzero(pool.item_ids >= 0, axis=1) < k)
        catalogue = self.features.items.by_popularity
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
            settings = self.pipeline["sources"][name]
            k = min(settings["num_candidates"] * widen, self.features.items.size)
            # Few neighbours are cold, so more of them are asked for.
            asked = min(k * WIDEN, self.features.items.size) if settings["items"] == "cold" else k
            lists.append(_top(*self._find(name, users, rows, asked, settings["items"]), k)[0])
        return lists

    def _find(self, source: str, users: Users, rows: np.ndarray, k: int, kind: str = "all") -> Found:
        """What a source finds among known items of a kind: a source may know items that the catalogue does not."""
        item_ids, scores = self.sources[source].find(users, rows, k)
        item_ids = np.where(item_ids < self.features.items.size, item_ids, -1)
        return item_ids, np.where(self.features.items.of_kind(kind)[item_ids], scores, -np.inf)

    def _pool(self, users: Users, rows: np.ndarray, lists: list[np.ndarray], size: int) -> tuple[Pool, dict[str, int]]:
        """Merge, filter, fuse by weighted reciprocal rank, keep the `size` best."""
        item_ids, columns = _union(lists)
        removals = self.filters.removals(users, rows, item_ids)
        kept = (item_ids >= 0) & ~_any(removals, item_ids)
        ranks = np.stack([_ranks(found, kept, c) for found, c in zip(lists, columns, strict=True)])
        # A list beyond the sources is the whole catalogue, which only fills up what they leave empty.
        weights = [self.pipeline["sources"][name]["weight"] for name in self.active] + [1e-6]
        constant = self.pipeline["rank"]["rank_constant"]
        votes = np.array(weights[: len(lists)])[:, None, None] / (constant + ranks)
        votes[ranks == 0] = 0
        retrieval = np.where(kept, votes.sum(axis=0), -np.inf)
        places = np.where(ranks > 0, ranks, 2**30)
        places[len(self.active) :] += len(self.features.items.ids)  # after everything that a source proposed
        source = np.array([*map(SOURCES.index, self.active), SOURCES.index("popularity")])[places.argmin(axis=0)]
        pool = Pool.best(item_ids, retrieval, ranks[: len(self.active)], source, size)
        return pool, {reason: int(np.count_nonzero(gone)) for reason, gone in removals.items()}

    def _rank(self, features: Features, rows: np.ndarray, pool: Pool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Relevance `[N, C]`, 1 for a user's best, and what it was made of (models that are switched off say nothing).

        `fusion` and `youtube`: the weighted geometric mean of the fused retrieval score, which is made of ranks, and
        the ranker's, which is made of calibrated probabilities: neither has outliers, so products need no more.
        `netflix` and `hybrid`: the weighted mean of scores that have no common scale, and so are standardised over the
        user's candidates first.
        """
        settings, system = self.pipeline["rank"], self.pipeline["system"]
        if system in ("fusion", "youtube"):
            share = settings["ranker_weight" if system == "fusion" else "watch_time_weight"]
            said = self.ranker.predict(features.pairs(rows, pool.item_ids)) if share > 0 else {}
            blend = (1 - share) * np.log(np.maximum(pool.retrieval, TINY))
            if share > 0 and system == "fusion":
                blend += share * self.ranker.score(said, settings)
            elif share > 0:
                blend += share * np.log(np.maximum(said["watch_seconds"], TINY))
        else:
            shares = _shares(system, settings)
            said = self._scores(features, rows, pool.item_ids, [name for name, share in shares.items() if share > 0])
            kept = pool.item_ids >= 0
            # 0 where nothing is asked: then the order of the sources decides.
            blend = sum((share * _standard(said[name], kept) for name, share in shares.items() if share > 0), 0.0)
            blend = blend + TINY * _standard(pool.retrieval, kept)
        blend[pool.item_ids < 0] = -np.inf
        return np.exp(blend - blend.max(axis=1, initial=np.log(TINY), keepdims=True)), said

    def _scores(
        self, features: Features, rows: np.ndarray, item_ids: np.ndarray, wanted: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """What each model that is wanted says of candidates `[N, C]`."""
        said: dict[str, np.ndarray] = {}
        for name in wanted:
            if name == "engagement_score":
                expected = self.ranker.predict(features.pairs(rows, item_ids))
                said |= expected | {name: self.ranker.score(expected, self.pipeline["rank"])}
            else:
                source = self.sources[name.removesuffix("_score")]
                assert isinstance(source, Factors | Foundation)
                said[name] = source.scores(features.users, rows, item_ids)
        return said

    def _draws(self, user_ids: np.ndarray) -> np.ndarray:
        """A number from [0, 1) for each user; the same one all day."""
        seed = self.pipeline["order"]["exploration_seed"] + self.features.items.moment
        return (_scatter(_scatter(user_ids, 3), seed) >> np.uint64(11)) / 2.0**53


def _shares(system: str, settings: Mapping[str, float]) -> dict[str, float]:
    """Weight of each model's score in a system's; together 1."""
    if system == "netflix":
        share = settings["foundation_weight"]
        return {"transformer_score": share, "als_score": 1 - share}
    cf, engagement = settings["cf_weight"], settings["engagement_weight"]
    own = (1 - cf) * (1 - engagement)
    return {"transformer_score": own, "engagement_score": (1 - cf) * engagement, "als_score": cf}


def _standard(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Values `[N, C]` less the mean of each row's kept ones, over their standard deviation; 0 elsewhere."""
    count = np.maximum(np.count_nonzero(kept, axis=1, keepdims=True), 1)
    values = np.where(kept, values, 0).astype(np.float64)
    centred = np.where(kept, values - values.sum(axis=1, keepdims=True) / count, 0)
    deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
    return centred / np.maximum(deviation, TINY)


def _any(removals: Mapping[str, np.ndarray], item_ids: np.ndarray) -> np.ndarray:
    return np.logical_or.reduce([np.zeros(item_ids.shape, dtype=bool), *removals.values()])


def _joined(results: Sequence[Result]) -> Result:
    removals, sources = Counter[str](), Counter[str]()
    for result in results:
        removals.update(result.removals)
        sources.update(result.sources)
    tables = pa.concat_tables([result.table for result in results])
    return Result(tables, dict(removals), dict(sources), sum(result.num_users for result in results))


def _visitor(history: list[int], attributes: Mapping[str, Any], items: Items, schema: pa.Schema) -> dict[str, pa.Table]:
    """Tables about one unknown user, whose features are those that the window would give for such a history."""
    unknown = set(attributes) - set(schema.names) - {"user_id"}
    if unknown:
        raise BundleError(f"attribute {min(unknown)!r} is not known; there are {schema.names[1:]}")
    user = {**dict.fromkeys(schema.names), **attributes, "user_id": -1}
    nobody = {name: table.empty_table() for name, table in _ABOUT_USERS.items()}
    try:
        users = pa.Table.from_pylist([user], schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise BundleError(f"an attribute does not fit its column: {error}") from error
    return _more({"users": users, **nobody}, history, items)


def _more(tables: Mapping[str, pa.Table], item_ids: list[int], items: Items) -> dict[str, pa.Table]:
    """Tables about one user who has watched more, oldest first; features are those that the window would give.

    New watches count as positive ones of today, of mean completion. Genres beyond the five that a row keeps are lost.
    """
    if not item_ids:
        return dict(tables)
    user_id = tables["users"]["user_id"][0].as_py()
    before = [{n: v for n, v in row.items() if v is not None} for row in tables["user_features"].to_pylist()]
    past: dict[str, Any] = {**dict.fromkeys(_ABOUT_USERS["user_features"].names, 0), **(before[0] if before else {})}
    watches, new = past["num_watches"], len(item_ids)
    genres = items.genres[item_ids].sum(axis=0)
    codes = _codes(pa.array(past["top_genres"] or [], pa.string()), items.genre_names)
    shares = np.array(past["top_genre_shares"] or [])
    genres[codes[codes >= 0]] += np.rint(shares * watches).astype(np.int64)[codes >= 0]
    top = [int(g) for g in np.argsort(-genres, kind="stable")[:5] if genres[g] > 0]
    completion = items.counts["mean_completion"]
    features = {
        "user_id": user_id, "num_watches": watches + new, "num_positives": past["num_positives"] + new,
        "num_impressions": past["num_impressions"], "days_active": past["days_active"] + 1, "recency_days": 0.0,
        "watch_s": past["watch_s"] + float((items.duration_s * completion)[item_ids].sum()),
        "mean_completion": (past["mean_completion"] * watches + float(completion[-1]) * new) / (watches + new),
        "top_genres": [items.genre_names[g].as_py() for g in top],
        "top_genre_shares": [float(genres[g] / (watches + new)) for g in top],
    }  # fmt: skip
    watched, seen, words = (pc.list_flatten(tables["histories"][n]).to_pylist() for n in ("item_ids", "seen", SEARCHED))
    history = {"user_id": user_id, "item_ids": [*watched, *item_ids], "seen": sorted({*seen, *item_ids})}
    history[SEARCHED] = words
    rows = {"histories": history, "user_features": features}
    return {**tables, **{n: pa.Table.from_pylist([row], schema=_ABOUT_USERS[n]) for n, row in rows.items()}}


_ABOUT_USERS = {
    "histories": pa.schema(
        [("user_id", pa.int32()), (SEARCHED, pa.list_(pa.string()))]
        + [(name, pa.list_(pa.int32())) for name in ("item_ids", "seen")]
    ),
    "user_features": pa.schema(
        [(n, pa.int32()) for n in ("user_id", "num_watches", "num_positives", "num_impressions", "days_active")]
        + [(name, pa.float32()) for name in ("watch_s", "mean_completion", "recency_days")]
        + [("top_genres", pa.list_(pa.string())), ("top_genre_shares", pa.list_(pa.float32()))]
    ),
    "exposures": pa.schema([(name, pa.int32()) for name in ("user_id", "item_id", "num_shown", "num_watched")]),
}
"""Columns of the tables about users that serving reads."""


class Lists:
    """The lists of some users, being turned into rows with reasons for people."""

    def __init__(self, features: Features, rows: np.ndarray, pool: Pool, columns: np.ndarray) -> None:
        """`columns` are the pool's columns `[N, k]` in order, -1 at the end of short lists."""
        self.features, self.pool = features, pool
        self.user, self.slot = np.nonzero(columns >= 0)
        self.column = columns[self.user, self.slot]
        self.rows = rows[self.user]
        self.item_ids = pool.item_ids[self.user, self.column]
        self.sources = pa.array(SOURCES).take(pa.array(pool.source[self.user, self.column]))

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
        cases = (
            (explored, "something different"),
            (continues, told("next after ", before, "")),
            (self._is("popularity"), "popular now"),
            (items.is_fresh(7)[self.item_ids], "new this week"),
            (has_history & self._is("als"), told("like others who watched ", watched, "")),
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
