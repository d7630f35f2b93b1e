"""Ranking metrics: did the places of a list hold what the person then watched?

Shapes: U users, K places. `hits[u, r]` says whether the item at place r + 1 of user u's list is relevant. No list may
hold an item twice. Relevance is binary. A list shorter than the cut-off k misses at the places it lacks, so systems
that cannot fill a list gain nothing by it. A user without relevant items has no value (NaN).
"""

from collections.abc import Sequence

import numpy as np

PerUser = dict[tuple[str, int], np.ndarray]
"""(metric, k) -> float64 `[U]`."""


def ranking_metrics(hits: np.ndarray, num_relevant: np.ndarray, ks: Sequence[int]) -> PerUser:
    """Judge U lists at several cut-offs at once.

    - `precision`: hits / k. `recall`: hits / relevant items. `hit_rate`: 1 with a hit, else 0.
    - `ndcg`: sum of 1 / log2(place + 1) over hits, divided by that of the best possible list, which has
      min(k, relevant items) hits (Järvelin and Kekäläinen 2002, cumulated gain).
    - `mrr`: 1 / place of the first hit, 0 without one.
    - `map`: mean over min(k, relevant items) of the precision at each hit.

    Args:
        hits: bool `[U, K]`.
        num_relevant: int `[U]`.
        ks: cut-offs, from 1; may exceed K.
    """
    relevant = np.where(num_relevant > 0, num_relevant, np.nan)
    ideal_dcg = np.cumsum(_discounts(max(ks)))
    # Hits are few: everything below costs as much as there are hits, not places.
    rows, places = np.nonzero(hits)
    hits_before = np.arange(len(rows)) - np.searchsorted(rows, rows)
    gains = _discounts(hits.shape[1])[places]
    precisions = (hits_before + 1) / (places + 1)
    reciprocals = np.where(hits_before == 0, 1 / (places + 1), 0)

    values: PerUser = {}
    for k in ks:
        inside = places < k
        most = np.minimum(num_relevant, k)
        possible = np.where(most > 0, most, np.nan)
        num_hits = _sum_by_row(rows[inside], None, len(hits))
        judged = relevant / relevant  # 1, or NaN for a user who cannot be judged
        values["precision", k] = judged * num_hits / k
        values["recall", k] = num_hits / relevant
        values["hit_rate", k] = judged * (num_hits > 0)
        values["ndcg", k] = judged * _sum_by_row(rows[inside], gains[inside], len(hits)) / ideal_dcg[most - 1]
        values["mrr", k] = judged * _sum_by_row(rows[inside], reciprocals[inside], len(hits))
        values["map", k] = _sum_by_row(rows[inside], precisions[inside], len(hits)) / possible
    return values


def _discounts(num_places: int) -> np.ndarray:
    return 1 / np.log2(np.arange(2, num_places + 2))


def _sum_by_row(rows: np.ndarray, weights: np.ndarray | None, num_rows: int) -> np.ndarray:
    return np.bincount(rows, weights=weights, minlength=num_rows).astype(np.float64)
