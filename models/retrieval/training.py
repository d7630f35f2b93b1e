"""Train the towers: encoders, examples, the epoch loop, and recall on the last days of the window."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from expectations.progress import OnProgress
from models.encoding import EncoderField
from models.fit import Batch, TrainingLog, fit, initialise
from models.losses import sampled_softmax
from models.retrieval.batches import Batches
from models.retrieval.catalogue import Encoded, fit_item_fields, fit_user_fields
from models.retrieval.config import TowersConfig
from models.retrieval.examples import Examples, write_examples
from models.retrieval.searches import NO_SEARCHES, SearchInput
from models.retrieval.towers import TwoTowers


@dataclass(frozen=True)
class TrainedTowers:
    """A trained model with the encoders that feed it and the log of its training."""

    model: TwoTowers
    user_fields: list[EncoderField]
    item_fields: list[EncoderField]
    log: TrainingLog
    num_examples: int
    num_validation: int


def train_towers(
    watches: Sequence[Path],
    users: pa.Table,
    items: pa.Table,
    config: TowersConfig,
    *,
    last_day: datetime.date,
    scratch: Path,
    searches: Sequence[Path] = (),
    device: torch.device | str = "cpu",
    on_progress: OnProgress = lambda done, total, what: None,
) -> TrainedTowers:
    """Train on the positives of a window.

    Args:
        watches: Parquet files of the window's watches; streamed, in any order.
        users, items: the catalogue as of `last_day`, any order; small next to the log, and held whole.
        last_day: last day of the window; the `config.validation_days` that end with it are validated on.
        scratch: an empty folder for shards of examples, about 40 bytes a watch and 4 a word that it may know.
        searches: Parquet files of the window's searches; a log may have none.

    Raises:
        Failure: no examples, or a loss that is not finite.
    """
    users, items = users.sort_by("user_id"), items.sort_by("item_id")
    shards = write_examples(
        watches,
        items["item_id"].to_numpy(),
        scratch,
        split=_midnight(last_day) + datetime.timedelta(days=1 - config.validation_days),
        max_examples_per_user=config.max_examples_per_user,
        max_validation_examples=config.max_validation_examples,
        seed=config.seed,
        searches=searches if config.search_words else (),
        num_words=config.search_words,
        on_progress=on_progress,
    )
    searched = SearchInput.of(shards.words, config)
    user_fields = fit_user_fields(users, config.max_vocabulary, config.age_powers)
    item_fields = fit_item_fields(items, shards.num_positives[1:], config.min_item_positives, config.max_vocabulary)
    known = Encoded.of(users, "user_id", user_fields), Encoded.of(items, "item_id", item_fields)
    user_fields = [*user_fields, *searched.fields]
    model = TwoTowers(user_fields, item_fields, config.dim, config.hidden, config.recent_lengths, config.example_age)
    initialise(model, config.seed)
    num_validation = len(shards.validation)
    log = fit(
        model,
        Batches(shards, *known, config, searched),
        TowersLoss(config),
        config.fit,
        validate=Validation(shards.validation, *known, config, searched) if num_validation else None,
        device=device,
        on_progress=on_progress,
    )
    return TrainedTowers(model, user_fields, item_fields, log, shards.num_examples, num_validation)


def _midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time(), tzinfo=datetime.UTC)


@dataclass(frozen=True)
class TowersLoss:
    """The sampled softmax of one batch, as `config` wants it."""

    config: TowersConfig

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(model, TwoTowers)
        inputs_UD = model.item_inputs(batch)
        return sampled_softmax(
            model.user_vectors(batch, batch["history"], inputs_UD, batch["age_days"]),
            model.item_vectors(inputs_UD[batch["candidates"]]),
            batch["candidates"],
            temperature=self.config.temperature,
            log_q_C=batch["log_q"] if self.config.logq_correction else None,
            mask_accidental_hits=self.config.mask_accidental_hits,
        )


class Validation:
    """Recall of held-out positives among the best `config.validation_k` of all items not in the user's history."""

    def __init__(
        self,
        examples: Examples,
        users: Encoded,
        items: Encoded,
        config: TowersConfig,
        searches: SearchInput = NO_SEARCHES,
    ) -> None:
        self._users = users.take(users.rows(examples.user)) | searches.take(examples.searched)
        self._items = items.take(np.arange(1, len(items.ids) + 1))
        self._history = torch.from_numpy(examples.histories(config.history_length)).long()
        self._positives = torch.from_numpy(examples.positives()).long() - 1
        self._k = config.validation_k

    def __call__(self, model: nn.Module) -> float:
        assert isinstance(model, TwoTowers)
        device = next(model.parameters()).device
        inputs_UD = model.item_inputs({name: values.to(device) for name, values in self._items.items()})
        vectors_UD = model.item_vectors(inputs_UD)
        hits = 0
        for part in torch.arange(len(self._positives)).split(512):
            fields = {name: values[part].to(device) for name, values in self._users.items()}
            history = self._history[part].to(device)
            scores = model.user_vectors(fields, history, inputs_UD) @ vectors_UD.T
            positives = self._positives[part].to(device)[:, None]
            score = scores.gather(1, positives)
            # Column 0 takes the places where there is no history, and goes.
            scores = nn.functional.pad(scores, (1, 0)).scatter(1, history, -torch.inf)[:, 1:]
            hits += int(((scores > score).sum(dim=1) < self._k).sum())
        return hits / len(self._positives)
