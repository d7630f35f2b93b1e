"""Does a parameter matter? The difference that one of its values makes, everything else being equal, with its interval.

For two values of a parameter, configurations are matched that agree in all other parameters. The effect is the mean
over those pairs of the difference between their figures, and its interval comes from resampling users, the same ones in
both members of every pair: what users have in common cancels out. It says how sure the effect is for other users, with
these configurations; over how many pairs it has the same sign stands beside it.

Shapes: R configurations, U users, P pairs, M metrics.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from models.metrics.bootstrap import bootstrap_means
from models.metrics.study import COMBINED, DIVERSITY, PRECISION, combined

Settings = Mapping[str, Any]
Values = Mapping[str, np.ndarray]
"""Metric -> float `[R, U]`, NaN where a user has no value."""


@dataclass(frozen=True)
class Effect:
    """What changing one parameter from one value to another does to one metric.

    Attributes:
        difference: mean over pairs, after minus before, with its interval.
        pairs: matched configurations. `same_sign`: share of them whose difference has the sign of the mean.
    """

    parameter: str
    before: Any
    after: Any
    metric: str
    difference: float
    low: float
    high: float
    pairs: int
    same_sign: float

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def effects(
    settings: Sequence[Settings], values: Values, seed: int = 0, num_resamples: int = 1000, level: float = 0.95
) -> list[Effect]:
    """Every step between neighbouring values of every parameter, and from the first to the last.

    The study's combined figure comes with its two parts, as the harmonic mean of their means over users.

    Args:
        settings: parameter -> value, of each of R configurations, in the order of `values`.
    """
    found = []
    for parameter in dict.fromkeys(name for one in settings for name in one):
        for before, after in steps(settings, parameter):
            pairs = matched(settings, parameter, before, after)
            if pairs:
                found += _of_pairs((parameter, before, after), pairs, values, seed, num_resamples, level)
    return found


def steps(settings: Sequence[Settings], parameter: str) -> Iterator[tuple[Any, Any]]:
    """Pairs of values of a parameter: neighbours, and the first with the last where there are more than two."""
    chosen = list(dict.fromkeys(one[parameter] for one in settings if parameter in one))
    if all(isinstance(value, int | float) for value in chosen):
        chosen.sort()
    yield from pairwise(chosen)
    if len(chosen) > 2:
        yield chosen[0], chosen[-1]


def matched(settings: Sequence[Settings], parameter: str, before: Any, after: Any) -> list[tuple[int, int]]:
    """Places of configurations that differ in nothing but this parameter."""

    def rest(one: Settings) -> tuple[Any, ...]:
        return tuple(sorted((name, repr(value)) for name, value in one.items() if name != parameter))

    there = {rest(one): place for place, one in enumerate(settings) if one.get(parameter) == after}
    places = ((n, there.get(rest(one))) for n, one in enumerate(settings) if one.get(parameter) == before)
    return [(n, place) for n, place in places if place is not None]


def _of_pairs(
    step: tuple[str, Any, Any],
    pairs: list[tuple[int, int]],
    values: Values,
    seed: int,
    num_resamples: int,
    level: float,
) -> list[Effect]:
    names, places = list(values), np.array(pairs).T
    has_both = PRECISION in values and DIVERSITY in values

    def differences(means: np.ndarray) -> np.ndarray:
        """`[..., M * 2 * P]` means -> `[..., M', P]`."""
        by_metric = means.reshape(*means.shape[:-1], len(names), 2, len(pairs))
        if has_both:
            both = (by_metric[..., names.index(name), :, :] for name in (PRECISION, DIVERSITY))
            by_metric = np.concatenate([by_metric, combined(*both)[..., None, :, :]], axis=-3)
        return by_metric[..., 1, :] - by_metric[..., 0, :]

    stacked = np.concatenate([values[name][members] for name in names for members in places]).T
    found = bootstrap_means(stacked, seed, num_resamples, level, lambda means: differences(means).mean(axis=-1))
    each = bootstrap_means(stacked, seed, 1, level, lambda means: differences(means).reshape(*means.shape[:-1], -1))
    by_pair = each.mean.reshape(-1, len(pairs))
    rows = zip([*names, *[COMBINED] * has_both], found.mean, found.low, found.high, by_pair, strict=True)
    return [
        Effect(*step, name, float(mean), float(low), float(high), len(pairs),
               float((np.sign(one) == np.sign(mean)).mean()))
        for name, mean, low, high, one in rows
    ]  # fmt: skip


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's: 1 where two figures rank configurations alike, 0 where they have nothing to do with each other, NaN
    where one of them ranks nothing; ties share their mean rank."""

    def ranks(values: np.ndarray) -> np.ndarray:
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        return (np.cumsum(count) - (count - 1) / 2)[place]

    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def pareto_front(figures: np.ndarray) -> np.ndarray:
    """bool `[R]`: configurations that no other beats in all of `figures` `[R, M]` (larger is better), ties kept."""
    at_least = (figures[:, None] >= figures[None]).all(axis=2)
    better = (figures[:, None] > figures[None]).any(axis=2)
    return np.asarray(~(at_least & better).any(axis=0))
