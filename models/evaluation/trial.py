"""One configuration of a sweep, judged as the night judges its lists, with the value of every user kept.

The values by user are what makes two configurations comparable pair by pair afterwards, without any list.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from expectations.datasets import TRIAL
from models.evaluation.catalogue import CatalogueFacts
from models.evaluation.config import EvaluationConfig
from models.evaluation.per_user import Tastes, values_per_user
from models.evaluation.truth import Judged
from models.metrics.beyond_accuracy import coverage, gini, recommendation_counts
from models.metrics.bootstrap import bootstrap_means
from models.metrics.ranking import PerUser, ranking_metrics
from models.metrics.study import COMBINED, DIVERSITY, PRECISION, combined, study_metrics


def trial_table(
    lists: np.ndarray,
    k: int,
    judged: Judged,
    items: CatalogueFacts,
    config: EvaluationConfig,
    yardsticks: Mapping[str, np.ndarray],
) -> pa.Table:
    """A table of the dataset `trial`: every metric at the night's cut-offs and at the length of the lists.

    Args:
        lists: int64 `[U, K]` for the judged users, -1 where a list is shorter.
        k: length of the lists that the configuration asks for.
        yardsticks: the lists of others for the same users (popularity, random, oracle), whose NDCG and genre figures
            stand beside as `popularity_ndcg` and the like.
    """
    ks, tastes = sorted({*config.ks, config.primary_k, k}), Tastes.of(judged, items)
    values = _at_length(lists, k, judged, items, tastes, dataclasses.replace(config, ks=tuple(ks)))
    rows = [*_means(values, judged, config), *_combined(values, judged, config)]
    for name, others in yardsticks.items():
        beside = _beside(others, judged, items, tastes, ks)
        told = [*_means(beside, judged, config), *_combined(beside, judged, config)]
        rows += [row | {"metric": f"{name}_{row['metric']}", "user_ids": [], "by_user": []} for row in told]
    for cut in sorted({config.primary_k, k}):
        counts = recommendation_counts(lists[:, :cut], len(items.tier))[items.item_ids]
        for metric, value in (("coverage", coverage(counts)), ("gini", gini(counts))):
            rows.append(_row(metric, cut, (value, None, None), len(lists)))
    return pa.Table.from_pylist(rows, schema=TRIAL.schema)


def _beside(lists: np.ndarray, judged: Judged, items: CatalogueFacts, tastes: Tastes, ks: Sequence[int]) -> PerUser:
    """NDCG, and what the study asks of a list."""
    found = ranking_metrics(judged.truth.contains(lists), judged.truth.sizes, ks)
    values = {("ndcg", cut): found["ndcg", cut] for cut in ks}
    has_genres = items.genre_vectors.shape[1] > 0
    return values | (study_metrics(lists, tastes.top, items.primary_genre, ks) if has_genres else {})


def _at_length(
    lists: np.ndarray, k: int, judged: Judged, items: CatalogueFacts, tastes: Tastes, config: EvaluationConfig
) -> PerUser:
    """The night's figures, and those of its primary cut-off at the length of the lists too."""
    values = values_per_user(lists, judged, items, tastes, config)
    if k == config.primary_k:
        return values
    own = dataclasses.replace(config, ks=(k,), primary_k=k)
    return values_per_user(lists, judged, items, tastes, own) | values


def _means(values: PerUser, judged: Judged, config: EvaluationConfig) -> list[dict[str, object]]:
    matrix = np.stack(list(values.values()), axis=1)
    interval = bootstrap_means(matrix, config.seed, config.num_resamples, config.confidence_level)
    ends = zip(interval.mean.tolist(), interval.low.tolist(), interval.high.tolist(), strict=True)
    return [
        _row(metric, cut, figures, int(known.sum()), judged.user_ids[known], value[known])
        for ((metric, cut), value), figures in zip(values.items(), ends, strict=True)
        if (known := ~np.isnan(value)).any()
    ]


def _combined(values: PerUser, judged: Judged, config: EvaluationConfig) -> list[dict[str, object]]:
    """The study's combined figure, which is made of two means and so has no value of a user's own."""
    rows = []
    for cut in sorted(k for metric, k in values if metric == PRECISION):
        both = np.stack([values[PRECISION, cut], values[DIVERSITY, cut]], axis=1)
        found = bootstrap_means(
            both, config.seed, config.num_resamples, config.confidence_level,
            lambda means: combined(means[..., :1], means[..., 1:]),
        )  # fmt: skip
        figures = tuple(float(end[0]) for end in (found.mean, found.low, found.high))
        rows.append(_row(COMBINED, cut, figures, len(judged.user_ids)))
    return rows


def _row(
    metric: str,
    k: int,
    figures: Sequence[float | None],
    num_users: int,
    user_ids: np.ndarray | None = None,
    by_user: np.ndarray | None = None,
) -> dict[str, object]:
    value, low, high = figures
    return {
        "metric": metric, "k": k, "value": value, "low": low, "high": high, "num_users": num_users,
        "user_ids": [] if user_ids is None else user_ids, "by_user": [] if by_user is None else by_user,
    }  # fmt: skip
