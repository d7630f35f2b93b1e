"""The verdict: every system's figures on the same users, by segment, with confidence intervals.

Shapes: U users judged, K places, S systems, M figures.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.datasets import EVALUATION
from models.evaluation.catalogue import TIERS, CatalogueFacts
from models.evaluation.config import EvaluationConfig
from models.evaluation.per_user import Systems, Tastes, places_of_tier, values_in_tier, values_per_user
from models.evaluation.truth import Judged
from models.metrics.beyond_accuracy import coverage, gini, recommendation_counts
from models.metrics.bootstrap import bootstrap_means, paired_bootstrap
from models.metrics.item_sets import ItemSets
from models.metrics.ranking import PerUser, ranking_metrics
from models.metrics.study import COMBINED, DIVERSITY, PRECISION, combined

COMPARED = ("ndcg", "recall")
"""Metrics that also stand in the table as `<metric>_vs_final`: the system minus `final`, user by user. Beside them
stands `overlap_with_final`: the share of a list that is also in the final one."""


@dataclass
class _Rows:
    """Rows of the dataset `evaluation` in the making."""

    columns: dict[str, list[object]]

    @classmethod
    def none(cls) -> "_Rows":
        return cls({name: [] for name in EVALUATION.schema.names})

    def add(self, system: str, segment: str, metric: str, k: int, value: float, users: int, *ends: float) -> None:
        """`ends` are of the interval, and after them the p-value of a difference."""
        low, high, p_value = (*ends, None, None, None)[:3]
        row = (system, segment, metric, k, value, low, high, users, p_value)
        for name, cell in zip(EVALUATION.schema.names, row, strict=True):
            self.columns[name].append(cell)

    def table(self) -> pa.Table:
        return pa.table(self.columns, schema=EVALUATION.schema)


def evaluation_table(
    systems: Systems,
    judged: Judged,
    segments: Mapping[str, np.ndarray],
    items: CatalogueFacts,
    config: EvaluationConfig,
    baseline: str = "final",
) -> pa.Table:
    """Judge systems on the same users: a table of the dataset `evaluation`.

    The segment `all` has every cut-off of `config.ks`; the others have `config.primary_k`, as do diversity, novelty
    (means over users), coverage and Gini (of all lists of a segment together), and the differences to the baseline.
    Segments of items (`items=head`, ...) count only the relevant items of that kind, on users who have some;
    `share_of_places` is of all users' lists.

    Args:
        segments: name -> bool `[U]`, as from `user_segments`.
        baseline: the system that the others are compared with: `final`, or what stands for it.
    """
    rows = _Rows.none()
    tastes = Tastes.of(judged, items)
    values = {name: values_per_user(lists, judged, items, tastes, config) for name, lists in systems.items()}
    for segment, members in segments.items():
        chosen = {
            name: {key: v[members] for key, v in of.items() if segment == "all" or key[1] == config.primary_k}
            for name, of in values.items()
        }
        _add_means(rows, segment, chosen, config)
        _add_comparisons(rows, segment, chosen, baseline, config)
        for name, lists in systems.items():
            _add_spread(rows, name, segment, lists[members], items, config)
    for tier, tier_name in enumerate(TIERS):
        _add_means(rows, f"items={tier_name}", values_in_tier(systems, judged, items, tier, config), config)
        _add_means(rows, f"items={tier_name}", places_of_tier(systems, items, tier, config), config)
    _add_means(rows, "all", _overlaps(systems, baseline, config.primary_k), config)
    return rows.table()


def _add_means(rows: _Rows, segment: str, values: Mapping[str, PerUser], config: EvaluationConfig) -> None:
    """Means over users; one bootstrap serves all systems, so that they see the same resamples.

    The study's combined figure is made of two means, not a mean itself, in every resample too.
    """
    labels = [(system, *key) for system, of in values.items() for key in of]
    if not labels:
        return
    column = {label: number for number, label in enumerate(labels)}
    both = [(system, k) for system, metric, k in labels if metric == PRECISION]
    precise, diverse = ([column[system, metric, k] for system, k in both] for metric in (PRECISION, DIVERSITY))

    def with_combined(means: np.ndarray) -> np.ndarray:
        return np.concatenate([means, combined(means[..., precise], means[..., diverse])], axis=-1)

    matrix = np.stack([v for of in values.values() for v in of.values()], axis=1)
    interval = bootstrap_means(matrix, config.seed, config.num_resamples, config.confidence_level, with_combined)
    num_users = (~np.isnan(matrix)).sum(axis=0)
    num_users = np.append(num_users, num_users[precise])
    labels += [(system, COMBINED, k) for system, k in both]
    for (system, metric, k), *figures, users in zip(
        labels, interval.mean, interval.low, interval.high, num_users, strict=True
    ):
        if users:
            mean, low, high = (float(f) for f in figures)
            rows.add(system, segment, metric, k, mean, int(users), low, high)


def _add_spread(
    rows: _Rows, system: str, segment: str, lists: np.ndarray, items: CatalogueFacts, config: EvaluationConfig
) -> None:
    counts = recommendation_counts(lists[:, : config.primary_k], len(items.tier))[items.item_ids]
    rows.add(system, segment, "coverage", config.primary_k, coverage(counts), len(lists))
    rows.add(system, segment, "gini", config.primary_k, gini(counts), len(lists))


def _add_comparisons(
    rows: _Rows, segment: str, values: Mapping[str, PerUser], baseline: str, config: EvaluationConfig
) -> None:
    k = config.primary_k
    for system in (name for name in values if name != baseline):
        for metric in COMPARED:
            c = paired_bootstrap(
                values[system][metric, k], values[baseline][metric, k],
                config.seed, config.num_resamples, config.confidence_level,
            )  # fmt: skip
            users = len(values[system][metric, k])
            rows.add(system, segment, f"{metric}_vs_final", k, c.difference, users, c.low, c.high, c.p_value)


def _overlaps(systems: Systems, baseline: str, k: int) -> dict[str, PerUser]:
    rows, places = np.nonzero(systems[baseline][:, :k] >= 0)
    served = ItemSets.from_pairs(rows, systems[baseline][rows, places], len(systems[baseline]))
    return {
        name: {("overlap_with_final", k): served.contains(lists[:, :k]).sum(axis=1) / np.maximum(served.sizes, 1)}
        for name, lists in systems.items()
        if name != baseline
    }


def headline(table: pa.Table, systems: Systems, judged: Judged, config: EvaluationConfig) -> dict[str, Any]:
    """The night's main figures, for notes and the report: how `final` stands to popularity and to the oracle.

    Args:
        table: what `evaluation_table` says of the same systems.
    """
    k = config.primary_k
    ndcg = {
        name: ranking_metrics(judged.truth.contains(lists), judged.truth.sizes, [k])["ndcg", k]
        for name, lists in systems.items()
    }

    def against(other: str) -> dict[str, float | None]:
        c = paired_bootstrap(ndcg["final"], ndcg[other], config.seed, config.num_resamples, config.confidence_level)
        figures = {"ratio": c.ratio, "low": c.ratio_low, "high": c.ratio_high, "p_value": c.p_value}
        return {name: None if np.isnan(value) else value for name, value in figures.items()}

    means = table.filter(
        (pc.field("segment") == "all") & (pc.field("metric") == "ndcg") & (pc.field("k") == k)
    ).to_pylist()  # fmt: skip
    final = next(row for row in means if row["system"] == "final")
    facts: dict[str, Any] = {
        "primary_k": k,
        "confidence_level": config.confidence_level,
        "ndcg": {row["system"]: row["value"] for row in means},
        "ndcg_interval": [final["low"], final["high"]],
        "lift_over_popularity": against("popularity"),
    }
    if "oracle" in systems:
        facts["share_of_oracle"] = against("oracle")
    return facts


def hits_by_source(recommendations: pa.Table, judged: Judged, k: int) -> dict[str, dict[str, int]]:
    """Of the first k places of the judged users: how many each source filled, and how many of these were liked."""
    ours = recommendations.filter((pc.field("rank") <= k) & pc.field("user_id").isin(pa.array(judged.user_ids)))
    rows = np.searchsorted(judged.user_ids, ours["user_id"].to_numpy())
    lists = np.full((len(judged.user_ids), k), -1, dtype=np.int64)
    places = ours["rank"].to_numpy() - 1
    lists[rows, places] = ours["item_id"].to_numpy()
    liked = pa.array(judged.truth.contains(lists)[rows, places])
    found = ours.append_column("liked", liked.cast(pa.int64())).group_by("source")
    counts = found.aggregate([("liked", "count"), ("liked", "sum")]).sort_by("source").to_pylist()
    return {c["source"]: {"recommended": c["liked_count"], "hits": c["liked_sum"]} for c in counts}
