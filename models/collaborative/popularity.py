"""Items by how many interactions they have had: the baseline, and what every model can say to a stranger."""

from pathlib import Path
from typing import Self

import numpy as np

from models.interactions import Floats, Histories, Interactions, Ints, Recommender

DAY_S = 86_400


def decayed_counts(data: Interactions, half_life_days: float) -> Floats:
    """float32 `[I]`: interactions of every item; one that is a half-life older than the newest of all counts half.

    A half-life of 0, or data without times, counts all the same.
    """
    weights = None
    if half_life_days and data.times is not None:
        weights = np.exp2((data.times - data.times.max()) / (half_life_days * DAY_S))
    return np.bincount(data.histories.items, weights, minlength=data.num_items).astype(np.float32)


class Popularity:
    """The same scores for everyone."""

    def __init__(self, counts: Floats) -> None:
        self.counts = counts

    def scores(self, users: Ints, histories: Histories) -> Floats:
        return np.tile(self.counts, (len(users), 1))

    def save(self, folder: Path) -> None:
        np.save(folder / "counts.npy", self.counts, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(np.load(folder / "counts.npy", allow_pickle=False))


class WithPopularity:
    """A model's scores and popularity's, mixed: what a night's lists do, for which popularity is a source of its own.

    Where taste moves, what is popular now says more than any taste of the past. Each user's scores are put on one scale
    first (mean 0, deviation 1).
    """

    def __init__(self, model: Recommender, counts: Floats, share: float) -> None:
        self.model, self.counts, self.share = model, counts, share

    def scores(self, users: Ints, histories: Histories) -> Floats:
        scores, popular = self.model.scores(users, histories), _standardised(self.counts[None])
        return np.asarray((1 - self.share) * _standardised(scores) + self.share * popular, np.float32)


def _standardised(scores: Floats) -> Floats:
    spread = scores.std(axis=1, keepdims=True)
    return (scores - scores.mean(axis=1, keepdims=True)) / np.where(spread == 0, 1, spread)
