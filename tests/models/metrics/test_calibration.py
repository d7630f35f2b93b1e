import math

import numpy as np
import pytest

from models.metrics.calibration import genre_distributions, miscalibration
from models.metrics.item_sets import ItemSets


def slow_reference(items: list[int], watched: list[int], shares: np.ndarray, k: int) -> float:
    def distribution(of: list[int]) -> np.ndarray | None:
        total = sum((shares[i] for i in of if i >= 0), np.zeros(shares.shape[1]))
        return total / total.sum() if total.sum() else None

    p, q = distribution(watched), distribution(items[:k])
    if p is None or q is None:
        return math.nan
    return sum(p[g] * math.log(p[g] / (0.99 * q[g] + 0.01 * p[g])) for g in range(len(p)) if p[g])


def of_lists(lists: list[list[int]]) -> ItemSets:
    return ItemSets(np.cumsum([0, *map(len, lists)]), np.array([i for row in lists for i in row], dtype=np.int64))


@pytest.mark.parametrize("seed", range(4))
def test_it_equals_the_slow_reference(seed: int):
    random = np.random.default_rng(seed)
    flags = random.random((40, 6)) < 0.3  # some items have no genre
    shares = flags / np.maximum(flags.sum(axis=1, keepdims=True), 1)
    lists = np.array([random.permutation(40)[:8] for _ in range(25)])
    lists[3, 5:] = -1
    lists[4] = -1
    watched = [random.integers(40, size=random.integers(0, 12)).tolist() for _ in range(25)]
    ks = (1, 4, 8, 10)
    values = miscalibration(lists, genre_distributions(of_lists(watched), shares), shares, ks)
    assert list(values) == [("miscalibration", k) for k in ks]
    for k in ks:
        expected = [slow_reference(*pair, shares, k) for pair in zip(lists.tolist(), watched, strict=True)]
        assert values["miscalibration", k] == pytest.approx(expected, nan_ok=True, abs=1e-12)


def test_the_users_own_proportions_cost_nothing_and_strange_genres_most():
    shares = np.eye(3)
    wanted = genre_distributions(of_lists([[0, 0, 0, 1]]), shares)
    assert wanted == pytest.approx(np.array([[0.75, 0.25, 0]]))

    def cost(*items: int) -> float:
        return miscalibration(np.array([items]), wanted, shares, [4])["miscalibration", 4][0]

    assert cost(0, 1, 0, 0) == pytest.approx(0)
    assert cost(2, 2, 2, 2) == pytest.approx(math.log(100))
    assert 0 < cost(0, 0, 1, 1) < cost(0, 0, 0, 0) < cost(1, 1, 1, 1) < cost(2, 2, 2, 2)
