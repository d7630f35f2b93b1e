"""Predict ratings: a mean, what a user and an item are above it, and what the two have in common.

Koren, Bell, Volinsky, "Matrix Factorization Techniques for Recommender Systems" (Computer, 2009). Biases are fitted
first and ALS factorises what they leave (`spark_jobs/als.py`, explicit feedback). Shapes: B users of a batch, U users,
I items, F factors, N ratings.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from safetensors.numpy import load_file, save_file

from models.interactions import Floats, Histories, Ints

FILE = "rating_factors.safetensors"

USER_PRIOR, ITEM_PRIOR, SWEEPS = 15.0, 10.0, 10
"""Ratings at the mean that every user and item is credited with (Surprise's), and rounds of fitting both in turn."""


@dataclass(frozen=True)
class Biases:
    """A rating is about `mean + users[u] + items[i]`: float32 `[U]` and `[I]`."""

    mean: float
    users: Floats
    items: Floats

    @classmethod
    def fit(cls, users: Ints, items: Ints, ratings: Floats, num_users: int, num_items: int) -> Self:
        """Alternating shrunk means (Koren, "Factor in the Neighbors", TKDD 2010)."""
        mean = float(ratings.mean(dtype=np.float64))
        of_users: Floats = np.zeros(num_users)
        of_items: Floats = np.zeros(num_items)
        for _ in range(SWEEPS):
            of_items = _shrunk_means(items, ratings - mean - of_users[users], num_items, ITEM_PRIOR)
            of_users = _shrunk_means(users, ratings - mean - of_items[items], num_users, USER_PRIOR)
        return cls(mean, of_users.astype(np.float32), of_items.astype(np.float32))

    def predict(self, users: Ints, items: Ints) -> Floats:
        """float32 `[N]`; a user or an item numbered -1 is an average one."""
        of_users, of_items = np.append(self.users, 0), np.append(self.items, 0)
        return (self.mean + of_users[users] + of_items[items]).astype(np.float32)


@dataclass(frozen=True)
class RatingFactors:
    """Predicted ratings as scores.

    A history tells no ratings, so that a user is what the training knew, and a stranger gets the items' means.

    Attributes:
        users, items: float32 `[U, F]` and `[I, F]`, zeros for those without ratings.
    """

    biases: Biases
    users: Floats
    items: Floats

    def scores(self, users: Ints, histories: Histories) -> Floats:
        known = np.append(self.users, np.zeros((1, self.users.shape[1]), np.float32), axis=0)
        everything = np.arange(len(self.items))
        return self.biases.predict(users[:, None], everything[None]) + known[users] @ self.items.T

    def predict(self, users: Ints, items: Ints) -> Floats:
        """float32 `[N]`: ratings of pairs; -1 for a user or an item that the training did not know."""
        known = [np.append(side, np.zeros((1, side.shape[1]), np.float32), axis=0) for side in (self.users, self.items)]
        return self.biases.predict(users, items) + np.einsum("nf,nf->n", known[0][users], known[1][items])

    def save(self, folder: Path) -> None:
        arrays = {
            "mean": np.array([self.biases.mean]),
            "user_biases": self.biases.users,
            "item_biases": self.biases.items,
            "users": self.users,
            "items": self.items,
        }
        save_file(arrays, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        found = load_file(folder / FILE)
        biases = Biases(float(found["mean"][0]), found["user_biases"], found["item_biases"])
        return cls(biases, found["users"], found["items"])


def _shrunk_means(rows: Ints, values: Floats, count: int, prior: float) -> Floats:
    sums = np.bincount(rows, values, minlength=count)
    return sums / (prior + np.bincount(rows, minlength=count))
