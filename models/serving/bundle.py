"""The runtime of a release: retrieve, filter, rank, order.

This one file is copied verbatim into every bundle. It needs numpy, pyarrow, faiss and onnxruntime, and nothing of
Nightjar: what was judged in the night is what a consumer serves.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pyarrow.compute as pc


def encode(table: pa.Table, fields: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Turn rows into model inputs; training and serving both call this, so they cannot disagree.

    Args:
        table: N rows of users or items.
        fields: one mapping a field, as in `encoders.json`: `name` (of the input), `column`, `kind`, and for
            `category` and `bag` the `vocabulary` (index = place + 1; 0 is unknown or missing), for `bag` the `length`
            it is cut or padded to, for `number` its `mean`, `std` and `transform` (`none` or `log1p`), for `vector`
            the `length` that all its rows have.

    Returns:
        name -> int64 `[N]` (category), int64 `[N, length]` (bag), float32 `[N]` (number, 0 where missing) or
        float32 `[N, length]` (vector, zeros where missing).
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
    if field["transform"] == "log1p":
        numbers = np.log1p(np.maximum(numbers, 0))
    return np.nan_to_num((numbers - field["mean"]) / field["std"], nan=0.0).astype(np.float32)


def _encode_vector(values: pa.ListArray, field: Mapping[str, Any]) -> np.ndarray:
    encoded = np.zeros((len(values), field["length"]), dtype=np.float32)
    present = values.is_valid().to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(values).to_numpy(zero_copy_only=False)
    encoded[present] = np.nan_to_num(flat.reshape(-1, field["length"]), nan=0.0)
    return encoded


_ENCODE = {"category": _encode_category, "bag": _encode_bag, "number": _encode_number, "vector": _encode_vector}


class BundleError(ValueError):
    """A bundle that must not be used, or a question that it cannot answer; the message names the thing."""


# Shapes: U users, N rows, C candidates a row, I items, d vector size, F features, H history length.
# Item ids are dense, so arrays about items are indexed by id; each has one spare row at the end, which id -1 ("no
# item", the padding everywhere below) reads.

DAY_S = 86_400
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


class Ragged:
    """One list of item ids a row: the values of row r are `values[offsets[r]:offsets[r + 1]]`."""

    def __init__(self, lists: pa.ChunkedArray, rows: np.ndarray, num_rows: int) -> None:
        """`lists[i]` belongs to `rows[i]`; a row of -1 is dropped, rows without a list stay empty."""
        order = np.argsort(rows, kind="stable")[np.count_nonzero(rows < 0) :]
        ordered = lists.combine_chunks().take(pa.array(order))
        lengths = np.zeros(num_rows + 1, dtype=np.int64)
        lengths[rows[order] + 1] = pc.list_value_length(ordered).fill_null(0).to_numpy()
        self.offsets = np.cumsum(lengths)
        self.values = pc.list_flatten(ordered).to_numpy()

    def rows(self) -> np.ndarray:
        """The row of every value."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def last(self, rows: np.ndarray, length: int) -> np.ndarray:
        """int64 `[N, length]`: the last values of each row, newest last, padded with -1 on the left."""
        places = self.offsets[rows + 1][:, None] + np.arange(-length, 0)
        found = places >= self.offsets[rows][:, None]
        padded = np.append(self.values, -1)
        return np.where(found, padded[np.where(found, places, -1)], -1).astype(np.int64)


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
        keys = self._key(rows, columns)
        places = np.searchsorted(self.keys, keys)
        return self.values[np.where(self.keys[places] == keys, places, -1)]


class UserTower:
    """The query tower: users and their histories to vectors, exactly as in training."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.fields = json.loads((folder / "encoders.json").read_text())
        self.session = _session(folder / "user_tower.onnx", threads)

    @property
    def history_length(self) -> int:
        return int(self.fields["history_length"])

    def vectors(self, users: pa.Table, histories: np.ndarray) -> np.ndarray:
        """float32 `[N, d]` of N rows of users and their histories (item ids `[N, H]`, newest last, -1 padded)."""
        inputs = encode(users, self.fields["user"]) | {"history": histories + 1}
        return _run(self.session, inputs, ["user_vector"])[0]


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
        self.table = items
        self.ids = items["item_id"].to_numpy()
        self.size = int(self.ids.max()) + 1
        self.moment = moment_s(date)
        self.known = self._spread(self.ids, np.ones(len(self.ids), dtype=bool), False)
        vectors = _matrix(embeddings["vector"])
        self.vectors = self._spread(embeddings["item_id"].to_numpy(), vectors, 0.0)
        self._describe(items)
        self._count(item_features)
        self.numbers = self._numbers()

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
        self.duration_s = self._spread(self.ids, _floats(place["duration_s"]), 0.0)
        self.uploaded_s = self._spread(self.ids, np.nan_to_num(_seconds(place["uploaded_at"])), 0.0)
        self.until_s = self._spread(self.ids, np.nan_to_num(_seconds(place["available_until"]), nan=np.inf), np.inf)
        kind = place["content_type"].fill_null("")
        self.is_episode = self._spread(self.ids, pc.equal(kind, "episode").to_numpy(), False)
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


def _maturity(ratings: pa.ChunkedArray) -> np.ndarray:
    """Youngest age allowed: `all` and missing are 0."""
    return _floats(pc.if_else(pc.equal(ratings, "all"), "0", ratings))


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
        rows = self.rows(tables["histories"]["user_id"].to_numpy(), strict=False)
        self.history = Ragged(tables["histories"]["item_ids"], rows, len(self.ids))
        self.history.values = np.where(self.history.values < items.size, self.history.values, -1).astype(np.int64)
        self.seen = Ragged(tables["histories"]["seen"], rows, len(self.ids))
        self._watched(self.history.rows(), self.history.values)
        self._shown(tables["exposures"])
        self.numbers = self._numbers(tables["user_features"])
        self.genre_shares = self._genre_shares(tables["user_features"])
        self._ready = np.zeros(len(self.ids), dtype=bool)
        self._vectors = np.zeros((len(self.ids), 2, items.vectors.shape[1]), dtype=np.float32)

    def rows(self, user_ids: np.ndarray, strict: bool = True) -> np.ndarray:
        """Rows of user ids. Raises BundleError for one that is not known; -1 for it when not `strict`."""
        rows = np.minimum(np.searchsorted(self.ids, user_ids), len(self.ids) - 1)
        known = self.ids[rows] == user_ids
        if strict and not known.all():
            raise BundleError(f"user {np.asarray(user_ids)[~known][0]} is not among the {len(self.ids):,} known users")
        return np.where(known, rows, -1)

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
            values = np.full(len(self.ids) + 1, missing)
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

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """float32 `[N, 2, d]`: tower vector and mean of the last history items; made once a user, when first asked."""
        missing = np.unique(rows[~self._ready[rows]])
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            histories = self.history.last(block, self.tower.history_length)
            self._vectors[block, 0] = self.tower.vectors(self.table.take(pa.array(block)), histories)
            last = self.history.last(block, PROFILE)
            total = self.items.vectors[last].sum(axis=1)
            self._vectors[block, 1] = total / np.maximum(np.count_nonzero(last >= 0, axis=1), 1)[:, None]
            self._ready[block] = True
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

        All but `embeddings` must hold nothing later than the end of the day `date` (ISO).
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
                serving all are asked for as if shown first, so that the ranker does not score the place.
        """
        candidates = item_ids.reshape(len(item_ids), -1)
        shown_at = np.ones(candidates.shape) if position is None else position.reshape(candidates.shape)
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
