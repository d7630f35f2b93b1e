"""The query tower: what is asked of the index."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .arrays import BLOCK, Ragged, places_of, vector_table
from .encoding import encode
from .manifest import read_json
from .sessions import open_session, run

SEARCHED = "searched"  # column of `histories`: the last words that a user typed


class UserTower:
    """The query tower: users and their histories to vectors, exactly as in training."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.fields = read_json(folder / "encoders.json")
        self.session = open_session(folder / "user_tower.onnx", threads)

    @property
    def history_length(self) -> int:
        return int(self.fields["history_length"])

    def vectors(self, users: pa.Table, histories: np.ndarray) -> np.ndarray:
        """float32 `[N, d]` of N rows of users and their histories (item ids `[N, H]`, newest last, -1 padded).

        Args:
            users: as `searching` gives them, where the tower was trained with searches.
        """
        inputs = encode(users, self.fields["user"]) | {"history": histories + 1}
        return run(self.session, inputs, ["user_vector"])[0]

    def embeddings(self, users: pa.Table, histories: pa.Table, num_items: int) -> pa.Table:
        """The query vector of every user, ascending by user_id: user_id (int32), vector (list of float32).

        Args:
            histories: user_id, item_ids and searched; ids from `num_items` on are not in the catalogue.
        """
        users = searching(users.sort_by("user_id"), histories)
        ids = users["user_id"].to_numpy()
        history = Ragged(histories["item_ids"], places_of(ids, histories["user_id"].to_numpy()), len(ids), num_items)
        blocks = [np.arange(start, min(start + BLOCK, len(ids))) for start in range(0, len(ids), BLOCK)]
        vectors = np.concatenate([query_vectors(self, users, history, block) for block in blocks])
        return vector_table("user_id", ids, vectors)


def searching(users: pa.Table, histories: pa.Table) -> pa.Table:
    """Users with what they last searched for; the histories of earlier releases say nothing of it."""
    if SEARCHED not in histories.column_names:
        return users
    places = pc.index_in(users["user_id"], value_set=histories["user_id"].combine_chunks())
    return users.append_column(SEARCHED, histories[SEARCHED].combine_chunks().take(places.combine_chunks()))


def query_vectors(tower: UserTower, users: pa.Table, history: Ragged, rows: np.ndarray) -> np.ndarray:
    """float32 `[N, d]`: query vectors of some rows of `users`, whose histories have the same rows."""
    return tower.vectors(users.take(pa.array(rows)), history.last(rows, tower.history_length))
