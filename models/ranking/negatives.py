"""Rows for logs that do not say what was shown: positives beside items drawn as if they had been.

Shapes: N users to draw for, I items.
"""

import numpy as np
import pyarrow as pa

from models.ranking.config import RankerConfig
from models.ranking.labels import Rows, completed, known_seconds

POPULARITY_EXPONENT = 0.75
DRAWS = 10


class NegativeSampler:
    """Draws items that a user has not watched: uniformly, or by popularity to the power 0.75 (Mikolov et al. 2013,
    "Distributed Representations of Words and Phrases and their Compositionality", NeurIPS)."""

    def __init__(self, item_ids: np.ndarray, popularity: np.ndarray | None, watched: np.ndarray) -> None:
        """
        Args:
            item_ids: `[I]`, what can be drawn.
            popularity: `[I]`, their numbers of positives; None draws uniformly.
            watched: keys of the (user, item) pairs that are never drawn, from `pair_keys`.
        """
        weights = np.ones(len(item_ids)) if popularity is None else (popularity + 1.0) ** POPULARITY_EXPONENT
        self.item_ids = item_ids
        self.cumulative = np.cumsum(weights) / weights.sum()
        self.watched = np.append(np.unique(watched), np.iinfo(np.int64).max)

    def draw(self, user_ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`[N]`: one item a user; -1 for the few who have watched all that `DRAWS` draws gave them."""
        drawn = np.full(len(user_ids), -1, dtype=np.int64)
        left = np.arange(len(user_ids))
        for _ in range(DRAWS):
            places = np.searchsorted(self.cumulative, rng.random(len(left)), side="right")
            item_ids = self.item_ids[np.minimum(places, len(self.item_ids) - 1)]
            keys = pair_keys(user_ids[left], item_ids)
            fresh = self.watched[np.searchsorted(self.watched, keys)] != keys
            drawn[left[fresh]] = item_ids[fresh]
            left = left[~fresh]
        return drawn


def pair_keys(user_ids: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
    """One int64 for each (user, item)."""
    return user_ids.astype(np.int64) * 2**31 + item_ids


def positive_rows(watches: list[pa.Table], config: RankerConfig) -> list[Rows]:
    """Rows of every day's positives; what is not known of one is filled from all of them."""
    together = pa.concat_tables(watches)
    positive = together["positive"].to_numpy()
    day = np.repeat(np.arange(len(watches)), [len(table) for table in watches])[positive]
    ones = np.ones(len(day), dtype=np.float32)
    rows = Rows(
        user_id=together["user_id"].to_numpy()[positive],
        item_id=together["item_id"].to_numpy()[positive],
        position=(0 * ones).astype(np.int16),
        click=ones,
        watch_s=known_seconds(together["watch_s"], config.max_watch_s)[positive].astype(np.float32),
        completed=completed(together["completion"].to_numpy()[positive], config.completion_threshold),
        weight=ones,
    )
    return [rows.take(day == number) for number in range(len(watches))]


def with_negatives(positives: Rows, sampler: NegativeSampler, config: RankerConfig, rng: np.random.Generator) -> Rows:
    """The positives, then `config.num_negatives` drawn items for each, not watched."""
    user_id = np.repeat(positives.user_id, config.num_negatives)
    item_id = sampler.draw(user_id, rng)
    user_id, item_id = user_id[item_id >= 0], item_id[item_id >= 0]
    zeros = np.zeros(len(user_id), dtype=np.float32)
    negatives = Rows(
        user_id=user_id,
        item_id=item_id.astype(np.int32),
        position=zeros.astype(np.int16),
        click=zeros,
        watch_s=zeros,
        completed=zeros * np.nan,
        weight=zeros + 1,
    )
    return Rows.concat([positives, negatives])
