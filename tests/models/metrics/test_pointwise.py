import numpy as np
import pytest
import sklearn.metrics

from expectations.errors import Failure
from models.metrics.pointwise import (
    auc,
    calibration_ratio,
    expected_calibration_error,
    grouped_auc,
    log_loss,
    mae,
    rmse,
)  # fmt: skip


def _slow_auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    pairs = [
        (1.0 if a > b else 0.5 if a == b else 0.0)
        for a, positive in zip(scores, labels, strict=True)
        for b, other in zip(scores, labels, strict=True)
        if positive and not other
    ]
    return float(np.mean(pairs)) if pairs else None


@pytest.mark.parametrize("seed", range(5))
def test_auc_counts_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 2, 60), rng.integers(0, 8, 60)  # many ties
    assert auc(labels, scores) == pytest.approx(_slow_auc(labels, scores))


def test_grouped_auc_averages_the_groups_that_have_both_labels() -> None:
    rng = np.random.default_rng(0)
    groups, labels, scores = rng.integers(0, 9, 200), rng.integers(0, 2, 200), rng.integers(0, 20, 200)
    labels[groups == 4] = 1
    values = {g: _slow_auc(labels[groups == g], scores[groups == g]) for g in range(9)}
    sizes = {g: np.count_nonzero(groups == g) for g, value in values.items() if value is not None}
    assert 4 not in sizes
    expected = sum(sizes[g] * (values[g] or 0) for g in sizes) / sum(sizes.values())
    assert grouped_auc(groups, labels, scores) == pytest.approx(expected)


def test_grouped_auc_ignores_what_differs_between_groups() -> None:
    groups = np.repeat([0, 1], 50)
    labels = np.tile([0, 1], 50)
    scores = labels + 100.0 * groups
    assert grouped_auc(groups, labels, scores) == 1.0
    assert auc(labels, scores) == 0.75


def test_nothing_to_compare_has_no_value() -> None:
    assert auc(np.ones(4), np.arange(4)) is None
    assert calibration_ratio(np.ones(3), np.zeros(3)) is None


def test_scores_without_an_order_are_refused() -> None:
    with pytest.raises(Failure, match="2 of 4 scores are not finite"):
        auc(np.array([0, 1, 1, 0]), np.array([0.1, np.nan, 0.3, np.inf]))


def test_calibration_is_predicted_over_actual() -> None:
    assert calibration_ratio(np.array([1.0, 2.0]), np.array([0.0, 6.0])) == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_says_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 2, 300), rng.integers(0, 40, 300) / 39  # ties, certain zeros and ones
    assert auc(labels, scores) == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores))
    assert log_loss(labels, scores) == pytest.approx(sklearn.metrics.log_loss(labels, scores))
    ratings, predicted = rng.integers(1, 6, 300), rng.normal(3, 1, 300).astype(np.float32)
    assert rmse(ratings, predicted) == pytest.approx(sklearn.metrics.root_mean_squared_error(ratings, predicted))
    assert mae(ratings, predicted) == pytest.approx(sklearn.metrics.mean_absolute_error(ratings, predicted))


def test_a_coin_costs_log_two_and_a_certain_mistake_is_finite() -> None:
    assert log_loss(np.array([0, 1]), np.array([0.5, 0.5])) == pytest.approx(np.log(2))
    assert 30 < log_loss(np.array([1]), np.array([0.0])) < 40


@pytest.mark.parametrize("seed", range(3))
def test_expected_calibration_error_is_the_mean_distance_of_the_bins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = np.concatenate([[0.0, 1.0, 0.2], rng.random(200)])
    labels = (rng.random(203) < probabilities**2).astype(np.int64)
    distances = 0.0
    for number in range(10):
        low, high = number / 10, (number + 1) / 10
        inside = (probabilities > low) & (probabilities <= high) | (number == 0) & (probabilities == 0)
        if inside.any():
            distances += inside.sum() * abs(probabilities[inside].mean() - labels[inside].mean())
    assert expected_calibration_error(labels, probabilities, 10) == pytest.approx(distances / 203)


def test_calibrated_probabilities_have_little_error_and_extreme_ones_much() -> None:
    rng = np.random.default_rng(0)
    chances = rng.random(50_000)
    labels = (rng.random(50_000) < chances).astype(np.int64)
    assert expected_calibration_error(labels, chances) < 0.01
    assert expected_calibration_error(labels, (chances > 0.5).astype(float)) == pytest.approx(0.25, abs=0.01)


def test_no_rows_have_no_auc() -> None:
    nothing = np.empty(0)
    assert auc(nothing, nothing) is None
