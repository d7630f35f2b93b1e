import dataclasses
from pathlib import Path

import numpy as np
import pytest

from models.config import FitConfig
from models.interactions import Histories, Training
from models.sequence.config import TransformerConfig
from models.sequence.recommender import TransformerRecommender, train

CONFIG = TransformerConfig(
    dim=16, batch_tokens=128, dropout=0.1, fit=FitConfig(learning_rate=0.01, max_epochs=12, patience=12)
)


def _next_is_known(model, chains) -> float:
    """Share of chains whose next item comes first after two items."""
    size, num = 8, chains.num_items
    starts = np.arange(num)
    pairs = np.stack([starts, starts // size * size + (starts + 1) % size], axis=1)
    wanted = starts // size * size + (starts + 2) % size
    histories = Histories(np.arange(0, 2 * num + 1, 2), pairs.ravel().astype(np.int32))
    scores = model.scores(np.full(num, -1), histories)
    return float((scores.argmax(axis=1) == wanted).mean())


@pytest.fixture(scope="module")
def trained(chains, tmp_path_factory):
    return train(chains, CONFIG, Training(tmp_path_factory.mktemp("scratch")))


def test_it_learns_what_comes_next(trained, chains):
    assert trained.epochs == 12
    assert _next_is_known(trained.model, chains) > 0.95


def test_saved_and_loaded_it_says_the_same_to_the_last_bit(trained, chains, tmp_path):
    trained.model.save(tmp_path)
    loaded = TransformerRecommender.load(tmp_path)
    users = np.arange(chains.num_users)
    assert np.array_equal(loaded.scores(users, chains.histories), trained.model.scores(users, chains.histories))


def test_attributes_reach_the_titles_and_say_something_of_items_never_met(chains, tmp_path):
    attributes = Histories(np.arange(chains.num_items + 1), (np.arange(chains.num_items) // 8).astype(np.int32))
    never = chains.num_items - 1
    kept = chains.histories.items != never
    histories = Histories.of(chains.histories.rows[kept], chains.histories.items[kept], chains.num_users)
    data = dataclasses.replace(chains, histories=histories, attributes=attributes)
    model = train(data, CONFIG, Training(tmp_path)).model
    last_chain = Histories(np.array([0, 2]), np.array([never - 2, never - 1], dtype=np.int32))
    scores = model.scores(np.array([-1]), last_chain)[0]
    others = scores[: never - 7]
    assert scores[never] > np.quantile(others, 0.9)


def test_the_judge_chooses_the_epoch(chains, tmp_path):
    figures = iter([0.1, 0.5, 0.3, 0.2, 0.1, 0.0])
    config = dataclasses.replace(CONFIG, fit=FitConfig(max_epochs=6, patience=3))
    made = train(chains, config, Training(Path(tmp_path), judge=lambda model: next(figures)))
    assert made.epochs == 2
