"""Batches and loss of the towers on sets: a user's items without an order, any of which might have come last.

An epoch shuffles the items of every user and cuts them into groups of `set_targets`. The items of a group are examples
of one step, and all other items of the user are their history: none of them is ever in it, or the towers would learn to
say back what they are told.

Shapes: G users of a batch, B examples, H places of the longest history, C candidates (the B positives first, then the
uniform negatives), U distinct items.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.fit import Batch
from models.interactions import Histories, Interactions, Ints
from models.losses import mixed_log_q, sampled_softmax_of_sets
from models.retrieval.batches import distinct_rows, items_without_some_ids
from models.retrieval.catalogue import Encoded
from models.retrieval.config import TwoTowerConfig
from models.retrieval.towers import TwoTowers


class SetBatches:
    """The batches of any epoch, a pure function of seed and epoch.

    A batch has the inputs of its U distinct items under their field names, `history` (`[G, H]`, 1 + place among the U,
    0 for none), `user` (`[B]`, which of the G an example belongs to), `candidates` (`[C]` places among the U), `known`
    (`[G, C]`, whether the user has the candidate) and `log_q` (`[C]`).
    """

    def __init__(self, data: Interactions, items: Encoded, config: TwoTowerConfig) -> None:
        self._histories = data.histories
        self._items = items
        self._config = config
        sizes = data.histories.sizes
        self._group_size = np.maximum(np.minimum(config.set_targets, sizes // 2), 1)
        self._num_groups = np.minimum(sizes, np.maximum(config.max_examples_per_user, 1)) // self._group_size
        # Every item of a user is as likely as the others to be an example.
        share = self._num_groups * self._group_size / np.maximum(sizes, 1)
        frequency = np.bincount(data.histories.items, share[data.histories.rows], minlength=data.num_items)
        self._frequency = torch.from_numpy(frequency / max(frequency.sum(), 1.0)).float()

    def __call__(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng([self._config.seed, 2, epoch])
        shuffled = _shuffled(self._histories, rng)
        user = np.repeat(np.arange(len(shuffled)), self._num_groups)
        number = np.arange(len(user)) - np.repeat(np.cumsum(self._num_groups) - self._num_groups, self._num_groups)
        size = self._group_size[user]
        order = rng.permutation(len(user))
        num_batches = max(1, int(size.sum()) // self._config.batch_size)
        for part in np.array_split(order, num_batches) if len(order) else ():
            yield self._batch(shuffled.take(user[part]), number[part] * size[part], size[part], rng)

    def _batch(self, sets: Histories, begin: Ints, size: Ints, rng: np.random.Generator) -> Batch:
        place = np.arange(len(sets.items)) - sets.offsets[:-1][sets.rows] - begin[sets.rows]
        is_target = (place >= 0) & (place < size[sets.rows])
        hidden = rng.random(len(sets)) < self._config.history_dropout
        is_history = ~is_target & ~hidden[sets.rows]
        history = Histories.of(sets.rows[is_history], sets.items[is_history], len(sets))
        num_items = len(self._items.ids)
        uniform = rng.integers(0, num_items, size=self._config.mixed_negatives)
        candidates = np.concatenate([sets.items[is_target], uniform])
        rows_GH = history.last(int(history.sizes.max(initial=1))) + 1
        distinct, place_of = distinct_rows(num_items, candidates + 1, rows_GH)
        # By item first: whole rows are copied, which took a tenth of the time that picking columns did.
        known_IG = np.zeros((num_items, len(sets)), dtype=bool)
        known_IG[sets.items, sets.rows] = True
        candidates_C = torch.from_numpy(candidates)
        return {
            **items_without_some_ids(self._items, distinct, self._config.id_dropout, rng),
            "history": torch.from_numpy(np.where(rows_GH > 0, place_of[rows_GH] + 1, 0)),
            "user": torch.from_numpy(sets.rows[is_target]),
            "candidates": torch.from_numpy(place_of[candidates + 1]),
            "known": torch.from_numpy(np.ascontiguousarray(known_IG[candidates].T)),
            "log_q": mixed_log_q(self._frequency[candidates_C], int(is_target.sum()), len(uniform), num_items),
        }


def _shuffled(histories: Histories, rng: np.random.Generator) -> Histories:
    order = np.lexsort((rng.random(len(histories.items)), histories.rows))
    return Histories(histories.offsets, histories.items[order])


@dataclass(frozen=True)
class SetLoss:
    """The sampled softmax of one batch of sets, as `config` wants it."""

    config: TwoTowerConfig

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(model, TwoTowers)
        inputs_UD = model.item_inputs(batch)
        return sampled_softmax_of_sets(
            model.user_vectors(batch, batch["history"], inputs_UD),
            model.item_vectors(inputs_UD[batch["candidates"]]),
            batch["user"],
            batch["known"],
            temperature=self.config.temperature,
            log_q_C=batch["log_q"] if self.config.logq_correction else None,
        )
