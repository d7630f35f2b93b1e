"""Settings of the transformer over histories. Imports nothing heavy."""

from typing import Annotated

from pydantic import Field

from expectations.settings import settings
from models.config import FitConfig

Share = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=100)]


@settings
class TransformerConfig:
    """A causal transformer that reads a history as a sentence and says what comes next."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Decides the initial weights, the order of sentences, the negatives and the dropout."""

    dim: Annotated[int, Field(ge=4, le=1024)] = 64
    """Dimensions of tokens, of member vectors and of title vectors."""
    num_blocks: Annotated[int, Field(ge=1, le=24)] = 1
    """Blocks of attention and feed-forward network."""
    num_heads: Annotated[int, Field(ge=1, le=64)] = 1
    """Attention heads of a block; `dim` must be a multiple."""
    feedforward: Annotated[int, Field(ge=1, le=16)] = 4
    """Units of the feed-forward network, as a multiple of `dim`."""
    max_tokens: Annotated[int, Field(ge=2, le=2048)] = 50
    """Tokens that are read at once, the newest."""
    dropout: Share = 0.4
    """Share of the inputs of every block, and of its outputs, that training hides."""
    normalise: bool = True
    """Scores are cosines, or else products, which want a `temperature` of about 1."""
    temperature: Annotated[float, Field(gt=0, le=100)] = 0.1
    """Divides the scores before the softmax."""

    batch_tokens: Annotated[int, Field(ge=8, le=1_000_000)] = 512
    """Tokens of a step, of sentences of about one length; each positive is a negative of all others."""
    uniform_negatives: Annotated[int, Field(ge=0, le=1_000_000)] = 256
    """Negatives of a step drawn uniformly from the catalogue, beside those of the batch."""
    in_batch_negatives: bool = True
    """The positives of the other places are negatives, too."""
    logq_correction: bool = True
    """Subtract the log of the sampling probability from the logits of negatives."""

    min_item_positives: Annotated[int, Field(ge=1)] = 3
    """Training positives from which on a title has an embedding of its own; others live on their content alone."""
    id_dropout: Share = 0.1
    """Share of the titles of a batch whose own embedding is hidden, so that content learns to stand for cold ones."""
    max_vocabulary: Annotated[int, Field(ge=1)] = 1_000_000
    """Most values of one category of the titles, the most frequent ones."""

    action_weight: Weight = 0.1
    """Weight in the loss of saying which kind of token comes next."""
    share_weight: Weight = 0.1
    """Weight in the loss of saying what share of the next title will be watched."""
    search_weight: Weight = 0.1
    """Weight in the loss of saying which title a search is for."""

    validation_days: Annotated[int, Field(ge=0, le=365)] = 2
    """Last days of the window that are validated on instead of trained on; 0 trains all epochs on all days."""
    validation_k: Annotated[int, Field(ge=1)] = 50
    """The metric is recall of the validation positives among this many titles, out of all that the member has not
    watched."""
    max_validation_users: Annotated[int, Field(ge=1)] = 5000
    """Members validated on, a sample of them where there are more."""
    fit: FitConfig = FitConfig(learning_rate=2e-3, max_epochs=15, patience=3)
    """The epoch loop."""

    def __post_init__(self) -> None:
        if self.dim % self.num_heads:
            raise ValueError(f"dim is {self.dim}; it must be a multiple of num_heads, which is {self.num_heads}")
