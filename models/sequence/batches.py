"""Batches of windows of about one length, and what is predicted from each place.

Padding is what makes transformers over short histories slow: of 50 places, histories of nine fill nine. Windows of one
length go together, and a batch has as many of them as fill `batch_tokens`.

Shapes: B windows, L places, P places that are predicted from, C candidates, U distinct titles.
"""

from collections.abc import Iterator

import numpy as np
import torch

from models.fit import Batch
from models.interactions import Ints
from models.losses import mixed_log_q
from models.retrieval.catalogue import ITEM_ID, Encoded
from models.sequence.config import TransformerConfig
from models.sequence.sentences import PLAY, SEARCH, Sentences, right_padded, windows

_POOL_BATCHES = 32  # windows of so many batches are sorted by length together: alike in length, yet well mixed


class Batches:
    """The batches of any epoch, a pure function of seed and epoch.

    A batch has the network's inputs, the fields of its U distinct titles, and:
    `place` `[P]` flat places of `[B, L]`, `candidates` `[C]` (places among the U: the P positives, then negatives),
    `log_q` `[C]`, `next_action` `[B, L]` (0 for none), `share` `[P]` (NaN for not known), `searched` `[S]` places
    among the P whose token is a search.
    """

    def __init__(self, sentences: Sentences, titles: Encoded, config: TransformerConfig, *, shuffled: bool) -> None:
        """`shuffled`: the order within a member says nothing, so every epoch draws another."""
        self._sentences, self._titles, self._config, self._shuffled = sentences, titles, config, shuffled
        self._starts, self._ends = windows(sentences.offsets, config.max_tokens)
        self._target = _next_positive(sentences)
        positives = sentences.item[self._target[self._target >= 0]]
        self._frequency = np.bincount(positives, minlength=len(titles.ids) + 1) / max(len(positives), 1)

    @property
    def num_examples(self) -> int:
        """Places that something is predicted from."""
        return int(np.count_nonzero(self._target >= 0))

    def __call__(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng([self._config.seed, 2, epoch])
        sentences, target = self._sentences, self._target
        if self._shuffled:
            sentences = _shuffled(sentences, rng)
            target = _next_positive(sentences)
        order = rng.permutation(len(self._starts))
        for chosen in _by_length(order, self._ends - self._starts, self._config.batch_tokens, rng):
            batch = self._batch(sentences, target, self._starts[chosen], self._ends[chosen], rng)
            if batch is not None:
                yield batch

    def _batch(
        self, sentences: Sentences, target: Ints, starts: Ints, ends: Ints, rng: np.random.Generator
    ) -> Batch | None:
        # The last token of a window is only predicted.
        places = right_padded(starts, ends - 1)
        goal = np.where(places >= 0, target[places], -1)
        # What is predicted must lie in the window: else its order with the next window's start would be learnt twice.
        goal = np.where(goal < ends[:, None], goal, -1).ravel()
        (place,) = np.nonzero(goal >= 0)
        if not len(place):
            return None
        goal = goal[place]
        inputs = sentences.columns(places)
        positives = sentences.item[goal]
        uniform = rng.integers(1, len(self._titles.ids) + 1, size=self._config.uniform_negatives)
        candidates = np.concatenate([positives, uniform])
        distinct, row = _distinct(len(self._titles.ids), candidates, inputs["item"])
        titles = self._titles.take(distinct)
        hidden = rng.random(len(distinct)) < self._config.id_dropout
        titles[ITEM_ID] = titles[ITEM_ID].masked_fill(torch.from_numpy(hidden), 0)
        inputs["item"] = np.where(inputs["item"] > 0, row[inputs["item"]] + 1, 0)
        in_batch = len(positives) if self._config.in_batch_negatives else 0
        log_q = mixed_log_q(
            torch.from_numpy(self._frequency[candidates]).float(), in_batch, len(uniform), len(self._titles.ids)
        )
        following = np.where((places >= 0) & (places + 1 < ends[:, None]), places + 1, -1)
        share = sentences.share[goal] if sentences.share is not None else np.full(len(goal), np.nan, np.float32)
        is_search = inputs["action"].ravel()[place] == SEARCH
        arrays = {
            **inputs,
            "place": place,
            "candidates": row[candidates],
            "next_action": np.where(following >= 0, sentences.action[following], 0),
            "share": share.astype(np.float32),
            "searched": np.flatnonzero(is_search),
        }
        return {**titles, **{name: torch.from_numpy(values) for name, values in arrays.items()}, "log_q": log_q}


def _next_positive(sentences: Sentences) -> Ints:
    """Place of the next positive play of the same member after each token, int64 `[N]`; -1 where there is none."""
    num_tokens = len(sentences.item)
    is_goal = sentences.positive & (sentences.action == PLAY) & (sentences.item > 0)
    nearest = np.where(is_goal, np.arange(num_tokens), num_tokens)
    nearest = np.minimum.accumulate(nearest[::-1])[::-1]
    following = np.append(nearest[1:], num_tokens) if num_tokens else nearest
    ends = np.repeat(sentences.offsets[1:], sentences.sizes)
    return np.where(following < ends, following, -1)


def _shuffled(sentences: Sentences, rng: np.random.Generator) -> Sentences:
    """Plays alone, in another order within each member."""
    member = np.repeat(np.arange(len(sentences)), sentences.sizes)
    order = np.lexsort((rng.random(len(member)), member))
    return Sentences(sentences.offsets, sentences.item[order], sentences.action, sentences.positive)


def _by_length(order: Ints, sizes: Ints, batch_tokens: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Windows in groups that fill about `batch_tokens` when padded, in random order."""
    mean = max(1.0, float(sizes.mean())) if len(sizes) else 1.0
    pool = max(1, round(_POOL_BATCHES * batch_tokens / mean))
    groups: list[Ints] = []
    for start in range(0, len(order), pool):
        some = order[start : start + pool]
        some = some[np.argsort(sizes[some], kind="stable")]
        while len(some):
            # From the longest down: the first decides how many fit.
            longest = int(sizes[some[-1]])
            count = max(1, batch_tokens // longest)
            groups.append(some[-count:])
            some = some[:-count]
    for number in rng.permutation(len(groups)):
        yield groups[number]


def _distinct(num_items: int, *rows: Ints) -> tuple[Ints, Ints]:
    """The distinct item rows (0 left out), ascending, and for every item row its place among them."""
    present = np.zeros(num_items + 1, dtype=bool)
    for some in rows:
        present[some.ravel()] = True
    present[0] = False
    return np.flatnonzero(present), np.cumsum(present) - 1
