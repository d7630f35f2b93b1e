"""Who interacted with what, as every model of the catalogue takes it, and what such a model must answer.

Shapes: U users, B users of a batch, I items, N interactions. Users and items are numbered from 0.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from expectations.progress import OnProgress
from models.compressed_rows import CompressedRows, Ints, offsets_of

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Histories(CompressedRows):
    """Items of each of B users: those of row b are `items[offsets[b]:offsets[b + 1]]`.

    Attributes:
        items: int32 `[N]`, oldest first within a row where the data say when.
    """

    items: Ints

    @classmethod
    def of(cls, users: Ints, items: Ints, num_users: int) -> Self:
        """Collect pairs, keeping their order within each user."""
        order = np.argsort(users, kind="stable")
        offsets = offsets_of(np.bincount(users, minlength=num_users))
        return cls(offsets, np.asarray(items, dtype=np.int32)[order])

    def take(self, rows: Ints) -> "Histories":
        """Some rows, in that order."""
        offsets, places = self.of_rows(rows)
        return Histories(offsets, self.items[places])

    def known(self, num_items: int) -> "Histories":
        """The same rows with items from 0 to `num_items` only: for a model of so many, others are not there."""
        there = (self.items >= 0) & (self.items < num_items)
        if there.all():
            return self
        return Histories(self.of_values(there), self.items[there])

    def last(self, length: int) -> Ints:
        """int64 `[B, length]`: the newest items, newest last, left-padded with -1."""
        places = self.offsets[1:, None] + np.arange(-length, 0)
        inside = places >= self.offsets[:-1, None]
        return np.where(inside, np.append(self.items, -1)[np.where(inside, places, -1)], -1).astype(np.int64)


@dataclass(frozen=True)
class Interactions:
    """What a model learns from.

    Attributes:
        histories: one row a user.
        num_items: items that can be recommended.
        ordered: whether the order within a row says what came first; if not, a row is a set.
        times: int64 `[N]`, seconds since 1970, if the data tell.
        ratings: float32 `[N]`, if the data tell.
        attributes: one row an item, of attribute numbers from 0, if the data tell.
    """

    histories: Histories
    num_items: int
    ordered: bool
    times: Ints | None = None
    ratings: Floats | None = None
    attributes: Histories | None = None

    @property
    def num_users(self) -> int:
        return len(self.histories)


class Recommender(Protocol):
    """A trained model: scores of all items for some users. It holds arrays or weights, and no session of anything."""

    def scores(self, users: Ints, histories: Histories) -> Floats:
        """float32 `[B, I]`, larger is better; finite.

        Args:
            users: `[B]` numbers of the users, -1 for one that the training did not know.
            histories: `[B]` rows, what each has done so far; more than in training when time has gone on. Items that
                the model does not know, negative or not below I, count as not there.
        """

    def save(self, folder: Path) -> None:
        """Write weights or tables, without pickles, into an existing folder."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; gives the same scores to the last bit."""


class RatingPredictor(Recommender, Protocol):
    """A recommender whose scores are predicted ratings, and which predicts those of single pairs, too."""

    def predict(self, users: Ints, items: Ints) -> Floats:
        """float32 `[N]`: ratings of pairs; -1 for a user or an item that the training did not know."""


@dataclass(frozen=True)
class Training:
    """What a training is given besides data and settings.

    Attributes:
        judge: a trained model -> the metric that chooses the stopping epoch, larger is better; None trains all epochs.
        scratch: an empty folder for files that the training may leave.
    """

    scratch: Path
    seed: int = 0
    threads: int = 1
    judge: Callable[[Recommender], float] | None = None
    on_progress: OnProgress = field(default=lambda done, total, what: None)


@dataclass(frozen=True)
class Trained:
    """A trained model, and after how many epochs (None where there are none)."""

    model: Recommender
    epochs: int | None = None
