"""Query vectors of real users, to measure an index with what it will be asked."""

import numpy as np
import pyarrow as pa

from models.runtime.arrays import Ragged, places_of
from models.runtime.user_tower import UserTower, searching


def query_vectors(tower: UserTower, users: pa.Table, histories: pa.Table, most: int, seed: int) -> np.ndarray:
    """Vectors of at most so many users drawn from the catalogue, those without a history included, `[Q, D]`."""
    users = searching(users.sort_by("user_id"), histories)
    ids = users["user_id"].to_numpy()
    ragged = Ragged(histories["item_ids"], places_of(ids, histories["user_id"].to_numpy()), len(ids))
    rng = np.random.default_rng([seed, 3])
    rows = np.sort(rng.choice(len(ids), min(most, len(ids)), replace=False))
    return tower.vectors(users.take(pa.array(rows)), ragged.last(rows, tower.history_length))
