"""A transformer over what users did, asked for the vectors of those of whom the night made none."""

from pathlib import Path

import numpy as np

from .manifest import read_json
from .sessions import open_session, run
from .users import Users


class SentenceEncoder:
    """Vectors after a sentence. Of a user's sentence only the plays of the history are known here."""

    def __init__(self, graph: Path) -> None:
        """`graph` is an ONNX file; the JSON file of the same name beside it says how a play is told to it."""
        self.told = read_json(graph.with_suffix(".json"))
        self.session = open_session(graph, 1)

    def vectors(self, users: Users, rows: np.ndarray) -> np.ndarray:
        """float32 `[N, d]`; somebody without a history has the vector of an empty sentence."""
        length = self.told["max_tokens"]
        history = users.history.last(rows, length)
        # Newest last and padded on the left; sentences begin at place 0.
        sizes = np.count_nonzero(history >= 0, axis=1)
        places = np.arange(length) + (length - sizes)[:, None]
        item = np.where(places < length, np.take_along_axis(history, np.minimum(places, length - 1), axis=1) + 1, 0)
        none = np.zeros_like(item)
        inputs = {
            "item": item, "length": sizes, "action": np.where(item > 0, self.told["play"], 0), "device": none,
            "gap": none, "words": np.zeros((*item.shape, self.told["num_words"]), dtype=np.int64),
        }  # fmt: skip
        return run(self.session, inputs, ["member_vector"])[0]
