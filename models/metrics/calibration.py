"""Does a list hold genres in the proportions that its user watches them? (Steck 2018, "Calibrated recommendations",
RecSys.) Calibration of probabilities is in `models.metrics.pointwise`.

Shapes: U users, K places, N item ids, G genres. `lists` is int `[U, K]` with -1 where a list is shorter.
"""

from collections.abc import Sequence

import numpy as np

from models.metrics.item_sets import ItemSets
from models.metrics.ranking import PerUser

MIXED = 0.01
"""Share of the wanted distribution mixed into that of a list, so that a genre it lacks has a finite price."""


def genre_distributions(history: ItemSets, genre_shares: np.ndarray) -> np.ndarray:
    """Distribution of genres that each user watched, p(g|u): float64 `[U, G]`, NaN without a history.

    Args:
        genre_shares: float `[N, G]`, p(g|i): rows sum to 1, or are 0 for an item without genres.
    """
    num_users, num_genres = len(history.sizes), genre_shares.shape[1]
    watched, rows = genre_shares[history.item_ids], history.rows
    totals = np.empty((num_users, num_genres))
    for genre in range(num_genres):
        totals[:, genre] = np.bincount(rows, weights=watched[:, genre], minlength=num_users)
    return _normalised(totals)


def miscalibration(lists: np.ndarray, wanted: np.ndarray, genre_shares: np.ndarray, ks: Sequence[int]) -> PerUser:
    """Kullback-Leibler divergence of a list's genres from those wanted, at several cut-offs: (`miscalibration`, k).

    With p wanted and q the mean of p(g|i) over the list, the sum over genres of p log(p / q'), where
    q' = (1 - a) q + a p and a = .01. In nats: 0 where the list has the user's proportions, and at most log(1 / a) = 4.6
    where it has none of the user's genres. NaN for a user without a history and for a list without genres. Places do
    not weigh: Steck's own variant with falling weights is left out.

    Args:
        wanted: float `[U, G]`, as from `genre_distributions`.
        genre_shares: float `[N, G]`, as there.
        ks: cut-offs, from 1; may exceed K.
    """
    padded = np.vstack([genre_shares, np.zeros(genre_shares.shape[1])])  # the last row answers for -1
    total = np.zeros(wanted.shape)
    values: PerUser = {}
    for place in range(lists.shape[1]):
        total += padded[lists[:, place]]
        ending = [k for k in ks if min(k, lists.shape[1]) == place + 1]
        values |= {("miscalibration", k): _divergence(wanted, total) for k in ending}
    return values


def _divergence(wanted: np.ndarray, total: np.ndarray) -> np.ndarray:
    mixed = (1 - MIXED) * _normalised(total) + MIXED * wanted
    ratios = np.divide(wanted, mixed, out=np.ones_like(wanted), where=(wanted > 0) | np.isnan(mixed))
    return (wanted * np.log(ratios)).sum(axis=1)


def _normalised(totals: np.ndarray) -> np.ndarray:
    sums = totals.sum(axis=1, keepdims=True)
    return totals / np.where(sums > 0, sums, np.nan)
