"""EASE against one ridge regression an item, and the bounds it keeps."""

from pathlib import Path

import numpy as np
import pytest

from expectations.errors import UserError
from models.collaborative.ease import Ease, EaseConfig, train
from models.interactions import Histories, Interactions, Training

USERS, ITEMS, PENALTY = 40, 12, 5.0


@pytest.fixture
def data() -> Interactions:
    """Some have an item twice, one has nothing."""
    rng = np.random.default_rng(3)
    users = np.repeat(np.arange(USERS - 1), 5)
    return Interactions(Histories.of(users, rng.integers(0, ITEMS, len(users)), USERS), ITEMS, ordered=True)


def matrix(data: Interactions) -> np.ndarray:
    had = np.zeros((USERS, ITEMS))
    had[data.histories.rows, data.histories.items] = 1
    return had


def trained(data: Interactions, folder: Path, threads: int = 1, **settings: int) -> Ease:
    model = train(data, EaseConfig(regularisation=PENALTY, **settings), Training(folder, threads=threads)).model
    assert isinstance(model, Ease)
    return model


def test_each_column_is_the_ridge_regression_of_an_item_on_the_others(data: Interactions, tmp_path: Path):
    had, weights = matrix(data), trained(data, tmp_path).weights
    for item in range(ITEMS):
        others = np.delete(np.arange(ITEMS), item)
        x = had[:, others]
        own = np.linalg.solve(x.T @ x + PENALTY * np.eye(ITEMS - 1), x.T @ had[:, item])
        np.testing.assert_allclose(weights[others, item], own, atol=1e-6)
        assert weights[item, item] == 0


def test_threads_decide_nothing(data: Interactions, tmp_path: Path):
    assert np.array_equal(trained(data, tmp_path).weights, trained(data, tmp_path, threads=4).weights)


def test_neighbours_are_the_largest_positive_weights_of_each_item(data: Interactions, tmp_path: Path):
    model = trained(data, tmp_path)
    items, neighbours, weights = model.neighbours(3)
    for item in range(ITEMS):
        own = items == item
        largest = np.sort(model.weights[item])[::-1][:3]
        assert np.array_equal(np.sort(weights[own])[::-1], largest[largest > 0])
        assert np.array_equal(model.weights[item, neighbours[own]], weights[own])


def test_more_items_than_fit_are_refused_with_the_setting_to_raise(data: Interactions, tmp_path: Path):
    with pytest.raises(UserError, match=r"12 items are more than models.ease.max_items \(5\)"):
        trained(data, tmp_path, max_items=5)
