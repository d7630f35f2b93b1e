"""The ranker's training set: labelled rows with features as of the day before the first of them.

Shapes: N rows, F features.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from expectations.errors import Failure
from models.ranking.config import RankerConfig
from models.ranking.labels import Rows, WatchLog, label_impressions, sample_requests
from models.ranking.negatives import NegativeSampler, pair_keys, positive_rows, with_negatives
from models.runtime.arrays import places_of
from models.runtime.features import PAIR_FEATURES, Features

SHOWN = PAIR_FEATURES.index("log_times_shown")
TOWER_SCORE = PAIR_FEATURES.index("tower_score")
NOT_WATCHED = PAIR_FEATURES.index("log_times_shown_not_watched")


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows and their raw features, float32 `[N, F]`, NaN where training must not know them."""

    rows: Rows
    features: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def concat(cls, parts: Sequence["Examples"]) -> "Examples":
        """All examples of all parts, in their order."""
        return cls(Rows.concat(p.rows for p in parts), np.concatenate([p.features for p in parts]))

    def filled(self, typical_F: np.ndarray) -> "Examples":
        """The same, in place, with typical values for those that are hidden."""
        for column in np.flatnonzero(np.isnan(self.features).any(axis=0)):
            hidden = np.isnan(self.features[:, column])
            self.features[hidden, column] = typical_F[column]
        return self


class RollingExposures:
    """What was shown on the days of the training set so far, to be added to features as of the day before them.

    A row of one day then knows what earlier days showed, as at serving, and nothing of its own day.
    """

    def __init__(self) -> None:
        self.keys = np.empty(0, dtype=np.int64)
        self.counts = np.empty((0, 2))

    def add(self, rows: Rows) -> None:
        """Count one day's impressions, and those of them that were not watched."""
        keys = np.concatenate([self.keys, pair_keys(rows.user_id, rows.item_id)])
        counts = np.concatenate([self.counts, np.stack([np.ones(len(rows)), 1 - rows.click], axis=1)])
        self.keys, places = np.unique(keys, return_inverse=True)
        self.counts = np.stack([np.bincount(places, weights=column) for column in counts.T], axis=1)

    def apply(self, rows: Rows, features_NF: np.ndarray) -> None:
        """Raise the two logarithmic counts in place."""
        if len(self.keys) == 0:
            return
        places = places_of(self.keys, pair_keys(rows.user_id, rows.item_id))
        found_N = np.flatnonzero(places >= 0)
        for column, counts in zip((SHOWN, NOT_WATCHED), self.counts.T, strict=True):
            features_NF[found_N, column] = np.log1p(np.expm1(features_NF[found_N, column]) + counts[places[found_N]])


def from_impressions(
    impressions: Iterable[pa.Table], num_impressions: int, watches: pa.Table, features: Features, config: RankerConfig
) -> list[Examples]:
    """Examples of every day, from what was shown and what came of it.

    Args:
        impressions: one table a day, in order; read one at a time.
        num_impressions: rows of all of them.
        watches: those days' watches.
        features: as of the day before the first of them.
    """
    log = WatchLog(watches, config)
    share = config.max_examples / max(num_impressions, 1)
    rolling = RollingExposures()
    days = []
    for day in impressions:
        shown = label_impressions(day, log, config)
        chosen = shown.take(sample_requests(day["request_id"].to_numpy(), share, config.seed))
        examples = featurise(chosen, features)
        if config.roll_exposures:
            rolling.apply(examples.rows, examples.features)
            rolling.add(shown)
        days.append(examples)
    return days


def from_positives(watches: Sequence[pa.Table], features: Features, config: RankerConfig) -> list[Examples]:
    """Examples of every day, from its positives and items drawn in place of what was shown.

    Args:
        watches: one table a day, in order.
        features: as of the day before the first of them.
    """
    sampler = _sampler(watches, features, config)
    days = positive_rows(list(watches), config)
    share = config.max_examples / max((1 + config.num_negatives) * sum(map(len, days)), 1)
    rng = np.random.default_rng(config.seed)
    examples = []
    for positives in days:
        chosen = positives.take(rng.random(len(positives)) < share)
        examples.append(featurise(with_negatives(chosen, sampler, config, rng), features))
    return examples


def _sampler(watches: Sequence[pa.Table], features: Features, config: RankerConfig) -> NegativeSampler:
    items, seen = features.items, features.users.seen
    watched = [pair_keys(day["user_id"].to_numpy(), day["item_id"].to_numpy()) for day in watches]
    watched.append(pair_keys(features.users.ids[seen.rows()], seen.values))
    popularity = items.counts["num_positives"][items.ids] if config.negatives == "popularity" else None
    return NegativeSampler(items.ids, popularity, np.concatenate(watched))


def featurise(rows: Rows, features: Features) -> Examples:
    """Add features; rows about users or items that the catalogue lacks are dropped."""
    user_rows = features.users.rows(rows.user_id, strict=False)
    known = (user_rows >= 0) & features.items.known[np.minimum(rows.item_id, features.items.size)]
    rows, user_rows = rows.take(known), user_rows[known]
    pairs = features.pairs(user_rows, rows.item_id, rows.position)
    broken = [name for name, column in zip(PAIR_FEATURES, pairs.T, strict=True) if not np.isfinite(column).all()]
    if broken:
        raise Failure(
            f"the ranker's features {', '.join(broken)} have values that are no numbers: look for NaN in the tables "
            "that they are made of (models/runtime/features.py says which)"
        )
    return Examples(rows, pairs)


def hide_tower_score(examples: Examples) -> None:
    """Hide the score of the towers, in place, on days that the towers were trained on.

    There it knows the answers: within users its AUC on made data was 0.59 on such days and 0.54 on later ones. A
    ranker that learns from it trusts it too much, and ranks worse than one without.
    """
    examples.features[:, TOWER_SCORE] = np.nan


def split_by_time(days: Sequence[Examples], validation_days: int) -> tuple[Examples, Examples]:
    """Training examples, and those of the last days, held out. None are held out when all days would be."""
    filled = [day for day in days if len(day)]
    held_out = validation_days if len(filled) > validation_days else 0
    cut = len(filled) - held_out
    nothing = [Examples(day.rows.take(np.arange(0)), day.features[:0]) for day in days[:1]]
    return Examples.concat(filled[:cut] or nothing), Examples.concat(filled[cut:] or nothing)
