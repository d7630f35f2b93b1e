"""Recommend from the factors of ALS: histories are folded in, so that newcomers and longer histories need no training.

Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (ICDM 2008); the factors are made by
`spark_jobs/als.py`. Shapes: B users of a batch, U users, I items, F factors, n items of one history.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from models.interactions import Floats, Histories, Ints

FILE = "item_factors.safetensors"

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ItemFactors:
    """Implicit feedback: a user is the exact solution for the items of the history, given the items' factors.

    Attributes:
        items: float32 `[I, F]`, zeros for an item without interactions.
        counts: float32 `[I]`, popularity: what is said of a user without a usable history.
        alpha: confidence that an item of the history adds, as in training.
        regularisation: ridge penalty on a user, as in training.
        weighted: whether the penalty grows with the number of items of the history, as in training.
    """

    items: Floats
    counts: Floats
    alpha: float
    regularisation: float
    weighted: bool

    def scores(self, users: Ints, histories: Histories) -> Floats:
        vectors = self.fold_in(histories.known(len(self.items)))
        scores = vectors @ self.items.T
        scores[~vectors.any(axis=1)] = self.counts
        return scores

    def fold_in(self, histories: Histories) -> Floats:
        """float32 `[B, F]`: minimises what the sweeps of ALS minimise for a user, exactly; zeros without a history.

        Of items without factors nothing can be folded in: who has only such ones is all zeros, too.
        """
        values, turn, rotated = self._spectrum
        found = np.zeros((len(histories), rotated.shape[1]))
        for row in np.flatnonzero(histories.sizes):
            own, times = np.unique(
                histories.items[histories.offsets[row] : histories.offsets[row + 1]], return_counts=True
            )
            ridge = self.regularisation * (len(own) if self.weighted else 1)
            found[row] = _solved(rotated[own], values + ridge, self.alpha * times.astype(np.float64))
        return (found @ turn.T).astype(np.float32)

    @functools.cached_property
    def _spectrum(self) -> tuple[Doubles, Doubles, Doubles]:
        """Eigenvalues `[F]` and eigenvectors `[F, F]` of the items' Gram matrix, in whose basis it is a diagonal, and
        the items `[I, F]` in that basis."""
        items = self.items.astype(np.float64)
        values, turn = np.linalg.eigh(items.T @ items)
        return np.maximum(values, 0), turn, items @ turn

    def save(self, folder: Path) -> None:
        told = np.array([self.alpha, self.regularisation, self.weighted])
        save_file({"items": self.items, "counts": self.counts, "told": told}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        found = load_file(folder / FILE)
        alpha, regularisation, weighted = found["told"].tolist()
        return cls(found["items"], found["counts"], alpha, regularisation, bool(weighted))


def _solved(own_nF: Doubles, diagonal_F: Doubles, confidence_n: Doubles) -> Doubles:
    """x with (D + Y'CY) x = Y'(1 + c), by whichever of the two square systems is smaller.

    Histories are mostly shorter than there are factors, and (D + Y'CY)^-1 Y' = D^-1 Y' (I + C Y D^-1 Y')^-1.
    """
    n, num_factors = own_nF.shape
    definite = diagonal_F.min() > 0
    if n < num_factors and definite:
        scaled = own_nF / diagonal_F
        weights = np.linalg.solve(np.eye(n) + confidence_n[:, None] * (scaled @ own_nF.T), 1 + confidence_n)
        return scaled.T @ weights
    system, right = np.diag(diagonal_F) + (own_nF.T * confidence_n) @ own_nF, own_nF.T @ (1 + confidence_n)
    # Least squares are many times slower, but without a penalty the system may be singular.
    return np.asarray(np.linalg.solve(system, right) if definite else np.linalg.lstsq(system, right)[0], np.float64)
