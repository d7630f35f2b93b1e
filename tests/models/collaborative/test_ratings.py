"""Ratings from biases and factors."""

from pathlib import Path

import numpy as np
import pytest

from models.collaborative.als import Als
from models.collaborative.ratings import ITEM_PRIOR, SWEEPS, USER_PRIOR, Biases, RatingFactors
from models.interactions import Histories

RNG = np.random.default_rng(0)
USERS, ITEMS = RNG.integers(0, 8, 60), RNG.integers(0, 6, 60)
RATINGS = RNG.integers(1, 6, 60).astype(np.float32)
EMPTY = Histories(np.zeros(4, np.int64), np.zeros(0, np.int32))


def test_biases_are_alternating_shrunk_means() -> None:
    mean, of_users, of_items = RATINGS.mean(dtype=float), np.zeros(9), np.zeros(7)
    for _ in range(SWEEPS):
        for item in range(6):
            own = np.equal(ITEMS, item)
            of_items[item] = (RATINGS[own] - mean - of_users[USERS[own]]).sum() / (ITEM_PRIOR + own.sum())
        for user in range(8):
            own = np.equal(USERS, user)
            of_users[user] = (RATINGS[own] - mean - of_items[ITEMS[own]]).sum() / (USER_PRIOR + own.sum())
    found = Biases.fit(USERS, ITEMS, RATINGS, 9, 7)
    np.testing.assert_allclose(found.users, of_users, atol=1e-6)
    np.testing.assert_allclose(found.items, of_items, atol=1e-6)
    assert found.predict(np.array([-1]), np.array([-1])) == pytest.approx(mean)


@pytest.fixture
def model() -> RatingFactors:
    factors = [RNG.standard_normal((size, 3)).astype(np.float32) for size in (9, 7)]
    return RatingFactors(Biases.fit(USERS, ITEMS, RATINGS, 9, 7), *factors)


def test_scores_are_the_predicted_ratings(model: RatingFactors) -> None:
    users = np.array([0, 5, -1])
    scores = model.scores(users, EMPTY)
    for row, user in enumerate(users):
        expected = model.predict(np.full(7, user), np.arange(7))
        np.testing.assert_allclose(scores[row], expected, atol=1e-6)
    np.testing.assert_allclose(scores[2], model.biases.mean + model.biases.items, atol=1e-6)
    assert model.predict(np.array([2]), np.array([-1])) == pytest.approx(model.biases.mean + model.biases.users[2])


def test_a_folder_says_which_feedback_it_is_of(model: RatingFactors, tmp_path: Path) -> None:
    model.save(tmp_path)
    found = Als.load(tmp_path)
    assert isinstance(found, RatingFactors)
    assert np.array_equal(found.scores(np.arange(3), EMPTY), model.scores(np.arange(3), EMPTY))
