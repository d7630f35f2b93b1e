import numpy as np
import pytest

from models.ranking.quality import auc, calibration_ratio, grouped_auc


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


def test_calibration_is_predicted_over_actual() -> None:
    assert calibration_ratio(np.array([1.0, 2.0]), np.array([0.0, 6.0])) == 0.5
