"""What a list is besides right: varied, novel, spread over the catalogue.

Shapes: U users, K places, N item ids, d dimensions. `lists` is int `[U, K]` with -1 where a list is shorter.
"""

from collections.abc import Sequence

import numpy as np

from models.metrics.ranking import PerUser

_CHUNK_USERS = 4096


def intra_list_diversity(lists: np.ndarray, item_vectors: np.ndarray) -> np.ndarray:
    """One minus the mean cosine of all pairs of a list (Smyth and McClave 2001): float64 `[U]`, 0 to 1 for genres.

    The sum over pairs comes from the norm of the sum of vectors, so it costs K, not K squared. An item without a vector
    (all zero) is unlike everything. Lists of fewer than two items have no value (NaN).

    Args:
        item_vectors: float `[N, d]`, each row of unit length or zero: genres, or embeddings.
    """
    padded = np.vstack([item_vectors, np.zeros(item_vectors.shape[1])])  # the last row answers for -1
    diversity = np.empty(len(lists))
    for start in range(0, len(lists), _CHUNK_USERS):
        chunk = lists[start : start + _CHUNK_USERS]
        vectors = padded[chunk]
        total = vectors.sum(axis=1)
        cosines = (total**2).sum(axis=1) - (vectors**2).sum(axis=(1, 2))
        num_items = (chunk >= 0).sum(axis=1)
        pairs = np.where(num_items > 1, num_items * (num_items - 1), np.nan)
        diversity[start : start + len(chunk)] = 1 - cosines / pairs
    return diversity


def self_information(num_watchers: np.ndarray, is_item: np.ndarray) -> np.ndarray:
    """-log2 of each item's share of all watching, with one added to every item: bits, float64 `[N]`.

    The added one (Laplace) keeps an item that nobody has watched finite.
    """
    smoothed = num_watchers + 1.0
    return -np.log2(smoothed / smoothed[is_item].sum())


def mean_over_list(lists: np.ndarray, item_values: np.ndarray) -> np.ndarray:
    """Mean of an item's value over each list: float64 `[U]`, NaN for an empty list.

    With `self_information` this is the novelty of Zhou et al. 2010 (PNAS 107, 4511); with popularity it is the
    average recommendation popularity.
    """
    filled = lists >= 0
    num_items = filled.sum(axis=1)
    return np.where(filled, item_values[lists], 0).sum(axis=1) / np.where(num_items > 0, num_items, np.nan)


def obviousness(num_watchers: np.ndarray, num_items: int) -> np.ndarray:
    """Chance of an item to be recommended to anybody for its popularity: float64 `[N]`, 0 to 1.

    (num_items + 1 - rank) / num_items, rank 1 being the most watched, equal ones sharing the best rank; 0 for an item
    that nobody watched, or that is not in the catalogue.
    """
    ascending = np.sort(num_watchers)
    rank = 1 + len(ascending) - np.searchsorted(ascending, num_watchers, side="right")
    return np.where(num_watchers > 0, (num_items + 1 - rank) / num_items, 0.0)


def serendipity(
    lists: np.ndarray, hits: np.ndarray, item_obviousness: np.ndarray, num_items: int, ks: Sequence[int]
) -> PerUser:
    """Hits that popularity would not have made, at several cut-offs: (`serendipity`, k), 0 to 1.

    The mean over the first k places of max(p - o, 0) for a hit and 0 for a miss, where p = (num_items + 1 - place) /
    num_items is how strongly the list recommends the item and o its `obviousness` (Murakami et al. 2007, in the form of
    the metric in RecTools). A list of the most watched items in their order has none.

    Args:
        hits: bool `[U, K]`, as for `ranking_metrics`. The metric gives 0 to who has no relevant item; leave them out.
        item_obviousness: float `[N]`.
        num_items: items of the catalogue.
    """
    places = (num_items - np.arange(lists.shape[1])) / num_items
    surprise = np.where(hits, np.maximum(places - item_obviousness[lists], 0), 0).cumsum(axis=1)
    return {("serendipity", k): surprise[:, min(k, lists.shape[1]) - 1] / k for k in ks}


def recommendation_counts(lists: np.ndarray, num_ids: int) -> np.ndarray:
    """How many lists hold each item: int64 `[N]`."""
    return np.bincount(lists[lists >= 0], minlength=num_ids)


def coverage(counts: np.ndarray) -> float:
    """Share of the catalogue that is in some list; `counts` has one entry an item of the catalogue."""
    return float((counts > 0).mean())


def lorenz_curve(counts: np.ndarray) -> np.ndarray:
    """Cumulated share of all recommendations that the least recommended items have: float64 `[N + 1]`, from 0 to 1.

    Where nothing is recommended all items are alike: the diagonal.
    """
    ascending = np.concatenate([[0], np.cumsum(np.sort(counts))])
    return ascending / ascending[-1] if ascending[-1] else np.linspace(0, 1, len(ascending))


def gini(counts: np.ndarray) -> float:
    """Inequality of how often items are recommended: 0 when all alike, towards 1 when one item takes all.

    NaN without items.
    """
    if not len(counts):
        return float("nan")
    curve = lorenz_curve(counts)
    return float(1 - (curve[1:] + curve[:-1]).sum() / len(counts))
