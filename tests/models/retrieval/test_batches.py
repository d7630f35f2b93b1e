"""Batches: what is in them, what each switch changes, and that nothing is left out."""

import datetime

import numpy as np
import pytest
import torch

from models.retrieval.batches import Batches
from models.retrieval.catalogue import Encoded, fit_item_fields, fit_user_fields
from models.retrieval.config import TowersConfig
from models.retrieval.examples import write_examples


@pytest.fixture(scope="module")
def made(planted, tmp_path_factory):
    """Shards, encoded users and encoded items of the planted audience, in several shards."""
    split = datetime.datetime.combine(planted.last_day, datetime.time(), datetime.UTC)
    ids = planted.items["item_id"].to_numpy()
    shards = write_examples(
        planted.watches, ids, tmp_path_factory.mktemp("shards"),
        split=split, max_examples_per_user=50, max_validation_examples=100, seed=0, rows_per_shard=2000,
    )  # fmt: skip
    users = Encoded.of(planted.users, "user_id", fit_user_fields(planted.users, 100))
    items = Encoded.of(planted.items, "item_id", fit_item_fields(planted.items, shards.num_positives[1:], 1, 1000))
    return shards, users, items


def batches(made, epoch=1, **changes):
    shards, users, items = made
    return list(Batches(shards, users, items, TowersConfig(batch_size=64, **changes))(epoch))


def positives(batch) -> torch.Tensor:
    """Catalogue rows of a batch's positives, told by their ids (all items are warm)."""
    return batch["item_item_id"][batch["candidates"][: len(batch["history"])]]


def test_an_epoch_has_every_example_once(made):
    shards = made[0]
    assert len(shards.paths) > 2
    seen = torch.cat([positives(batch) for batch in batches(made, id_dropout=0)])
    expected = np.concatenate([shards.read(s).positives() for s in range(len(shards.paths))])
    vocabulary = np.asarray([0, *sorted(set(expected - 1))])
    assert sorted(vocabulary[seen.numpy()].tolist()) == sorted((expected - 1).tolist())
    sizes = [len(batch["history"]) for batch in batches(made)]
    assert min(sizes) >= 64 and max(sizes) < 128


def test_batches_are_a_pure_function_of_seed_and_epoch(made):
    def digest(**changes):
        return [b["history"].sum().item() + b["candidates"].sum().item() for b in batches(made, **changes)]

    assert digest(epoch=2, seed=5) == digest(epoch=2, seed=5)
    assert digest(epoch=2, seed=5) != digest(epoch=1, seed=5)
    assert digest(epoch=2, seed=5) != digest(epoch=2, seed=6)


def test_history_and_candidates_point_at_the_items_of_the_batch(made):
    shards, users, items = made
    examples = shards.read(0)
    config = TowersConfig(id_dropout=0, history_dropout=0, mixed_negatives=7, history_length=6)
    batch = Batches(shards, users, items, config)._batch(examples, np.random.default_rng(0))
    of_row = items.inputs["item_item_id"]
    assert torch.equal(
        batch["item_item_id"][batch["candidates"]][: len(examples)], torch.from_numpy(of_row[examples.positives()])
    )
    padded = torch.cat([torch.zeros(1, dtype=torch.long), batch["item_item_id"]])
    assert torch.equal(padded[batch["history"]], torch.from_numpy(of_row[examples.histories(6)]))
    assert torch.equal(batch["user_region"], torch.from_numpy(users.inputs["user_region"][examples.user + 1]))
    assert len(batch["item_item_id"]) == len(set(batch["item_item_id"].tolist()))


def test_mixed_negatives_are_uniform_over_the_catalogue(made):
    without = batches(made, mixed_negatives=0)
    assert all(len(b["candidates"]) == len(b["history"]) for b in without)
    num_items = len(made[2].ids)
    drawn = np.zeros(num_items + 1)
    for batch in batches(made, mixed_negatives=2000, id_dropout=0):
        extra = batch["candidates"][len(batch["history"]) :]
        assert len(extra) == 2000
        drawn += np.bincount(batch["item_item_id"][extra].numpy(), minlength=num_items + 1)
    warm = drawn[1 : int(made[2].inputs["item_item_id"].max()) + 1]
    assert warm.min() > 0.6 * warm.mean() and warm.max() < 1.4 * warm.mean()


def test_log_q_is_the_probability_of_a_candidate_slot(made):
    shards, _, items = made
    batch = batches(made, mixed_negatives=100, id_dropout=0)[0]
    num = len(batch["history"])
    first = positives(batch)[0].item()
    row = int(np.flatnonzero(items.inputs["item_item_id"] == first)[0])
    expected = (num * shards.frequency[row] + 100 / len(items.ids)) / (num + 100)
    assert batch["log_q"][0].exp().item() == pytest.approx(expected, rel=1e-5)


def test_id_dropout_hides_the_ids_of_that_share_of_items(made):
    def hidden(rate):
        ids = torch.cat([b["item_item_id"] for b in batches(made, id_dropout=rate)])
        return (ids == 0).float().mean().item()

    cold = hidden(0.0)
    assert hidden(0.4) == pytest.approx(cold + (1 - cold) * 0.4, abs=0.03)


def test_history_dropout_hides_that_share_of_whole_histories(made):
    def without_history(rate):
        return (
            torch.cat([(b["history"] == 0).all(dim=1) for b in batches(made, history_dropout=rate)])
            .float()
            .mean()
            .item()
        )

    first = without_history(0.0)
    assert 0 < first < 0.1
    assert without_history(0.4) == pytest.approx(first + (1 - first) * 0.4, abs=0.03)


def test_a_capped_epoch_sees_a_sample_and_the_next_another(made):
    shards = made[0]
    cap = shards.num_examples // 3
    one, two = (batches(made, epoch=epoch, max_examples_per_epoch=cap, id_dropout=0) for epoch in (1, 2))
    assert sum(len(b["history"]) for b in one) == pytest.approx(cap, abs=len(shards.paths))
    count = [np.bincount(torch.cat([positives(b) for b in epoch]).numpy(), minlength=401) for epoch in (one, two)]
    assert (count[0] != count[1]).any()
