"""Batches of sets: a target is never in its own history, and every item of a user takes its turn."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.interactions import Histories, Interactions
from models.retrieval.catalogue import ITEM_ID, Encoded
from models.retrieval.config import TwoTowerConfig
from models.retrieval.sets import SetBatches

NUM_ITEMS = 50
ITEMS = Encoded(np.arange(NUM_ITEMS), {ITEM_ID: np.arange(NUM_ITEMS + 1)})
CONFIG = TwoTowerConfig(batch_size=32, mixed_negatives=16, set_targets=4, history_dropout=0)


@pytest.fixture(scope="module")
def data() -> Interactions:
    rng = np.random.default_rng(0)
    rows = [rng.choice(NUM_ITEMS, size, replace=False) for size in [1, 2, 3, 9, 20, 0, *rng.integers(4, 30, 40)]]
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    return Interactions(Histories.of(users, np.concatenate(rows), len(rows)), NUM_ITEMS, False)


def batches(data: Interactions, epoch: int = 1, **changes):
    """Every batch with the item numbers that its places mean."""
    for batch in SetBatches(data, ITEMS, replace(CONFIG, **changes))(epoch):
        item = batch[ITEM_ID].numpy() - 1
        history = np.append(item, -1)[batch["history"].numpy() - 1]
        yield batch, item[batch["candidates"].numpy()], np.where(batch["history"].numpy() > 0, history, -1)


def test_history_and_targets_are_one_user_s_set_and_share_nothing(data):
    known = {frozenset(data.histories.take(np.array([u])).items.tolist()) for u in range(data.num_users)}
    for batch, candidates, history in batches(data):
        for row in range(len(history)):
            targets = candidates[: len(batch["user"])][batch["user"].numpy() == row].tolist()
            before = history[row][history[row] >= 0].tolist()
            assert not set(targets) & set(before) and len(targets) > 0
            assert frozenset(targets + before) in known


def test_every_item_of_a_user_is_an_example_once_but_for_a_rest(data):
    examples = np.concatenate([candidates[: len(batch["user"])] for batch, candidates, _ in batches(data)])
    sizes = data.histories.sizes
    group = np.maximum(np.minimum(4, sizes // 2), 1)
    assert len(examples) == (sizes // group * group).sum()
    single = list(batches(data, set_targets=1))
    counts = sum(np.bincount(c[: len(b["user"])], minlength=NUM_ITEMS) for b, c, _ in single)
    assert np.array_equal(counts, np.bincount(data.histories.items, minlength=NUM_ITEMS))


def test_users_with_much_have_no_more_examples_than_allowed(data):
    num = sum(len(batch["user"]) for batch, _, _ in batches(data, max_examples_per_user=4, set_targets=1))
    assert num == np.minimum(data.histories.sizes, 4).sum()


def test_what_a_user_has_is_known(data):
    for batch, candidates, history in batches(data):
        user = batch["user"].numpy()
        for row, known in enumerate(batch["known"].numpy()):
            has = set(history[row].tolist()) | set(candidates[: len(user)][user == row].tolist())
            assert np.array_equal(known, [item in has for item in candidates])


def test_the_probabilities_are_those_of_the_candidates(data):
    drawn, expected = np.zeros(NUM_ITEMS), np.zeros(NUM_ITEMS)
    for epoch in range(1, 200):
        for batch, candidates, _ in batches(data, epoch, max_examples_per_user=8):
            drawn += np.bincount(candidates, minlength=NUM_ITEMS) / len(candidates)
            here, place = np.unique(candidates, return_index=True)
            expected[here] += np.exp(batch["log_q"].numpy()[place])
    assert np.corrcoef(drawn, expected)[0, 1] > 0.95


def test_hidden_histories_are_empty_and_epochs_differ_and_repeat(data):
    assert all((history < 0).all() for _, _, history in batches(data, history_dropout=0.999999))
    first, again, other = (next(iter(batches(data, epoch)))[0] for epoch in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["candidates"][:20], other["candidates"][:20])
