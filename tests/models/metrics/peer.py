"""Random tables, and what RecTools says of them, from an environment of its own (`make peers`)."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".peers" / "bin" / "python"


@dataclass(frozen=True)
class Tables:
    """Full lists of K places for everybody, who all have something relevant: where RecTools and we see the same."""

    lists: np.ndarray
    test: np.ndarray
    train: np.ndarray
    genre: np.ndarray

    @property
    def num_items(self) -> int:
        return len(self.genre)

    @property
    def ranked(self) -> pa.Table:
        """In a random order of rows."""
        users, places = (part.ravel() for part in np.indices(self.lists.shape))
        order = np.random.default_rng(0).permutation(self.lists.size)
        columns = {"user_id": users, "item_id": self.lists.ravel(), "rank": places + 1}
        return pa.table({name: values[order] for name, values in columns.items()})

    @property
    def relevant(self) -> pa.Table:
        return pa.table({"user_id": self.test[:, 0], "item_id": self.test[:, 1]})

    @property
    def num_watchers(self) -> np.ndarray:
        return np.bincount(self.train[:, 1], minlength=self.num_items)


def random_tables(seed: int, num_users: int = 200, num_items: int = 60, num_places: int = 20) -> Tables:
    """Items 0, 1, 2, ... have 0, 1, 2, ... watchers, shuffled: no two alike, so that both rank them alike."""
    random = np.random.default_rng(seed)
    lists = random.permuted(np.tile(np.arange(num_items), (num_users, 1)), axis=1)[:, :num_places]
    liked = random.random((num_users, num_items)) < random.choice([0.02, 0.1, 0.5], size=(num_users, 1))
    liked[np.arange(num_users), random.integers(num_items, size=num_users)] = True
    watchers = random.permutation(num_items)
    pairs = [(u, i) for i, n in enumerate(watchers) for u in random.permutation(num_users)[:n]]
    return Tables(lists, np.argwhere(liked), np.array(pairs), random.integers(5, size=num_items))


def rectools(tables: Tables, ks: tuple[int, ...], folder: Path) -> dict[str, Any]:
    """Means over users by metric, such as `ndcg@10`."""
    path = folder / "tables.npz"
    ranked = tables.ranked
    np.savez(
        path, reco_user=ranked["user_id"], reco_item=ranked["item_id"], reco_rank=ranked["rank"],
        test_user=tables.test[:, 0], test_item=tables.test[:, 1],
        train_user=tables.train[:, 0], train_item=tables.train[:, 1],
        catalog=np.arange(tables.num_items), genre=tables.genre,
    )  # fmt: skip
    command = [str(PYTHON), str(ROOT / "benchmarks" / "rectools_metrics.py"), str(path), *map(str, ks)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["values"]
