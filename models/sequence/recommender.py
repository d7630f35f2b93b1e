"""The transformer as a model of the catalogue: it learns from interactions alone."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from models.encoding import EncoderField
from models.fit import load_weights, pinned_threads, save_weights
from models.interactions import Floats, Histories, Interactions, Ints, Trained, Training
from models.retrieval.catalogue import Encoded, items_of
from models.sequence.config import TransformerConfig
from models.sequence.network import Shape, Transformer
from models.sequence.sentences import Sentences
from models.sequence.training import train_transformer

_USERS_AT_ONCE = 256


class TransformerRecommender:
    """Scores of all items after a history; a history of nothing is answered by what the empty sentence says.

    Items and their attributes are numbered as in `Interactions`.
    """

    def __init__(self, model: Transformer, titles: Encoded, fields: list[EncoderField], threads: int = 1) -> None:
        self.model, self.titles, self.fields, self.threads = model, titles, fields, threads

    def scores(self, users: Ints, histories: Histories) -> Floats:
        """See `Recommender.scores`; the users' numbers say nothing to this model."""
        del users
        self.model.eval()
        sentences = Sentences.of_plays(histories.known(len(self.titles.ids)))
        with torch.no_grad(), pinned_threads(self.threads):
            titles_UD = self.model.title_vectors(self.titles.take(np.arange(1, len(self.titles.ids) + 1)))
            parts = [
                self._members(sentences, rows, titles_UD) @ titles_UD.T
                for rows in np.array_split(np.arange(len(histories)), max(1, -(-len(histories) // _USERS_AT_ONCE)))
            ]
        return torch.cat(parts).numpy()

    def _members(self, sentences: Sentences, rows: Ints, titles_UD: torch.Tensor) -> torch.Tensor:
        newest = sentences.newest(rows, self.model.shape.max_tokens)
        return self.model.member_vectors({name: torch.from_numpy(v) for name, v in newest.items()}, titles_UD)

    def save(self, folder: Path) -> None:
        """Write `weights.safetensors`, `model.json` and the titles' encoded attributes (`titles.npz`)."""
        save_weights(self.model, folder / "weights.safetensors")
        told = {"shape": dataclasses.asdict(self.model.shape), "fields": self.fields, "threads": self.threads}
        (folder / "model.json").write_text(json.dumps(told, sort_keys=True) + "\n")
        arrays: dict[str, Any] = {"ids": self.titles.ids, **self.titles.inputs}
        np.savez(folder / "titles.npz", **arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        told = json.loads((folder / "model.json").read_text())
        with np.load(folder / "titles.npz") as arrays:
            inputs = {name: arrays[name] for name in arrays.files if name != "ids"}
            titles = Encoded(arrays["ids"], inputs)
        model = Transformer(told["fields"], Shape(**told["shape"]))
        load_weights(model, folder / "weights.safetensors")
        return cls(model.eval(), titles, told["fields"], told["threads"])


def train(data: Interactions, settings: TransformerConfig, training: Training) -> Trained:
    """Train on histories; sets are read in another order every epoch.

    Raises:
        Failure: nobody has two items, or a loss that is not finite.
    """
    config = dataclasses.replace(
        settings, seed=training.seed, fit=dataclasses.replace(settings.fit, threads=training.threads)
    )
    titles, fields = items_of(data, config.min_item_positives)

    def validate(model: nn.Module) -> float:
        assert isinstance(model, Transformer) and training.judge is not None
        return training.judge(TransformerRecommender(model, titles, fields, training.threads))

    model, log, _ = train_transformer(
        Sentences.of_plays(data.histories),
        titles,
        fields,
        config,
        shuffled=not data.ordered,
        validate=validate if training.judge else None,
        on_progress=training.on_progress,
    )
    return Trained(TransformerRecommender(model, titles, fields, training.threads), log.best_epoch)
