"""What an impression led to: watched or not, for how long, to the end or not.

Shapes: N impressions, M watches.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import pyarrow as pa

from expectations.substitutes import Substitute
from models.ranking.config import RankerConfig
from models.runtime.arrays import places_of

IMPRESSION_COLUMNS = ["request_id", "position", "user_id", "item_id", "propensity"]
WATCH_COLUMNS = ["request_id", "user_id", "item_id", "watch_s", "completion", "positive"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Who was shown what, and what came of it; arrays of one length.

    Attributes:
        position: place on the page, from 1; 0 where there was none.
        click: 1 where the impression led to a watch.
        watch_s: seconds watched, 0 without a watch.
        completed: 1 where the watch reached the completion threshold, NaN without a watch or where it is not known.
        weight: how much the row counts in every loss.
    """

    user_id: np.ndarray
    item_id: np.ndarray
    position: np.ndarray
    click: np.ndarray
    watch_s: np.ndarray
    completed: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.user_id)

    def take(self, chosen: np.ndarray) -> Self:
        """The chosen rows: a mask or places."""
        return type(self)(*(getattr(self, f.name)[chosen] for f in fields(self)))

    @classmethod
    def concat(cls, parts: Iterable["Rows"]) -> "Rows":
        """All rows of all parts, in their order."""
        parts = list(parts)
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


class WatchLog:
    """Watches by the impression that they came from, to be looked up many at a time."""

    def __init__(self, watches: pa.Table, config: RankerConfig) -> None:
        """Several watches of one impression count as one: seconds add up, the furthest completion counts."""
        watches = watches.filter(watches["request_id"].is_valid())
        self.requests = np.unique(watches["request_id"].to_numpy())
        self.keys, first_M = np.unique(self._keys(watches), return_inverse=True)
        seconds_M = known_seconds(watches["watch_s"], config.max_watch_s)
        total = np.bincount(first_M, weights=seconds_M, minlength=len(self.keys))
        self.watch_s = np.minimum(total, config.max_watch_s).astype(np.float32)
        self.completion = np.full(len(self.keys), np.nan, dtype=np.float32)
        np.fmax.at(self.completion, first_M, watches["completion"].to_numpy())

    def _keys(self, shown: pa.Table) -> np.ndarray:
        """One int64 for (request, item); -1 where the request has no watch."""
        request_ids = shown["request_id"].to_numpy()
        if len(self.requests) == 0:
            return np.full(len(request_ids), -1)
        places = places_of(self.requests, request_ids)
        return np.where(places >= 0, places * 2**32 + shown["item_id"].to_numpy(), -1)

    def find(self, impressions: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Whether each impression led to a watch, its seconds (0 without), its completion (NaN without)."""
        keys = self._keys(impressions)
        if len(self.keys) == 0:
            return keys >= 0, np.zeros(len(keys), np.float32), np.full(len(keys), np.nan, np.float32)
        places = places_of(self.keys, keys)
        found = places >= 0
        return found, np.where(found, self.watch_s[places], 0), np.where(found, self.completion[places], np.nan)


def known_seconds(watch_s: pa.ChunkedArray, max_watch_s: float) -> np.ndarray:
    """Seconds of every watch, at most `max_watch_s`; a watch of unknown length counts as the mean of the known ones,
    and as 1 where none is known, which makes expected seconds an expected number of watches."""
    seconds = np.minimum(watch_s.to_numpy().astype(np.float64), max_watch_s)
    known = ~np.isnan(seconds)
    return np.where(known, seconds, seconds[known].mean() if known.any() else 1.0)


def label_impressions(impressions: pa.Table, watches: WatchLog, config: RankerConfig) -> Rows:
    """Rows of one day's impressions, in their order."""
    click, watch_s, completion = watches.find(impressions)
    propensity = np.maximum(impressions["propensity"].to_numpy(), np.float32(config.min_propensity))
    return Rows(
        user_id=impressions["user_id"].to_numpy(),
        item_id=impressions["item_id"].to_numpy(),
        position=impressions["position"].to_numpy(),
        click=click.astype(np.float32),
        watch_s=watch_s.astype(np.float32),
        completed=completed(completion, config.completion_threshold),
        weight=1 / propensity if config.inverse_propensity else np.ones(len(click), dtype=np.float32),
    )


def completed(completion_N: np.ndarray, threshold: float) -> np.ndarray:
    """1 from the threshold on, 0 below, NaN where completion is."""
    return np.where(np.isnan(completion_N), np.nan, completion_N >= threshold).astype(np.float32)


def sample_requests(request_ids: np.ndarray, share: float, seed: int) -> np.ndarray:
    """bool `[N]`: about `share` of the requests, whole, chosen by a hash of their id alone (splitmix64)."""
    if share >= 1:
        return np.ones(len(request_ids), dtype=bool)
    hashed = request_ids.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashed = (hashed ^ (hashed >> np.uint64(shift))) * np.uint64(factor)
    hashed ^= hashed >> np.uint64(31)
    return hashed < np.uint64(int(share * 2**64))


def substitutes(watches: pa.Table, has_impressions: bool, config: RankerConfig) -> list[Substitute]:
    """What stands in for what the log does not say."""
    found = []
    if not has_impressions:
        name = "negatives_by_popularity" if config.negatives == "popularity" else "negatives_uniform"
        found.append(Substitute(name, {"num_negatives": config.num_negatives}))
    unknown = watches["watch_s"].null_count
    if unknown == len(watches):
        found.append(Substitute("watches_for_seconds"))
    elif unknown:
        found.append(Substitute("mean_watch_time", {"count": unknown, "total": len(watches)}))
    if watches["completion"].null_count == len(watches):
        found.append(Substitute("even_completion"))
    return found
