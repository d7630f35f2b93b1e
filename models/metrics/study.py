"""The metrics of the study that this project grew from, which ask of a list only its genres.

*Precision* there is the share of recommendations whose primary genre is among the three that the user watched most in
training, *diversity* the number of different primary genres over the most there could be, and *combined* the harmonic
mean of the two. Primary, and not any shared genre: an item has two or three genres of about twenty and a user's top
three span most of them, so that matches on any genre saturate (random lists scored .998). Even so they say nothing of
whether anybody liked an item: a list made of the user's genres alone scores 1 without knowing one item from another.
They stand beside NDCG, never in its place.

Shapes: U users, K places, N item ids, G genres. `lists` is int `[U, K]` with -1 where a list is shorter.
"""

from collections.abc import Sequence

import numpy as np

from models.metrics.item_sets import ItemSets
from models.metrics.ranking import PerUser

TOP_GENRES = 3
PRECISION, DIVERSITY, COMBINED = "study_precision", "study_diversity", "study_combined"


def top_genres(history: ItemSets, primary_genre: np.ndarray, num_genres: int, most: int = TOP_GENRES) -> np.ndarray:
    """The primary genres that each user watched most: bool `[U, G]`, at most `most` a row, equal ones by number.

    Args:
        history: what each user watched in training; an item watched twice counts twice if it is there twice.
        primary_genre: int `[N]`, -1 where an item has none.
    """
    genres, num_users = primary_genre[history.item_ids], len(history.sizes)
    known = genres >= 0
    cells = history.rows[known] * num_genres + genres[known]
    counts = np.bincount(cells, minlength=num_users * num_genres).reshape(num_users, num_genres)
    chosen = np.argsort(-counts, axis=1, kind="stable")[:, :most]
    top = np.zeros(counts.shape, dtype=bool)
    np.put_along_axis(top, chosen, np.take_along_axis(counts, chosen, axis=1) > 0, axis=1)
    return top


def study_metrics(lists: np.ndarray, top: np.ndarray, primary_genre: np.ndarray, ks: Sequence[int]) -> PerUser:
    """Precision and diversity as the study defines them, at several cut-offs.

    - `study_precision`: places whose primary genre is among the user's `top` / k; NaN for a user without any. A place
      that a short list lacks, and an item without a genre, match nothing.
    - `study_diversity`: different primary genres / min(k, G).

    Args:
        top: bool `[U, G]`, as from `top_genres`.
        primary_genre: int `[N]`, -1 where an item has none.
        ks: cut-offs, from 1; may exceed K.
    """
    num_users, num_genres = top.shape
    genres = np.append(primary_genre, -1)[lists]  # the last one answers for -1
    rows = np.arange(num_users)[:, None]
    padded = np.pad(top, ((0, 0), (0, 1)))  # likewise
    matches = np.cumsum(padded[rows, genres], axis=1)
    met = np.zeros_like(padded)
    met[:, -1] = True
    first = np.empty(lists.shape, dtype=bool)
    for place in range(lists.shape[1]):
        first[:, place] = ~met[rows[:, 0], genres[:, place]]
        met[rows[:, 0], genres[:, place]] = True
    different = np.cumsum(first, axis=1)
    judged = np.where(top.any(axis=1), 1.0, np.nan)
    values: PerUser = {}
    for k in ks:
        last = min(k, lists.shape[1]) - 1
        values[PRECISION, k] = judged * matches[:, last] / k
        values[DIVERSITY, k] = different[:, last] / min(k, num_genres)
    return values


def combined(precision: np.ndarray, diversity: np.ndarray) -> np.ndarray:
    """Harmonic mean of both, 0 where both are 0, NaN where one is unknown.

    The study takes it of the two means over users (.744 of .860 and .655), which is not the mean over users of each
    one's harmonic mean.
    """
    total = precision + diversity
    return 2 * precision * diversity / np.where(total == 0, 1, total)
