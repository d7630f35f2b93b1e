"""What is known of items."""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .arrays import codes_in, floats, matrix, seconds, vocabulary_of
from .errors import BundleError

DAY_S = 86_400
TIERS = ("free", "basic", "premium")
ITEM_FEATURES = (
    "item_log_duration_s", "item_log_age_days", "item_log_watches", "item_log_recent_watches", "item_log_impressions",
    "item_watch_rate", "item_log_watch_s", "item_mean_completion", "item_is_cold", "item_is_episode", "item_is_clip",
    "item_maturity",
)  # fmt: skip


def moment_s(date: str) -> int:
    """Seconds since 1970 at the end of a day: what happened on it is known, the next day is not."""
    return int(np.datetime64(date, "s").astype(np.int64)) + DAY_S


class Items:
    """What is known of every item at one moment, as arrays by item id."""

    def __init__(self, items: pa.Table, item_features: pa.Table, embeddings: pa.Table, date: str) -> None:
        items = items.sort_by("item_id")
        self.ids = items["item_id"].to_numpy()
        self.size = int(self.ids.max()) + 1
        self.moment = moment_s(date)
        self.known = self.spread(self.ids, np.ones(len(self.ids), dtype=bool), False)
        self.titles = self._titles(items["title"])
        vectors = matrix(embeddings["vector"])
        self.vectors = self.spread(embeddings["item_id"].to_numpy(), vectors, 0.0)
        self._describe(items)
        self._count(item_features)
        self.numbers = self._numbers()
        self._variety: dict[float, np.ndarray] = {}

    def spread(self, ids: np.ndarray, values: np.ndarray, missing: Any) -> np.ndarray:
        """Values by id, `missing` where an id has none; ids that the catalogue lacks are dropped."""
        spread = np.full((self.size + 1, *values.shape[1:]), missing, dtype=values.dtype)
        kept = ids < self.size
        spread[ids[kept]] = values[kept]
        return spread

    def _describe(self, items: pa.Table) -> None:
        """Codes and times of the catalogue."""
        place = {name: items[name] for name in items.column_names}

        def codes(name: str) -> np.ndarray:
            return self.spread(self.ids, codes_in(place[name], vocabulary_of(place[name])), -1)

        self.series, self.creator, self.language = codes("series_id"), codes("creator_id"), codes("language")
        self.maturity = self.spread(self.ids, _maturity(place["maturity_rating"]), 0.0)
        self.duration_s = self.spread(self.ids, np.maximum(floats(place["duration_s"]), 0), 0.0)
        self.uploaded_s = self.spread(self.ids, np.nan_to_num(seconds(place["uploaded_at"])), 0.0)
        self.until_s = self.spread(self.ids, np.nan_to_num(seconds(place["available_until"]), nan=np.inf), np.inf)
        kind = place["content_type"].fill_null("")
        self.is_episode = self.spread(self.ids, pc.equal(kind, "episode").to_numpy(), False)
        self.tier = self.spread(self.ids, np.maximum(codes_in(place["content_tier"], pa.array(TIERS)), 0), 0)
        self.region_names = vocabulary_of(pc.list_flatten(place["available_regions"]))
        regions = _multi_hot(place["available_regions"], self.region_names)
        everywhere = place["available_regions"].is_null().to_numpy()[:, None]
        # The last column, which region -1 reads, is for users whose region is not known.
        self.regions = self.spread(self.ids, np.hstack([regions | everywhere, everywhere]), False)
        self.is_clip = self.spread(self.ids, pc.equal(kind, "clip").to_numpy(), False)
        self.genre_names = vocabulary_of(pc.list_flatten(place["genres"]))
        self.genres = self.spread(self.ids, _multi_hot(place["genres"], self.genre_names), False)
        self.primary_genre = self.spread(self.ids, _first(place["genres"], self.genre_names), -1)
        self.previous = self._previous_episodes(items)

    def _previous_episodes(self, items: pa.Table) -> np.ndarray:
        """The episode before each episode of a series; -1 for first episodes and everything else."""
        season, episode = floats(items["season"]), floats(items["episode"])
        series = self.series[self.ids]
        order = np.lexsort((episode, season, series))
        follows = (series[order][1:] == series[order][:-1]) & (series[order][1:] >= 0)
        previous = np.full(len(order), -1, dtype=np.int64)
        previous[order[1:][follows]] = self.ids[order[:-1][follows]]
        return self.spread(self.ids, previous, -1)

    def _count(self, features: pa.Table) -> None:
        """What the window says; an item that it does not mention gets the mean of rates and 0 of counts."""
        ids = features["item_id"].to_numpy()
        weight = floats(features["num_watches"])
        self.counts: dict[str, np.ndarray] = {}
        for name in ("num_watches", "num_positives", "num_impressions", "recent_watches"):
            self.counts[name] = self.spread(ids, floats(features[name]), 0.0)
        for name in ("watch_rate", "watch_s", "mean_completion"):
            values = floats(features[name])
            mean = float(np.average(values, weights=weight)) if weight.sum() > 0 else 0.0
            self.counts[name] = self.spread(ids, values, mean)
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
        places = self.spread(self.ids, np.arange(len(self.ids)), -1)[:-1]
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
    return floats(pc.if_else(pc.equal(ratings, "all"), "0", pc.if_else(known, ratings, "18")))


def _first(lists: pa.ChunkedArray, vocabulary: pa.Array) -> np.ndarray:
    """int `[N]`: place in the vocabulary of each list's first word, -1 where there is none."""
    places = np.full(len(lists), -1)
    firsts = pc.list_slice(lists, 0, 1).combine_chunks()
    places[pc.list_parent_indices(firsts).to_numpy()] = codes_in(pc.list_flatten(firsts), vocabulary)
    return places


def _multi_hot(lists: pa.ChunkedArray, vocabulary: pa.Array) -> np.ndarray:
    """bool `[N, vocabulary]`: which words each list has."""
    hot = np.zeros((len(lists), len(vocabulary)), dtype=bool)
    flat = lists.combine_chunks()
    hot[pc.list_parent_indices(flat).to_numpy(), codes_in(pc.list_flatten(flat), vocabulary)] = True
    return hot
