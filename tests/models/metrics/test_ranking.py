import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics.item_sets import ItemSets
from models.metrics.ranking import ranking_metrics

METRICS = ("precision", "recall", "hit_rate", "ndcg", "mrr", "map")


def slow_reference(items: list[int], relevant: set[int], k: int) -> dict[str, float]:
    """The textbook definitions, one user at a time."""
    if not relevant:
        return dict.fromkeys(METRICS, math.nan)
    found, first, gain, precisions = 0, 0, 0.0, 0.0
    for place, item in enumerate(items[:k], start=1):
        if item in relevant:
            found += 1
            first = first or place
            gain += 1 / math.log2(place + 1)
            precisions += found / place
    most = min(k, len(relevant))
    return {
        "precision": found / k,
        "recall": found / len(relevant),
        "hit_rate": float(found > 0),
        "ndcg": gain / sum(1 / math.log2(place + 1) for place in range(1, most + 1)),
        "mrr": 1 / first if first else 0.0,
        "map": precisions / most,
    }


def judge(lists: list[list[int]], truth: list[set[int]], ks: tuple[int, ...]) -> dict[tuple[str, int], np.ndarray]:
    width = max(1, max(map(len, lists)))
    padded = np.array([row + [-1] * (width - len(row)) for row in lists])
    rows = np.array([u for u, items in enumerate(truth) for _ in items], dtype=np.int64)
    items = np.array([i for items in truth for i in items], dtype=np.int64)
    relevant = ItemSets.from_pairs(rows, items, len(truth))
    return ranking_metrics(relevant.contains(padded), relevant.sizes, ks)


user = st.tuples(st.lists(st.integers(0, 25), unique=True, max_size=20), st.sets(st.integers(0, 25), max_size=12))


@given(st.lists(user, min_size=1, max_size=6), st.sets(st.integers(1, 30), min_size=1, max_size=4))
def test_every_metric_equals_the_slow_reference(users, ks):
    lists, truth = [u[0] for u in users], [u[1] for u in users]
    values = judge(lists, truth, tuple(ks))
    assert set(values) == {(m, k) for m in METRICS for k in ks}
    for u, (items, relevant) in enumerate(users):
        for k in ks:
            expected = slow_reference(items, relevant, k)
            got = {m: values[m, k][u] for m in METRICS}
            assert got == pytest.approx(expected, nan_ok=True)


def test_the_best_list_scores_one_and_the_withheld_item_last_scores_least():
    values = judge([[3, 4, 9], [9, 8, 3]], [{3, 4, 9}, {3}], (3,))
    assert [values[m, 3][0] for m in METRICS] == [1.0] * 6
    assert values["mrr", 3][1] == values["map", 3][1] == pytest.approx(1 / 3)
    assert values["ndcg", 3][1] == pytest.approx(0.5)


def test_a_short_list_misses_at_the_places_it_lacks():
    values = judge([[3]], [{3, 4}], (10,))
    assert values["precision", 10][0] == pytest.approx(0.1)
    assert values["recall", 10][0] == 0.5


def test_a_user_without_truth_has_no_value_rather_than_zero():
    values = judge([[1, 2], [1, 2]], [set(), {5}], (2,))
    assert all(np.isnan(v[0]) and v[1] == 0 for v in values.values())
