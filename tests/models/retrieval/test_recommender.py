"""`two_tower` of the catalogue: it finds what is planted in sets and in sequences, and says the same after a reload."""

from dataclasses import replace

import numpy as np
import pytest

from expectations.errors import Failure
from models.config import FitConfig
from models.interactions import Histories, Interactions, Training
from models.retrieval.config import TwoTowerConfig
from models.retrieval.recommender import TwoTower, train_two_tower

NUM_ITEMS, NUM_BLOCKS = 120, 6
SMALL = TwoTowerConfig(
    dim=16, batch_size=64, mixed_negatives=64, set_targets=4, fit=FitConfig(max_epochs=8, learning_rate=2e-2)
)
SHORT = replace(SMALL, fit=FitConfig(max_epochs=1))


def block(numbers: np.ndarray) -> np.ndarray:
    return numbers % NUM_BLOCKS


@pytest.fixture(scope="module")
def sets() -> Interactions:
    """Users and items in blocks: a user has 10 of the 20 items of their block."""
    rng = np.random.default_rng(0)
    rows = [rng.choice(np.arange(u % NUM_BLOCKS, NUM_ITEMS, NUM_BLOCKS), 10, replace=False) for u in range(200)]
    return Interactions(Histories.of(np.repeat(np.arange(200), 10), np.concatenate(rows), 200), NUM_ITEMS, False)


@pytest.fixture(scope="module")
def chains() -> Interactions:
    """Users who walk from item to next item, from wherever they began."""
    start = np.random.default_rng(0).integers(0, NUM_ITEMS, 300)
    items = (start[:, None] + np.arange(8)) % NUM_ITEMS
    return Interactions(Histories.of(np.repeat(np.arange(300), 8), items.ravel(), 300), NUM_ITEMS, True)


@pytest.fixture
def train(tmp_path):
    def train(data: Interactions, config: TwoTowerConfig = SMALL, **told):
        scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
        scratch.mkdir()
        return train_two_tower(data, config, Training(scratch, **told))

    return train


def masked(model: TwoTower, data: Interactions) -> np.ndarray:
    """Scores of all users, what they have left out."""
    scores = model.scores(np.arange(data.num_users), data.histories).copy()
    scores[data.histories.rows, data.histories.items] = -np.inf
    return scores


def test_the_rest_of_a_block_is_found(train, sets):
    best = np.argsort(-masked(train(sets).model, sets), axis=1)[:, :10]
    assert (block(best) == block(np.arange(sets.num_users))[:, None]).mean() > 0.98


def test_who_came_after_the_training_is_as_good(train, sets):
    histories = Histories.of(np.repeat(np.arange(6), 3), (np.arange(6)[:, None] + np.array([0, 6, 12])).ravel(), 6)
    scores = train(sets).model.scores(np.full(6, -1), histories)
    assert (block(np.argsort(-scores, axis=1)[:, :10]) == np.arange(6)[:, None]).all()


def test_what_comes_next_is_found(train, chains):
    rows = np.arange(NUM_ITEMS)
    histories = Histories.of(np.repeat(rows, 3), (rows[:, None] + np.arange(3)).ravel() % NUM_ITEMS, NUM_ITEMS)
    config = replace(SMALL, recent_lengths=(1,), hidden=32, fit=FitConfig(max_epochs=15, learning_rate=1e-2))
    scores = train(chains, config).model.scores(rows, histories)
    scores[histories.rows, histories.items] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :2]
    assert (best == ((rows + 3) % NUM_ITEMS)[:, None]).any(axis=1).mean() > 0.9


@pytest.mark.parametrize("data", ["sets", "chains"])
def test_same_seed_bitwise_the_same_and_another_seed_not(train, data, request):
    data = request.getfixturevalue(data)
    first, again, other = (masked(train(data, SHORT, seed=seed).model, data) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("data", ["sets", "chains"])
def test_saved_and_loaded_says_the_same_to_the_last_bit(train, data, request, tmp_path):
    data = request.getfixturevalue(data)
    attributes = Histories.of(np.arange(NUM_ITEMS), block(np.arange(NUM_ITEMS)), NUM_ITEMS)
    model = train(replace(data, attributes=attributes), replace(SHORT, hidden=8)).model
    model.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir() if path.is_file()} == {".safetensors", ".json"}
    assert np.array_equal(masked(TwoTower.load(tmp_path), data), masked(model, data))


@pytest.mark.parametrize("data", ["sets", "chains"])
def test_strangers_and_empty_histories_get_what_is_popular(train, data, request):
    data = request.getfixturevalue(data)
    popular = np.repeat([7, 8, 9], 150)
    users = np.concatenate([np.tile(np.arange(150), 3), data.histories.rows])
    histories = Histories.of(users, np.concatenate([popular, data.histories.items]), data.num_users)
    model = train(replace(data, histories=histories), replace(SMALL, history_dropout=0.1)).model
    scores = model.scores(np.array([-1, 0]), Histories(np.zeros(3, dtype=np.int64), np.array([], dtype=np.int32)))
    assert np.isfinite(scores).all() and scores.dtype == np.float32
    assert set(np.argsort(-scores[0])[:3]) == {7, 8, 9}


def test_who_has_no_history_gets_what_is_popular_now(train, chains):
    """The first half of the users is a year older than the rest."""
    old = np.arange(300) < 150
    items = (np.where(old, 0, 60)[:, None] + np.arange(8)).ravel()
    times = np.repeat(np.where(old, 0, 365 * 86_400), 8) + np.tile(np.arange(8), 300)
    data = replace(chains, histories=Histories.of(np.repeat(np.arange(300), 8), items, 300), times=times)
    nobody = Histories(np.zeros(2, dtype=np.int64), np.array([], dtype=np.int32))
    now = train(data, SHORT).model.scores(np.array([-1]), nobody)[0]
    always = train(data, replace(SHORT, popularity_half_life_days=0)).model.scores(np.array([-1]), nobody)[0]
    assert now[:8].max() < 0.01 * now[60:68].min() and np.ptp(always[[*range(8), *range(60, 68)]]) == 0


def test_the_age_of_an_example_is_told_and_saved(train, chains, tmp_path):
    data = replace(chains, times=np.tile(np.arange(8) * 86_400, 300))
    without, model = (train(data, replace(SHORT, example_age=told)).model for told in (False, True))
    assert not np.array_equal(masked(model, data), masked(without, data))
    model.save(tmp_path)
    assert np.array_equal(masked(TwoTower.load(tmp_path), data), masked(model, data))


def test_attributes_stand_for_an_item_without_interactions(train, sets):
    """The last item of every block is taken out of all histories; only its attribute tells where it belongs."""
    cold = np.arange(NUM_ITEMS - NUM_BLOCKS, NUM_ITEMS)
    kept = sets.histories.items < cold[0]
    histories = Histories.of(sets.histories.rows[kept], sets.histories.items[kept], sets.num_users)
    attributes = Histories.of(np.arange(NUM_ITEMS), block(np.arange(NUM_ITEMS)), NUM_ITEMS)
    data = replace(sets, histories=histories, attributes=attributes)
    scores = train(data, replace(SMALL, id_dropout=0.3)).model.scores(np.arange(200), histories)
    assert (cold[np.argmax(scores[:, cold], axis=1)] % NUM_BLOCKS == block(np.arange(200))).mean() > 0.95


def test_a_judge_chooses_the_epoch(train, sets):
    figures = iter([0.1, 0.3, 0.2, 0.1])
    seen = []

    def judge(model: TwoTower) -> float:
        seen.append(model.scores(np.array([0]), sets.histories.take(np.array([0]))))
        return next(figures)

    trained = train(sets, replace(SMALL, fit=replace(SMALL.fit, max_epochs=4, patience=2)), judge=judge)
    assert trained.epochs == 2
    assert np.array_equal(trained.model.scores(np.array([0]), sets.histories.take(np.array([0]))), seen[1])


def test_nothing_to_learn_from_is_refused(train):
    for ordered in (True, False):
        none = Interactions(Histories.of(np.array([], dtype=int), np.array([], dtype=int), 3), 5, ordered)
        with pytest.raises(Failure, match="no examples to learn from"):
            train(none)
