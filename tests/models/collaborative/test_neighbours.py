"""Sums of similarities beside dense matrices."""

import numpy as np

from models.collaborative.neighbours import Neighbours
from models.interactions import Histories


def test_scores_are_sums_over_the_history() -> None:
    rng = np.random.default_rng(0)
    near = np.where(rng.random((12, 12)) < 0.3, rng.random((12, 12)), 0).astype(np.float32)
    near[11] = 0
    items, neighbours = np.nonzero(near)
    order = rng.permutation(len(items))
    counts = rng.random(12, np.float32)
    model = Neighbours.of(items[order], neighbours[order], near[items, neighbours][order], counts)
    histories = Histories.of(np.array([0, 0, 0, 1, 3]), np.array([2, 5, 2, 7, 11]), 4)
    found = model.scores(np.full(4, -1), histories)
    np.testing.assert_allclose(found[0], 2 * near[2] + near[5], rtol=1e-6)
    np.testing.assert_allclose(found[1], near[7], rtol=1e-6)
    assert np.array_equal(found[2], counts), "no history"
    assert np.array_equal(found[3], counts), "a history without neighbours"
