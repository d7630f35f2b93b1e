"""Train the transformer: the losses of its heads over one batch, and the epoch loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from expectations.progress import OnProgress
from models.encoding import EncoderField
from models.fit import Batch, TrainingLog, fit, initialise
from models.losses import sampled_softmax
from models.retrieval.catalogue import Encoded
from models.sequence.batches import Batches
from models.sequence.config import TransformerConfig
from models.sequence.network import Block, Shape, Transformer
from models.sequence.sentences import ACTIONS, Sentences

_TITLE_STD = 0.02  # as in language models (Radford et al. 2019): a sum of several such embeddings starts small


def shape_of(sentences: Sentences, config: TransformerConfig) -> Shape:
    """The network that such sentences need: what none of them knows has no table."""

    def size(values: object) -> int:
        return 1 if values is None else 1 + int(values.max(initial=0))  # type: ignore[attr-defined]

    has_actions = bool((sentences.action > 1).any())
    return Shape(
        dim=config.dim,
        num_blocks=config.num_blocks,
        num_heads=config.num_heads,
        feedforward=config.feedforward,
        max_tokens=config.max_tokens,
        num_actions=1 + len(ACTIONS) if has_actions else 1,
        num_devices=size(sentences.device),
        num_gaps=size(sentences.gap),
        num_words=size(sentences.words),
        normalise=config.normalise,
    )


@dataclass(frozen=True)
class TransformerLoss:
    """The weighted sum of the heads' losses over one batch."""

    config: TransformerConfig

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(model, Transformer)
        titles_UD = model.title_vectors(batch)
        states_BLD = model(batch, titles_UD)
        states_PD = states_BLD.flatten(0, 1)[batch["place"]]
        candidates_CD = titles_UD[batch["candidates"]]
        loss = self._next_item(states_PD, candidates_CD, batch)
        if model.shape.num_actions > 1 and self.config.action_weight:
            loss = loss + self.config.action_weight * _next_action(model, states_BLD, batch)
        known_P = ~batch["share"].isnan()
        if self.config.share_weight and known_P.any():
            loss = loss + self.config.share_weight * _watched_share(model, states_PD, candidates_CD, batch, known_P)
        searched_S = batch["searched"]
        if self.config.search_weight and len(searched_S):
            found = functional.cross_entropy(
                model.searched(states_PD[searched_S]) @ candidates_CD.T / self.config.temperature, searched_S
            )
            loss = loss + self.config.search_weight * found
        return loss

    def _next_item(self, states_PD: Tensor, candidates_CD: Tensor, batch: Batch) -> Tensor:
        candidates_C, log_q_C = batch["candidates"], batch["log_q"]
        if not self.config.in_batch_negatives:
            return _softmax_of_uniform(states_PD, candidates_CD, candidates_C, self.config.temperature)
        return sampled_softmax(
            states_PD,
            candidates_CD,
            candidates_C,
            temperature=self.config.temperature,
            log_q_C=log_q_C if self.config.logq_correction else None,
        )


def _softmax_of_uniform(states_PD: Tensor, candidates_CD: Tensor, candidates_C: Tensor, temperature: float) -> Tensor:
    """The sampled softmax over the positive and the uniform negatives alone, which need no correction."""
    num_places = len(states_PD)
    positive_P = (states_PD * candidates_CD[:num_places]).sum(dim=1, keepdim=True)
    negative_PN = states_PD @ candidates_CD[num_places:].T
    same_PN = candidates_C[:num_places, None] == candidates_C[None, num_places:]
    logits = torch.cat([positive_P, negative_PN.masked_fill(same_PN, -torch.inf)], dim=1) / temperature
    return functional.cross_entropy(logits, torch.zeros(num_places, dtype=torch.int64, device=logits.device))


def _next_action(model: Transformer, states_BLD: Tensor, batch: Batch) -> Tensor:
    logits = model.next_action(states_BLD).flatten(0, 1)
    # 0 means that nothing follows; a batch always has a place that something follows.
    return functional.cross_entropy(logits, batch["next_action"].flatten(), ignore_index=0)


def _watched_share(
    model: Transformer, states_PD: Tensor, candidates_CD: Tensor, batch: Batch, known_P: Tensor
) -> Tensor:
    logits_P = (model.watched_share(states_PD) * candidates_CD[: len(states_PD)]).sum(dim=1)
    return functional.binary_cross_entropy_with_logits(logits_P[known_P], batch["share"][known_P])


def _start_small(model: Transformer) -> None:
    """Blocks that average, and no field of a title that outweighs the others: a linear map of one number has weights of
    up to 1, beside which the embeddings are nothing, and all titles look alike.
    """
    for block in model.blocks:
        assert isinstance(block, Block)
        block.start_as_average()
    with torch.no_grad():
        for layer in model.item_fields.numbers.values():
            assert isinstance(layer, nn.Linear)
            layer.weight *= _TITLE_STD
            layer.bias.zero_()


def train_transformer(
    sentences: Sentences,
    titles: Encoded,
    title_fields: Sequence[EncoderField],
    config: TransformerConfig,
    *,
    shuffled: bool = False,
    validate: Callable[[nn.Module], float] | None = None,
    device: torch.device | str = "cpu",
    on_progress: OnProgress = lambda done, total, what: None,
) -> tuple[Transformer, TrainingLog, int]:
    """Train on sentences of members; gives the model, the log of its epochs and the number of examples.

    Raises:
        Failure: nothing to predict, or a loss that is not finite.
    """
    model = Transformer(title_fields, shape_of(sentences, config), config.dropout, config.seed)
    initialise(model, config.seed, embedding_std=_TITLE_STD)
    _start_small(model)
    batches = Batches(sentences, titles, config, shuffled=shuffled)
    log = fit(
        model,
        batches,
        TransformerLoss(config),
        config.fit,
        validate=validate,
        device=device,
        on_progress=on_progress,
    )
    return model, log, batches.num_examples
