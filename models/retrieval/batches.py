"""Batches of the towers: every item of a batch is encoded once, whether it is positive, negative or history."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from models.fit import Batch
from models.losses import mixed_log_q
from models.retrieval.catalogue import ITEM_ID, Encoded
from models.retrieval.config import TowersConfig
from models.retrieval.examples import Examples, ExampleShards
from models.retrieval.searches import NO_SEARCHES, SearchInput


class Batches:
    """The batches of any epoch, a pure function of seed and epoch; holds one shard of examples at a time.

    A batch has the inputs of its U distinct items under their field names, of its B users under theirs, and
    `history` (`[B, H]`, 1 + place among the U, 0 for none), `age_days` (`[B]`), `candidates` (`[C]` places among the U:
    the B positives, then the uniform negatives) and `log_q` (`[C]`).
    """

    def __init__(
        self,
        shards: ExampleShards,
        users: Encoded,
        items: Encoded,
        config: TowersConfig,
        searches: SearchInput = NO_SEARCHES,
    ) -> None:
        self._shards = shards
        self._searches = searches
        self._users = users
        self._items = items
        self._config = config
        self._share = min(1.0, config.max_examples_per_epoch / max(shards.num_examples, 1))

    def __call__(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng([self._config.seed, 2, epoch])
        for shard in rng.permutation(len(self._shards.paths)):
            examples = self._shards.read(shard)
            order = rng.permutation(len(examples))[: round(len(examples) * self._share)]
            if len(order) == 0:
                continue
            # Parts of one to two batches: none so small that it has hardly any negatives.
            for part in np.array_split(order, max(1, len(order) // self._config.batch_size)):
                yield self._batch(examples.take(part), rng)

    def _batch(self, examples: Examples, rng: np.random.Generator) -> Batch:
        num_items = len(self._items.ids)
        uniform = rng.integers(1, num_items + 1, size=self._config.mixed_negatives)
        candidates = np.concatenate([examples.positives(), uniform])
        history = examples.histories(self._config.history_length)
        history[rng.random(len(examples)) < self._config.history_dropout] = 0
        distinct, place = distinct_rows(num_items, candidates, history)
        items = items_without_some_ids(self._items, distinct, self._config.id_dropout, rng)
        frequency = torch.from_numpy(self._shards.frequency[candidates]).float()
        return {
            **items,
            **self._users.take(self._users.rows(examples.user)),
            **self._searches.take(examples.searched),
            "age_days": torch.from_numpy(examples.age_days),
            "history": torch.from_numpy(np.where(history > 0, place[history] + 1, 0)),
            "candidates": torch.from_numpy(place[candidates]),
            "log_q": mixed_log_q(frequency, len(examples), len(uniform), num_items),
        }


def items_without_some_ids(
    items: Encoded, rows: np.ndarray, share: float, rng: np.random.Generator
) -> dict[str, Tensor]:
    """Inputs of some rows, the id of a random share of them hidden, so that content learns to stand for it."""
    inputs = items.take(rows)
    hidden = rng.random(len(rows)) < share
    inputs[ITEM_ID] = inputs[ITEM_ID].masked_fill(torch.from_numpy(hidden), 0)
    return inputs


def distinct_rows(num_items: int, *rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct item rows (0 left out), ascending, and for every item row its place among them.

    Linear in the catalogue and the batch; sorting the histories (`np.unique`) took ten times as long.
    """
    present = np.zeros(num_items + 1, dtype=bool)
    for some in rows:
        present[some.ravel()] = True
    present[0] = False
    return np.flatnonzero(present), np.cumsum(present) - 1
