"""A causal transformer over a history of heterogeneous tokens.

With plays only it is SASRec (Kang and McAuley 2018, "Self-Attentive Sequential Recommendation"), pre-normalised. With
all tokens it is a foundation model in the sense of Netflix (Hsiao et al. 2025): a token is the sum of what is known of
an event (title, action, device, time gap, words searched for), and several heads are read from its last place.

Sentences start at place 0 and are padded on the right, so the causal mask alone keeps padding out of sight.

Shapes: B sentences, L places, D dimensions, U distinct titles of a batch, P places that are predicted from, H heads,
W words of a search.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.encoding import EncoderField
from models.retrieval.towers import FieldSum

_ALIKE = 0.3  # of the usual size of queries and keys, at which attention starts out nearly uniform


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What is needed to build the network again before its weights are loaded.

    Attributes:
        num_actions, num_devices, num_gaps, num_words: sizes of the vocabularies beside the titles, 0 included, which
            stands for none; one of size 1 says nothing and has no table.
    """

    dim: int
    num_blocks: int
    num_heads: int
    feedforward: int
    max_tokens: int
    num_actions: int = 1
    num_devices: int = 1
    num_gaps: int = 1
    num_words: int = 1
    normalise: bool = False


class SeededDropout(nn.Module):
    """Dropout whose draws come from a generator of its model, so that trainings side by side do not disturb each other
    (torch's own draws from one generator for the whole process).
    """

    def __init__(self, share: float, generator: torch.Generator) -> None:
        super().__init__()
        self.share, self.generator = share, generator

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or not self.share:
            return values
        kept = torch.empty(values.shape, device=self.generator.device)
        kept.bernoulli_(1 - self.share, generator=self.generator)
        return values * kept.to(values.device) / (1 - self.share)


class Block(nn.Module):
    """Attention and a feed-forward network, each with a residual path, normalised before (Xiong et al. 2020)."""

    def __init__(self, shape: Shape, dropout: SeededDropout) -> None:
        super().__init__()
        self.num_heads = shape.num_heads
        self.norm_attention = nn.LayerNorm(shape.dim)
        self.query_key_value = nn.Linear(shape.dim, 3 * shape.dim)
        self.out = nn.Linear(shape.dim, shape.dim)
        self.norm_feedforward = nn.LayerNorm(shape.dim)
        self.expand = nn.Linear(shape.dim, shape.feedforward * shape.dim)
        self.contract = nn.Linear(shape.feedforward * shape.dim, shape.dim)
        self.dropout = dropout

    def start_as_average(self) -> None:
        """Attend to everything alike, hand on what is seen, and leave the rest alone: at first a block adds the mean of
        its tokens so far. From there it learns what deserves attention; from random maps it must first learn to copy
        titles at all, for which a small log has too few steps (compare Trockman and Kolter 2023, "Mimetic
        Initialization of Self-Attention Layers").
        """
        dim = self.out.in_features
        with torch.no_grad():
            self.query_key_value.weight[: 2 * dim] *= _ALIKE
            self.query_key_value.weight[2 * dim :].copy_(torch.eye(dim))
            self.out.weight.copy_(torch.eye(dim))
            self.contract.weight.zero_()
            for layer in (self.query_key_value, self.out, self.contract):
                layer.bias.zero_()

    def forward(self, tokens_BLD: Tensor) -> Tensor:
        tokens_BLD = tokens_BLD + self.dropout(self._attend(self.norm_attention(tokens_BLD)))
        hidden = torch.relu(self.expand(self.norm_feedforward(tokens_BLD)))
        return tokens_BLD + self.dropout(self.contract(self.dropout(hidden)))

    def _attend(self, tokens_BLD: Tensor) -> Tensor:
        num_sentences, length, dim = tokens_BLD.shape
        heads = self.query_key_value(tokens_BLD).view(num_sentences, length, 3, self.num_heads, dim // self.num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        logits_BHLL = query @ key.transpose(2, 3) / math.sqrt(dim // self.num_heads)
        future_LL = torch.ones(length, length, dtype=torch.bool, device=tokens_BLD.device).triu(1)
        weights_BHLL = self.dropout(logits_BHLL.masked_fill(future_LL, -torch.inf).softmax(dim=3))
        return self.out((weights_BHLL @ value).transpose(1, 2).reshape(num_sentences, length, dim))


class Transformer(nn.Module):
    """Sentences of tokens to vectors of members, and titles to vectors, whose products say what comes next."""

    def __init__(
        self, item_fields: Sequence[EncoderField], shape: Shape, dropout: float = 0.0, generator_seed: int = 0
    ) -> None:
        super().__init__()
        self.shape = shape
        self.dropout = SeededDropout(dropout, torch.Generator().manual_seed(generator_seed))
        self.item_fields = FieldSum(item_fields, shape.dim)
        sizes = {
            "action": shape.num_actions, "device": shape.num_devices, "gap": shape.num_gaps,
        }  # fmt: skip
        self.tables = nn.ModuleDict(
            {name: nn.Embedding(size, shape.dim, padding_idx=0) for name, size in sizes.items() if size > 1}
        )
        self.words = None
        if shape.num_words > 1:
            self.words = nn.EmbeddingBag(shape.num_words, shape.dim, mode="mean", padding_idx=0)
        self.places = nn.Embedding(shape.max_tokens, shape.dim)
        self.blocks = nn.ModuleList(Block(shape, self.dropout) for _ in range(shape.num_blocks))
        self.norm = nn.LayerNorm(shape.dim)
        self.next_action = nn.Linear(shape.dim, shape.num_actions)
        self.watched_share = nn.Linear(shape.dim, shape.dim)
        self.searched = nn.Linear(shape.dim, shape.dim)

    def title_vectors(self, fields: Mapping[str, Tensor]) -> Tensor:
        """Encoded fields of titles -> `[U, D]`: what tokens show of them, and what members are compared with."""
        vectors_UD: Tensor = self.item_fields(fields)
        return functional.normalize(vectors_UD, dim=1) if self.shape.normalise else vectors_UD

    def forward(self, sentences: Mapping[str, Tensor], titles_UD: Tensor) -> Tensor:
        """What each place knows of everything up to it: `[B, L, D]`.

        Args:
            sentences: int64 `[B, L]` each: `item` (1 + row of `titles_UD`, 0 for none) and whichever of `action`,
                `device` and `gap` the model has tables for; int64 `[B, L, W]` `words`. Padding (0) on the right.
        """
        item_BL = sentences["item"]
        tokens_BLD = functional.embedding(item_BL, functional.pad(titles_UD, (0, 0, 1, 0)))
        tokens_BLD = tokens_BLD * math.sqrt(self.shape.dim) + self.places.weight[: item_BL.shape[1]]
        for name, table in self.tables.items():
            tokens_BLD = tokens_BLD + table(sentences[name])
        if self.words is not None:
            words_BLW = sentences["words"]
            tokens_BLD = tokens_BLD + self.words(words_BLW.flatten(0, 1)).view(*words_BLW.shape[:2], -1)
        tokens_BLD = self.dropout(tokens_BLD)
        for block in self.blocks:
            tokens_BLD = block(tokens_BLD)
        return self._ended(self.norm(tokens_BLD))

    def _ended(self, states: Tensor) -> Tensor:
        return functional.normalize(states, dim=-1) if self.shape.normalise else states

    def member_vectors(self, sentences: Mapping[str, Tensor], titles_UD: Tensor) -> Tensor:
        """`[B, D]`: what the last place of each sentence knows; an empty sentence is one place of nothing."""
        states_BLD = self(sentences, titles_UD)
        last_B = (lengths(sentences) - 1).clamp(min=0)
        return states_BLD[torch.arange(len(last_B), device=last_B.device), last_B]


def lengths(sentences: Mapping[str, Tensor]) -> Tensor:
    """Places of each sentence that hold a token, int64 `[B]`: up to the last one of which anything is known."""
    known_BL = sentences["item"] > 0
    if "action" in sentences:
        known_BL = known_BL | (sentences["action"] > 0)
    places_L = torch.arange(1, known_BL.shape[1] + 1, device=known_BL.device)
    return (known_BL * places_L).amax(dim=1)
