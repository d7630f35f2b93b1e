"""The night's transformer: trained on all tokens before the validation days, stopped by recall on those days."""

import datetime
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from expectations.errors import Failure
from expectations.progress import OnProgress
from models.fit import TrainingLog
from models.interactions import Ints
from models.retrieval.catalogue import Encoded, fit_item_fields
from models.sequence.artifact import Foundation
from models.sequence.config import TransformerConfig
from models.sequence.network import Transformer
from models.sequence.reading import read_sentences
from models.sequence.sentences import Sentences
from models.sequence.training import train_transformer


@dataclass(frozen=True)
class TrainedFoundation:
    """A trained model and the log of its training."""

    foundation: Foundation
    log: TrainingLog
    num_examples: int
    num_validation: int


def train_foundation(
    table: pa.Table,
    items: pa.Table,
    config: TransformerConfig,
    *,
    last_day: datetime.date,
    device: torch.device | str = "cpu",
    on_progress: OnProgress = lambda done, total, what: None,
) -> TrainedFoundation:
    """Train on the sentences of a window.

    Args:
        table: dataset `sentences`.
        items: the catalogue as of `last_day`, ascending by item_id.
        last_day: last day of the window; the `config.validation_days` that end with it are validated on.

    Raises:
        Failure: nothing to learn from, or a loss that is not finite.
    """
    sentences = read_sentences(table, items["item_id"].to_numpy())
    first = datetime.datetime.combine(last_day, datetime.time(), tzinfo=datetime.UTC)
    split = first + datetime.timedelta(days=1 - config.validation_days)
    times = table["times"].combine_chunks().flatten().to_numpy()
    is_past = times < split.timestamp()
    past, judged = sentences.where(is_past), sentences.where(~is_past & sentences.positive & (sentences.item > 0))
    positives = np.bincount(past.item[past.positive], minlength=len(items) + 1)[1:]
    if not positives.any():
        raise Failure("transformer: no positive watch before the validation days, so there is nothing to learn from")
    fields = fit_item_fields(items, positives, config.min_item_positives, config.max_vocabulary)
    titles = Encoded.of(items, "item_id", fields)
    rows = np.flatnonzero(judged.sizes > 0)
    chosen = np.random.default_rng([config.seed, 1]).permutation(rows)[: config.max_validation_users]
    validation = Validation(past, judged, np.sort(chosen), titles, config)
    model, log, num_examples = train_transformer(
        past,
        titles,
        fields,
        config,
        validate=validation if len(rows) else None,
        device=device,
        on_progress=on_progress,
    )
    return TrainedFoundation(Foundation(model, fields), log, num_examples, validation.num_positives)


class Validation:
    """Recall of held-out positives among the best `config.validation_k` titles that the member has not played."""

    def __init__(
        self, past: Sentences, judged: Sentences, members: Ints, titles: Encoded, config: TransformerConfig
    ) -> None:
        self._past, self._members, self._titles, self._config = past, members, titles, config
        pairs = {}
        for place, member in enumerate(members.tolist()):
            seen = set(past.item[past.offsets[member] : past.offsets[member + 1]].tolist())
            new = judged.item[judged.offsets[member] : judged.offsets[member + 1]].tolist()
            pairs[place] = (sorted(seen - {0}), sorted(set(new) - seen))
        self._seen = _pairs({place: seen for place, (seen, _) in pairs.items()})
        self._wanted = _pairs({place: new for place, (_, new) in pairs.items()})

    @property
    def num_positives(self) -> int:
        return self._wanted.shape[1]

    def __call__(self, model: nn.Module) -> float:
        assert isinstance(model, Transformer)
        if not self.num_positives:
            return 0.0
        foundation = Foundation(model, [])
        device = next(model.parameters()).device
        inputs = self._titles.take(np.arange(1, len(self._titles.ids) + 1))
        titles = model.title_vectors({name: values.to(device) for name, values in inputs.items()}).cpu().numpy()
        vectors = np.concatenate([foundation.member_vectors(self._past.take(part), titles) for part in self._parts()])
        hits = 0
        for start in range(0, len(vectors), 512):
            scores = vectors[start : start + 512] @ titles.T
            place, row = _between(self._seen, start, start + len(scores))
            scores[place, row] = -np.inf
            place, row = _between(self._wanted, start, start + len(scores))
            better = (scores[place] > scores[place, row][:, None]).sum(axis=1)
            hits += int((better < self._config.validation_k).sum())
        return hits / self.num_positives

    def _parts(self) -> list[Ints]:
        return np.array_split(self._members, max(1, -(-len(self._members) // 2048)))


def _pairs(rows: dict[int, list[int]]) -> np.ndarray:
    """int64 `[2, pairs]`: place of a member, place of a title (from 0)."""
    lengths = np.array([len(values) for values in rows.values()], dtype=np.int64)
    places = np.repeat(np.fromiter(rows, dtype=np.int64, count=len(rows)), lengths)
    items = np.array([item - 1 for values in rows.values() for item in values], dtype=np.int64)
    return np.stack([places, items])


def _between(pairs: np.ndarray, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    inside = slice(*np.searchsorted(pairs[0], [start, end]))
    return pairs[0, inside] - start, pairs[1, inside]
