import dataclasses

import numpy as np
import pytest

from models.config import FitConfig
from models.retrieval.catalogue import items_of
from models.sequence.batches import Batches
from models.sequence.config import TransformerConfig
from models.sequence.sentences import PLAY, SEARCH, Sentences

CONFIG = TransformerConfig(batch_tokens=64, uniform_negatives=7, id_dropout=0.0, max_tokens=4)


def _all(chains, config=CONFIG, epoch=1, shuffled=False, sentences=None):
    titles, _ = items_of(chains, 1)
    batches = Batches(sentences or Sentences.of_plays(chains.histories), titles, config, shuffled=shuffled)
    return list(batches(epoch)), batches


def _pairs(batches) -> list[tuple[int, int]]:
    """(item before, item predicted), of every place of every batch, in item rows."""
    found = []
    for batch in batches:
        row = batch["item_item_id"].numpy()  # of a vocabulary that is the catalogue, own number = item + 1
        item = batch["item"].numpy().ravel()[batch["place"].numpy()]
        positive = batch["candidates"].numpy()[: len(item)]
        found += list(zip(row[item - 1].tolist(), row[positive].tolist(), strict=True))
    return found


def test_every_step_of_every_history_is_learnt_once_an_epoch(chains):
    batches, made = _all(chains)
    histories = chains.histories
    steps = [
        (int(histories.items[n]) + 1, int(histories.items[n + 1]) + 1)
        for start, end in zip(histories.offsets, histories.offsets[1:], strict=False)
        for n in range(start, end - 1)
    ]
    assert sorted(_pairs(batches)) == sorted(steps)
    assert made.num_examples == len(steps)


def test_batches_are_a_function_of_seed_and_epoch(chains):
    first, second = _all(chains)[0], _all(chains)[0]
    for a, b in zip(first, second, strict=True):
        assert all(a[name].equal(b[name]) for name in ("item", "candidates", "place"))
    assert not first[0]["item"].equal(_all(chains, epoch=2)[0][0]["item"])


def test_batches_hold_about_as_many_tokens_as_asked_for_and_little_padding(chains):
    batches, _ = _all(chains, dataclasses.replace(CONFIG, max_tokens=50))
    sizes = [batch["item"].numel() for batch in batches]
    assert max(sizes) <= 64
    filled = sum(int((batch["item"] > 0).sum()) for batch in batches)
    assert filled / sum(sizes) > 0.9


def test_sets_are_read_in_another_order_every_epoch(chains):
    pairs = [set(_pairs(_all(chains, epoch=epoch, shuffled=True)[0])) for epoch in (1, 2)]
    assert pairs[0] != pairs[1]


def test_only_positive_plays_are_predicted_and_searches_say_what_for():
    sentences = Sentences(
        offsets=np.array([0, 5]),
        item=np.array([1, 2, 0, 3, 4]),
        action=np.array([PLAY, PLAY, SEARCH, PLAY, PLAY]),
        positive=np.array([True, False, False, True, True]),
        share=np.array([1.0, 0.1, np.nan, 0.9, 0.8], dtype=np.float32),
    )
    from models.interactions import Histories, Interactions

    data = Interactions(Histories(np.array([0, 4]), np.arange(4)), 4, ordered=True)
    ((batch,), _) = _all(data, dataclasses.replace(CONFIG, max_tokens=10), sentences=sentences)
    row = batch["item_item_id"].numpy()
    # From the first play, the one that was not liked, and the search comes item 3; from that play comes item 4.
    assert row[batch["candidates"].numpy()[:4]].tolist() == [3, 3, 3, 4]
    assert batch["searched"].tolist() == [2]
    assert batch["share"].tolist() == pytest.approx([0.9, 0.9, 0.9, 0.8])
    assert batch["next_action"].tolist() == [[PLAY, SEARCH, PLAY, PLAY]]


def test_config_wants_heads_that_divide_the_dimensions():
    with pytest.raises(ValueError, match="multiple of num_heads"):
        TransformerConfig(dim=64, num_heads=3, fit=FitConfig())
