"""How sure are we? Confidence intervals by resampling users (Efron 1979), and the paired comparison of two systems."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Figures = Callable[[np.ndarray], np.ndarray]
"""Means `[..., M]` -> figures made of them `[..., F]`."""

_MAX_UNITS = 2000
# Values on a grid of 2^-30 times whole counts add up without rounding (below 2^23 in total), so that the figures do
# not depend on the order in which a BLAS with one or many threads adds them.
_GRID = float(1 << 30)


@dataclass(frozen=True)
class Interval:
    """Means, or figures made of them, and their percentile interval, each float64 `[M]`."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """System a against system b on the same users.

    Attributes:
        difference: mean of a - b, with its interval `low` to `high`.
        p_value: two-sided: how often resampling users turns the sign of the difference.
        ratio: mean of a / mean of b, with its interval `ratio_low` to `ratio_high`; NaN where b is 0.
    """

    difference: float
    low: float
    high: float
    p_value: float
    ratio: float
    ratio_low: float
    ratio_high: float


def bootstrap_means(
    values: np.ndarray, seed: int, num_resamples: int = 1000, level: float = 0.95, figures: Figures = np.asarray
) -> Interval:
    """Means over users of M figures with their intervals, from the same resamples.

    Above 2,000 users, random groups of users of one size are resampled instead of users, which gives the same
    intervals (the groups' means are independent and alike) at a cost that no longer grows with the users.

    Args:
        values: float `[U, M]`; NaN where a user has no value.
        figures: what to make of the means, such as the harmonic mean of two; the interval is of these.
    """
    sums, counts = _units(values, seed)
    mean = figures(_ratio(sums.sum(axis=0), counts.sum(axis=0)))
    draws = _resamples(len(sums), num_resamples, seed)
    low, high = _percentiles(figures(_ratio(draws @ sums, draws @ counts)), level)
    return Interval(mean, low, high)


def paired_bootstrap(
    a: np.ndarray, b: np.ndarray, seed: int, num_resamples: int = 1000, level: float = 0.95
) -> Comparison:
    """Compare two systems by the values `[U]` of the same users; a user without a value in either is left out.

    Where no user is left, nothing is known: all figures are NaN.
    """
    both = np.stack([a, b], axis=1)[~(np.isnan(a) | np.isnan(b))]
    sums, counts = _units(both, seed)
    draws = _resamples(len(sums), num_resamples, seed)
    means = _ratio(draws @ sums, draws @ counts)
    mean_a, mean_b = _ratio(sums.sum(axis=0), counts.sum(axis=0))
    differences = means[:, 0] - means[:, 1]
    low, high = _percentiles(differences, level)
    ratio_low, ratio_high = _percentiles(_ratio(means[:, 0], means[:, 1]), level)
    return Comparison(
        difference=float(mean_a - mean_b),
        low=float(low),
        high=float(high),
        p_value=_p_value(differences),
        ratio=float(_ratio(mean_a, mean_b)),
        ratio_low=float(ratio_low),
        ratio_high=float(ratio_high),
    )


def _p_value(differences: np.ndarray) -> float:
    if np.isnan(differences).all():
        return float("nan")
    # One is added above and below: no finite number of resamples shows that something never happens.
    num_resamples = len(differences)
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    return float(min(1.0, 2 * (tail + 1) / (num_resamples + 1)))


def _units(values: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts `[units, M]` of the users, or of random groups of them, that are resampled."""
    known = ~np.isnan(values)
    on_grid = np.where(known, np.round(np.nan_to_num(values) * _GRID) / _GRID, 0)
    counts = known.astype(np.float64)
    if len(values) <= _MAX_UNITS:
        return on_grid, counts
    shuffled = np.random.default_rng([seed, 1]).permutation(len(values))
    starts = np.linspace(0, len(values), _MAX_UNITS, endpoint=False).astype(np.int64)
    return np.add.reduceat(on_grid[shuffled], starts), np.add.reduceat(counts[shuffled], starts)


@lru_cache(maxsize=1)  # a table compares many systems on the same users
def _resamples(num_units: int, num_resamples: int, seed: int) -> np.ndarray:
    """How often each unit is drawn in each resample: float64 `[num_resamples, num_units]`, not to be written to."""
    draws = np.random.default_rng([seed, 0]).integers(num_units, size=(num_resamples, num_units))
    draws += np.arange(num_resamples)[:, None] * num_units
    counts = np.bincount(draws.ravel(), minlength=num_resamples * num_units)
    return counts.reshape(num_resamples, num_units).astype(np.float64)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return above / np.where(below == 0, np.nan, below)


def _percentiles(values: np.ndarray, level: float) -> np.ndarray:
    tail = (1 - level) / 2
    ends = [tail, 1 - tail]
    unknown = np.isnan(values)
    if not unknown.any():
        return np.quantile(values, ends, axis=0)  # all columns at once, where nanquantile takes one after the other
    finite = np.where(unknown.all(axis=0), 0, values)  # nanquantile warns about columns without a value
    return np.where(unknown.all(axis=0), np.nan, np.nanquantile(finite, ends, axis=0))
