import itertools

import numpy as np
import pytest

from models.metrics import beyond_accuracy as ba


def test_diversity_is_one_minus_the_mean_cosine_of_all_pairs(monkeypatch: pytest.MonkeyPatch):
    random = np.random.default_rng(1)
    vectors = random.normal(size=(30, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[7] = 0
    lists = np.array([random.permutation(30)[:6] for _ in range(11)])
    lists[3, 4:] = -1
    lists[5, 0] = 7

    def slow(row: np.ndarray) -> float:
        return float(np.mean([1 - vectors[a] @ vectors[b] for a, b in itertools.combinations(row[row >= 0], 2)]))

    monkeypatch.setattr(ba, "_CHUNK_USERS", 4)
    assert ba.intra_list_diversity(lists, vectors) == pytest.approx([slow(row) for row in lists])


def test_diversity_of_twins_is_zero_of_strangers_one_and_of_single_items_unknown():
    vectors = np.array([[1.0, 0], [1, 0], [0, 1]])
    lists = np.array([[0, 1], [0, 2], [0, -1], [-1, -1]])
    assert ba.intra_list_diversity(lists, vectors) == pytest.approx([0, 1, np.nan, np.nan], nan_ok=True)


def test_novelty_counts_bits_and_stays_finite_for_unwatched_items():
    is_item = np.array([True, True, True, False])
    bits = ba.self_information(np.array([5, 1, 0, 0]), is_item)
    assert bits[:3] == pytest.approx(-np.log2(np.array([6, 2, 1]) / 9))
    novelty = ba.mean_over_list(np.array([[0, 2], [1, -1], [-1, -1]]), bits)
    assert novelty == pytest.approx([(bits[0] + bits[2]) / 2, bits[1], np.nan], nan_ok=True)


def test_counts_and_coverage_ignore_missing_places():
    counts = ba.recommendation_counts(np.array([[0, 2, -1], [2, -1, -1]]), 4)
    assert counts.tolist() == [1, 0, 2, 0]
    assert ba.coverage(counts) == 0.5


def test_gini_equals_the_mean_absolute_difference_of_all_pairs():
    counts = np.random.default_rng(2).integers(50, size=40)
    pairs = np.abs(counts[:, None] - counts[None, :]).mean()
    assert ba.gini(counts) == pytest.approx(pairs / (2 * counts.mean()))


def test_gini_of_equal_counts_is_zero_and_of_one_taker_almost_one():
    assert ba.gini(np.full(10, 3)) == pytest.approx(0)
    assert ba.gini(np.array([0] * 9 + [5])) == pytest.approx(0.9)


def test_gini_of_no_recommendations_is_zero_and_of_no_items_unknown():
    assert ba.gini(np.zeros(5, dtype=int)) == pytest.approx(0)
    assert ba.lorenz_curve(np.zeros(4, dtype=int)) == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert np.isnan(ba.gini(np.zeros(0, dtype=int)))


def test_lorenz_curve_runs_from_zero_to_one_below_the_diagonal():
    curve = ba.lorenz_curve(np.array([4, 1, 3, 0]))
    assert curve == pytest.approx([0, 0, 1 / 8, 4 / 8, 1])


@pytest.mark.parametrize("seed", range(3))
def test_serendipity_equals_its_definition_item_by_item(seed: int):
    random = np.random.default_rng(seed)
    watchers = random.integers(0, 6, size=20)  # many are equally popular, some unwatched
    lists = np.array([random.permutation(20)[:6] for _ in range(15)])
    lists[2, 3:] = -1
    hits = (random.random(lists.shape) < 0.4) & (lists >= 0)

    def slow(items: list[int], hit: list[bool], k: int) -> float:
        total = 0.0
        for place, (item, is_hit) in enumerate(zip(items[:k], hit[:k], strict=True), start=1):
            rank = 1 + sum(watchers > watchers[item])
            obvious = (20 + 1 - rank) / 20 if watchers[item] else 0.0
            total += is_hit * max((20 + 1 - place) / 20 - obvious, 0)
        return total / k

    values = ba.serendipity(lists, hits, ba.obviousness(watchers, 20), 20, (1, 4, 9))
    for k in (1, 4, 9):
        expected = [slow(*pair, k) for pair in zip(lists.tolist(), hits.tolist(), strict=True)]
        assert values["serendipity", k] == pytest.approx(expected)


def test_the_most_watched_in_their_order_are_never_serendipitous():
    obvious = ba.obviousness(np.array([2, 9, 4, 0]), 4)
    assert obvious == pytest.approx([0.5, 1, 0.75, 0])
    hits = np.ones((2, 3), dtype=bool)
    values = ba.serendipity(np.array([[1, 2, 0], [3, 0, 1]]), hits, obvious, 4, [3])
    assert values["serendipity", 3] == pytest.approx([0, (1 + 0.25) / 3])
