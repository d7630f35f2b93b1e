"""`two_tower` of the catalogue: the towers of the night, trained on interactions alone.

Data with an order give the night's examples, an item and what came before it. Sets give an item and the rest of the set
(`models/retrieval/sets.py`). The network, the softmax and the epoch loop are the same. Users have no id of their own:
a user is their history, so that one who came after the training is as good as any other. Who has none gets what is
popular now: in what a tower says of nobody, today counts no more than a year ago.

Shapes: B users, I items, D dimensions.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn

from models.collaborative.popularity import decayed_counts
from models.encoding import EncoderField
from models.fit import fit, initialise, load_weights, pinned_threads, save_weights, write_settings
from models.interactions import Floats, Histories, Interactions, Ints, Trained, Training
from models.retrieval.batches import Batches
from models.retrieval.catalogue import Encoded, items_of
from models.retrieval.config import TwoTowerConfig
from models.retrieval.examples import shard_of
from models.retrieval.sets import SetBatches, SetLoss
from models.retrieval.towers import TwoTowers
from models.retrieval.training import TowersLoss

_MAX_ATTRIBUTES = 16
_POPULAR = "popular"


def train_two_tower(data: Interactions, config: TwoTowerConfig, training: Training) -> Trained:
    """Train the towers; with a judge they have the weights of its best epoch.

    Raises:
        Failure: no interactions, or a loss that is not finite.
    """
    config = replace(config, seed=training.seed, fit=replace(config.fit, threads=training.threads))
    items, fields = items_of(data, config.min_item_positives, _MAX_ATTRIBUTES)
    recent = config.recent_lengths if data.ordered else ()
    ages = config.example_age and data.ordered and data.times is not None
    model = TwoTowers([], fields, config.dim, config.hidden, recent, ages)
    initialise(model, config.seed)
    length = config.history_length if data.ordered else None
    popular = decayed_counts(data, config.popularity_half_life_days)

    def recommender(network: nn.Module) -> TwoTower:
        assert isinstance(network, TwoTowers)
        return TwoTower(network, fields, items.inputs, popular, length, training.threads)

    judge = training.judge
    log = fit(
        model,
        _ordered_batches(data, items, config, training.scratch) if data.ordered else SetBatches(data, items, config),
        TowersLoss(config) if data.ordered else SetLoss(config),
        config.fit,
        validate=None if judge is None else lambda network: judge(recommender(network)),
        on_progress=training.on_progress,
    )
    return Trained(recommender(model), log.best_epoch)


def _ordered_batches(data: Interactions, items: Encoded, config: TwoTowerConfig, scratch: Path) -> Batches:
    shards = shard_of(data, scratch, config.max_examples_per_user)
    return Batches(shards, Encoded(np.arange(data.num_users), {}), items, config)


class TwoTower:
    """Cosines of user and item vectors.

    Args:
        item_inputs: encoded rows `[I + 1, ...]` of every field, row 0 for an item that is not there.
        popular: `[I]`, the scores of who has no history.
        history_length: last items that a history is cut to; None takes all.
        threads: CPU threads of the sums; like the weights it decides the last bit of a score.
    """

    def __init__(
        self,
        model: TwoTowers,
        item_fields: list[EncoderField],
        item_inputs: Mapping[str, np.ndarray],
        popular: Floats,
        history_length: int | None,
        threads: int,
    ) -> None:
        self._model = model
        self._item_fields = item_fields
        self._item_inputs = item_inputs
        self._popular = popular
        self._history_length = history_length
        self._threads = threads
        with pinned_threads(threads), torch.no_grad():
            rows = {name: torch.from_numpy(values[1:]) for name, values in item_inputs.items()}
            self._inputs_ID = model.item_inputs(rows)
            self._vectors_ID = model.item_vectors(self._inputs_ID)

    def scores(self, users: Ints, histories: Histories) -> Floats:
        histories = histories.known(len(self._popular))
        with pinned_threads(self._threads), torch.no_grad():
            scores: Floats = (self._user_vectors(histories) @ self._vectors_ID.T).numpy()
        scores[histories.sizes == 0] = self._popular
        return scores

    def _user_vectors(self, histories: Histories) -> Tensor:
        length = self._history_length or int(histories.sizes.max(initial=1))
        rows_BH = torch.from_numpy(histories.last(max(length, 1)) + 1)
        return self._model.user_vectors({}, rows_BH, self._inputs_ID)

    def save(self, folder: Path) -> None:
        """Write weights and item inputs as safetensors, and `model.json`."""
        save_weights(self._model, folder / "weights.safetensors")
        save_file({**self._item_inputs, _POPULAR: self._popular}, folder / "items.safetensors")
        shape = {"dim": self._model.dim, "hidden": self._model.hidden, "recent": self._model.recent}
        shape |= {"example_age": self._model.example_age is not None}
        told = {
            "shape": shape,
            "item_fields": self._item_fields,
            "history_length": self._history_length,
            "threads": self._threads,
        }
        write_settings(folder / "model.json", told)

    @classmethod
    def load(cls, folder: Path) -> Self:
        told: dict[str, Any] = json.loads((folder / "model.json").read_text())
        model = TwoTowers([], told["item_fields"], **told["shape"])
        load_weights(model, folder / "weights.safetensors")
        inputs = load_file(folder / "items.safetensors")
        popular = inputs.pop(_POPULAR)
        return cls(model.eval(), told["item_fields"], inputs, popular, told["history_length"], told["threads"])
