"""The item tower: what an item's place in the space of vectors is, from what it is."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from .encoding import encode
from .manifest import read_json
from .sessions import open_session, run

BATCH = 4096  # rows the model sees at once


class ItemTower:
    """Rows of `items` to vectors, exactly as in training."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.fields = read_json(folder / "encoders.json")["item"]
        self.session = open_session(folder / "item_tower.onnx", threads)

    def vectors(self, items: pa.Table) -> np.ndarray:
        """float32 `[N, d]` of N rows, which have the columns of the release's `items.parquet`."""
        blocks = [items.slice(start, BATCH) for start in range(0, max(len(items), 1), BATCH)]
        return np.concatenate([run(self.session, encode(one, self.fields), ["item_vector"])[0] for one in blocks])
