import numpy as np
import pytest

from models.metrics.bootstrap import bootstrap_means, paired_bootstrap


def test_interval_is_as_wide_as_theory_says_for_few_and_for_many_users():
    random = np.random.default_rng(0)
    for num_users in (400, 30_000):
        values = random.exponential(size=(num_users, 1))
        interval = bootstrap_means(values, seed=3, num_resamples=4000)
        error = values.std() / np.sqrt(num_users)
        assert interval.mean[0] == pytest.approx(values.mean())
        assert interval.high[0] - interval.low[0] == pytest.approx(2 * 1.96 * error, rel=0.08)


def test_interval_covers_the_true_mean_as_often_as_it_promises():
    random = np.random.default_rng(5)
    samples = random.random((300, 200))  # 200 experiments of 300 users
    interval = bootstrap_means(samples, seed=1, level=0.9)
    covered = ((interval.low <= 0.5) & (interval.high >= 0.5)).mean()
    assert 0.8 < covered < 0.97


def test_users_without_a_value_do_not_count():
    values = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    interval = bootstrap_means(values, seed=0)
    assert interval.mean == pytest.approx([2, np.nan], nan_ok=True)
    assert interval.low == pytest.approx([1, np.nan], nan_ok=True)
    assert interval.high == pytest.approx([3, np.nan], nan_ok=True)


def test_same_seed_same_interval_to_the_last_bit_in_any_column_order():
    values = np.random.default_rng(1).random((2500, 3))
    first = bootstrap_means(values, seed=9)
    swapped = bootstrap_means(values[:, ::-1].copy(), seed=9)
    assert np.array_equal(first.low, swapped.low[::-1])
    assert not np.array_equal(first.low, bootstrap_means(values, seed=10).low)


def test_pairing_sees_a_small_steady_gain_that_separate_intervals_hide():
    random = np.random.default_rng(2)
    weak = random.random(500)
    strong = weak + 0.01 + 0.01 * random.normal(size=500)
    paired = paired_bootstrap(strong, weak, seed=0)
    apart = bootstrap_means(np.stack([strong, weak], axis=1), seed=0)
    assert paired.low > 0
    assert paired.p_value < 0.01
    assert apart.low[0] < apart.high[1]  # the intervals overlap
    assert paired.difference == pytest.approx((strong - weak).mean())
    assert paired.ratio == pytest.approx(strong.mean() / weak.mean())
    assert paired.ratio_low < paired.ratio < paired.ratio_high


def test_p_values_of_equal_systems_are_spread_evenly():
    random = np.random.default_rng(4)
    pairs = enumerate(random.random((200, 2, 120)))
    p_values = [paired_bootstrap(one, other, seed=s, num_resamples=400).p_value for s, (one, other) in pairs]
    assert 0.01 < np.mean(np.array(p_values) < 0.1) < 0.2
    assert 0.4 < np.mean(p_values) < 0.6


def test_a_user_that_one_system_cannot_be_judged_on_is_left_out():
    comparison = paired_bootstrap(np.array([1.0, np.nan, 2.0]), np.array([0.0, 5.0, 1.0]), seed=0)
    assert comparison.difference == pytest.approx(1)


def test_without_common_users_nothing_is_known():
    comparison = paired_bootstrap(np.array([np.nan]), np.array([1.0]), seed=0)
    assert np.isnan(list(vars(comparison).values())).all()


def test_a_system_compared_with_itself_differs_by_nothing():
    values = np.random.default_rng(0).random(50)
    comparison = paired_bootstrap(values, values, seed=0)
    assert (comparison.difference, comparison.low, comparison.high, comparison.p_value) == (0, 0, 0, 1)


def test_a_figure_made_of_two_means_has_an_interval_of_its_own():
    values = np.random.default_rng(6).random((300, 2))
    product = bootstrap_means(values, seed=1, figures=lambda means: means[..., :1] * means[..., 1:])
    apart = bootstrap_means(values, seed=1)
    assert product.mean == pytest.approx([apart.mean.prod()])
    error = np.sqrt(((values.std(axis=0) / apart.mean) ** 2).sum() / 300) * apart.mean.prod()  # of independent factors
    assert product.high[0] - product.low[0] == pytest.approx(2 * 1.96 * error, rel=0.15)
