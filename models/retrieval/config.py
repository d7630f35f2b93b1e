"""Settings of the two towers and of their item vectors. Imports nothing heavy."""

from typing import Annotated, Literal

from pydantic import Field

from expectations.settings import settings
from models.config import FitConfig


@settings
class TowersConfig:
    """The two-tower model: its shape, its negatives, its examples, its validation."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Decides the initial weights, the order of examples and the negatives."""

    dim: Annotated[int, Field(ge=4, le=1024)] = 64
    """Dimensions of the embeddings and of the vectors that come out."""
    hidden: Annotated[int, Field(ge=0, le=4096)] = 128
    """Units of the hidden layer of each tower; 0 leaves it out."""
    history_length: Annotated[int, Field(ge=1, le=1000)] = 50
    """Last positives that the user tower averages."""
    recent_lengths: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = (3, 10)
    """Besides the whole history, this many of its last positives are averaged on their own: they tell what is next."""
    age_powers: bool = False
    """Besides the age its square and its root are inputs, so that a taste may come and go with it."""
    example_age: bool = False
    """Tell the user tower how long before the end of training an example was, and 0 when it serves: it then recommends
    for the end of the window, not for its middle."""
    search_words: Annotated[int, Field(ge=0, le=1000)] = 10
    """Last words searched for, on earlier days, that the user tower averages; 0 leaves searches out. A bundle knows as
    many as `features.search_words`."""
    search_hashing: Literal["words", "trigrams"] = "words"
    """What of a word is hashed: itself, or its letter trigrams."""
    search_buckets: Annotated[int, Field(ge=1, le=10_000_000)] = 5000
    """Embeddings that the hashed words share."""
    min_item_positives: Annotated[int, Field(ge=1)] = 3
    """Training positives from which on an item has an id embedding; others live on their content alone."""
    max_vocabulary: Annotated[int, Field(ge=1)] = 1_000_000
    """Most values of one category (item id, series, creator, ...), the most frequent ones."""
    id_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the items of a batch whose id is hidden, so that content learns to stand for cold items."""
    history_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the examples whose history is hidden, so that the other fields learn to stand for new users."""

    batch_size: Annotated[int, Field(ge=2, le=65536)] = 256
    """Examples of a step; each is a negative of all others."""
    mixed_negatives: Annotated[int, Field(ge=0, le=65536)] = 256
    """Negatives of a step drawn uniformly from the catalogue; 0 leaves only in-batch negatives."""
    logq_correction: bool = True
    """Subtract the log of the sampling probability from the logits."""
    mask_accidental_hits: bool = True
    """A negative that is the example's own positive does not count."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 0.1
    """Divides the cosines before the softmax."""

    max_examples_per_user: Annotated[int, Field(ge=1)] = 50
    """Latest positives of a user that are trained on, so that heavy users do not drown the others."""
    max_examples_per_epoch: Annotated[int, Field(ge=1)] = 300_000
    """Examples of one epoch; of a longer log every epoch sees another sample."""
    validation_days: Annotated[int, Field(ge=0, le=365)] = 2
    """Last days of the window that are validated on instead of trained on; 0 trains all epochs on all days. Only on
    these days can the ranker learn what the towers' score is worth: on the others they know the answers."""
    validation_k: Annotated[int, Field(ge=1)] = 50
    """The metric is recall of the validation positives among this many items, out of all items."""
    max_validation_examples: Annotated[int, Field(ge=1)] = 5000
    """Validation positives, a sample of them where there are more."""
    fit: FitConfig = FitConfig(learning_rate=3e-3, max_epochs=8, patience=2)
    """The epoch loop."""


@settings
class TwoTowerConfig(TowersConfig):
    """The towers on interactions alone (`two_tower` of the catalogue): other defaults, and how sets are learnt from.

    Seed, threads and validation come from whoever trains. Data without order keep no `recent_lengths`, and average all
    of a history; `example_age` needs times.
    """

    dim: Annotated[int, Field(ge=4, le=1024)] = 128
    """Dimensions of the embeddings and of the vectors that come out."""
    hidden: Annotated[int, Field(ge=0, le=4096)] = 0
    """Units of the hidden layer of each tower; 0 leaves it out."""
    set_targets: Annotated[int, Field(ge=1, le=1000)] = 8
    """Where the order says nothing: positives of one user in a step; the user's other items are their history."""
    min_item_positives: Annotated[int, Field(ge=1)] = 1
    """Training positives from which on an item has an id embedding."""
    id_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the items of a batch whose id is hidden."""
    history_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.02
    """Share of the examples whose history is hidden."""
    popularity_half_life_days: Annotated[float, Field(ge=0)] = 7.0
    """Who has no history gets what is popular: an interaction counts half after so many days; 0 counts all the same."""
    batch_size: Annotated[int, Field(ge=2, le=65536)] = 2048
    """Examples of a step; each is a negative of all others."""
    mixed_negatives: Annotated[int, Field(ge=0, le=65536)] = 2048
    """Negatives of a step drawn uniformly from the catalogue; 0 leaves only in-batch negatives."""
    fit: FitConfig = FitConfig(learning_rate=1e-2, final_learning_rate_share=0.1, max_epochs=10, patience=2)
    """The epoch loop."""


@settings
class EmbeddingsConfig:
    """Batch inference of the item tower."""

    items_per_shard: Annotated[int, Field(ge=1)] = 100_000
    """Items of one shard of vectors, and so of one shard of the index."""
    batch_size: Annotated[int, Field(ge=1)] = 4096
    """Items of one step of inference."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """CPU threads of the sums; like the batch size it may change the last bit of a vector."""
