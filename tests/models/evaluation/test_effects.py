"""The effect of a parameter: what was planted is found, on matched configurations only."""

import itertools
from typing import Any

import numpy as np
import pytest

from models.evaluation.effects import Effect, effects, matched, pareto_front, rank_correlation, steps

NUM_USERS = 300


@pytest.fixture(scope="module")
def grid() -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """K adds .02 a step to NDCG, the candidate count nothing; users differ much more than that."""
    rng = np.random.default_rng(0)
    settings = [{"k": k, "candidates": c} for k, c in itertools.product((5, 10, 20), (50, 100))]
    user = rng.random(NUM_USERS)
    ndcg = [user + 0.02 * (5, 10, 20).index(s["k"]) + rng.normal(0, 0.01, NUM_USERS) for s in settings]
    return settings, {"ndcg": np.array(ndcg)}


def found(effects_: list[Effect], parameter: str, before: Any, after: Any) -> Effect:
    (one,) = [e for e in effects_ if (e.parameter, e.before, e.after) == (parameter, before, after)]
    return one


def test_a_planted_effect_is_found_and_none_where_there_is_none(grid):
    all_ = effects(*grid)
    assert found(all_, "k", 5, 10).difference == pytest.approx(0.02, abs=0.002)
    widest = found(all_, "k", 5, 20)
    assert widest.difference == pytest.approx(0.04, abs=0.002)
    assert widest.is_shown and widest.pairs == 2 and widest.same_sign == 1
    candidates = found(all_, "candidates", 50, 100)
    assert not candidates.is_shown and candidates.pairs == 3
    assert candidates.low < candidates.difference < candidates.high


def test_the_difference_is_the_mean_over_matched_pairs(grid):
    settings, values = grid
    pairs = matched(settings, "k", 5, 20)
    by_hand = np.mean([values["ndcg"][after].mean() - values["ndcg"][before].mean() for before, after in pairs])
    assert found(effects(settings, values), "k", 5, 20).difference == pytest.approx(by_hand)


def test_configurations_that_differ_otherwise_are_no_pair():
    settings = [{"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 2, "b": 1}]
    assert matched(settings, "a", 1, 2) == [(0, 2)]
    assert list(steps(settings, "a")) == [(1, 2)]


def test_the_combined_figure_is_of_means_over_users():
    settings = [{"w": 0}, {"w": 1}]
    values = {
        "study_precision": np.array([[0.2, 0.4], [0.6, 0.8]]),
        "study_diversity": np.array([[0.9, 0.7], [0.5, 0.3]]),
    }
    (one,) = (e for e in effects(settings, values) if e.metric == "study_combined")
    assert one.difference == pytest.approx(2 * 0.7 * 0.4 / 1.1 - 2 * 0.3 * 0.8 / 1.1, abs=1e-6)


def test_a_user_without_a_value_does_not_count():
    values = {"ndcg": np.array([[0.5, np.nan, 0.1], [0.7, np.nan, 0.3]])}
    (one,) = effects([{"w": 0}, {"w": 1}], values)
    assert one.difference == pytest.approx(0.2)


def test_rank_correlation_equals_scipy_s():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 8, 40), rng.integers(0, 8, 40)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert np.isnan(rank_correlation(np.ones(3), np.arange(3)))


def test_the_front_is_what_nobody_beats():
    figures = np.array([[1, 5], [2, 4], [1, 4], [3, 1], [2, 4], [0, 0]])
    slow = [not any((o >= f).all() and (o > f).any() for o in figures) for f in figures]
    assert pareto_front(figures).tolist() == slow == [True, True, False, True, True, False]
