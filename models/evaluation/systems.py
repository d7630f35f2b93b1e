"""The lists of the systems that need no model: what stands in a table, chance, the oracle.

Shapes: U users, K places, M candidates. Lists are int64 `[U, K]`, best first, -1 where a list is shorter.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from models.metrics.item_sets import ItemSets
from models.metrics.tables import ranked_lists

_CHUNK_USERS = 1024


def lists_from_table(ranked: pa.Table, user_ids: np.ndarray, k: int) -> np.ndarray:
    """Lists of some users (ascending ids) from rows of `user_id`, `rank` (from 1) and `item_id`."""
    users, items, ranks = (ranked[name].to_numpy() for name in ("user_id", "item_id", "rank"))
    return ranked_lists(users, items, ranks, user_ids, k)


def first_unseen(candidates: np.ndarray, seen: ItemSets, k: int) -> np.ndarray:
    """The first k candidates (`[U, M]`, -1 for none) that each user has not seen, in their order."""
    kept = (candidates >= 0) & ~seen.contains(candidates)
    order = np.argsort(~kept, axis=1, kind="stable")[:, :k]
    lists = np.where(np.take_along_axis(kept, order, axis=1), np.take_along_axis(candidates, order, axis=1), -1)
    return np.pad(lists, ((0, 0), (0, k - lists.shape[1])), constant_values=-1)


def random_lists(item_ids: np.ndarray, seen: ItemSets, k: int, seed: int) -> np.ndarray:
    """Items that each user has not seen, every one as likely as any other.

    Each user reads a shuffled catalogue from a random place on, which costs the places read and not the catalogue.
    """
    parts = []
    for start, users, most in _chunks(seen, k):
        random = np.random.default_rng([seed, 3, start])
        shuffled = random.permutation(item_ids)
        places = random.integers(len(item_ids), size=(len(users.sizes), 1)) + np.arange(min(most, len(item_ids)))
        parts.append(first_unseen(shuffled[places % len(item_ids)], users, k))
    return np.concatenate(parts)


def oracle_lists(oracle: pa.Table, user_ids: np.ndarray, seen: ItemSets, item_ids: np.ndarray, k: int) -> np.ndarray:
    """The best lists under the planted tastes (dataset `oracle`), held to what the others may recommend: items of the
    catalogue (`item_ids`) that the user has not seen."""
    longest = int(oracle["rank"].to_numpy().max(initial=1))
    lists = lists_from_table(oracle, user_ids, longest)
    return first_unseen(np.where(np.isin(lists, item_ids), lists, -1), seen, k)


def _chunks(seen: ItemSets, k: int) -> Iterator[tuple[int, ItemSets, int]]:
    """Some users at a time: the first one's row, what they have seen, and how many candidates fill every list."""
    num_users = len(seen.sizes)
    for start in range(0, num_users, _CHUNK_USERS):
        users = seen.take(np.arange(start, min(start + _CHUNK_USERS, num_users)))
        yield start, users, k + int(users.sizes.max(initial=0))
