"""Folding in beside dense normal equations, and beside what training itself solves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.collaborative.factors import ItemFactors
from models.interactions import Histories

ITEMS, FACTORS = 30, 6
HISTORIES = Histories.of(np.array([0, 0, 0, 2, 2, 3, *[4] * 20]), np.array([3, 8, 29, 1, 1, 7, *range(5, 25)]), 5)
NOBODY = np.full(5, -1)


@pytest.fixture
def model() -> ItemFactors:
    rng = np.random.default_rng(0)
    items = rng.standard_normal((ITEMS, FACTORS)).astype(np.float32)
    return ItemFactors(items, rng.random(ITEMS, np.float32), alpha=3.0, regularisation=0.4, weighted=True)


def reference(model: ItemFactors, items: list[int]) -> np.ndarray:
    """The minimum of sum c_i (p_i - x'y_i)^2 + ridge |x|^2 over all items, by its normal equations."""
    times = np.bincount(items, minlength=ITEMS)
    confidence, y = 1 + model.alpha * times, model.items.astype(np.float64)
    ridge = model.regularisation * (len(set(items)) if model.weighted else 1)
    system = (y.T * confidence) @ y + ridge * np.eye(FACTORS)
    return np.linalg.solve(system, y.T @ (confidence * (times > 0)))


@pytest.mark.parametrize("weighted", [True, False])
def test_folding_in_solves_the_normal_equations(model: ItemFactors, weighted: bool) -> None:
    """Histories shorter and longer than there are factors, and one with an item twice."""
    model = replace(model, weighted=weighted)
    found = model.fold_in(HISTORIES)
    for row in (0, 2, 3, 4):
        items = HISTORIES.items[HISTORIES.offsets[row] : HISTORIES.offsets[row + 1]].tolist()
        np.testing.assert_allclose(found[row], reference(model, items), atol=1e-5)
    assert not found[1].any()


def test_without_a_penalty_the_solution_is_still_finite(model: ItemFactors) -> None:
    flat = replace(model, regularisation=0.0, items=np.repeat(model.items[:, :1], FACTORS, axis=1))
    assert np.isfinite(flat.scores(NOBODY, HISTORIES)).all()


def test_a_user_without_a_history_gets_what_is_popular(model: ItemFactors) -> None:
    assert np.array_equal(model.scores(NOBODY, HISTORIES)[1], model.counts)


def test_a_history_of_items_without_factors_gets_what_is_popular(model: ItemFactors) -> None:
    model.items[7] = 0
    assert np.array_equal(model.scores(NOBODY, HISTORIES)[3], model.counts)


def test_settings_survive_a_save(model: ItemFactors, tmp_path: Path) -> None:
    model.save(tmp_path)
    found = ItemFactors.load(tmp_path)
    assert (found.alpha, found.regularisation, found.weighted) == (3.0, 0.4, True)
    assert np.array_equal(found.scores(NOBODY, HISTORIES), model.scores(NOBODY, HISTORIES))
