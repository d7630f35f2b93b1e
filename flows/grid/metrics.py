"""Names of a trial's figures, and which way is better.

`ndcg@10` is at a cut-off of the night's `evaluation` section, `ndcg@k` at the length of the configuration's own lists.
"""

from collections.abc import Iterable

import pyarrow as pa

from expectations.errors import UserError
from models.evaluation.config import EvaluationConfig

ORACLE_NDCG, ORACLE_SHARE = "oracle_ndcg", "oracle_share"
EVERYWHERE = (
    "ndcg", "recall", "precision", "hit_rate", "mrr", "map", "serendipity", "average_popularity", "miscalibration",
    "study_precision", "study_diversity", "study_combined", ORACLE_SHARE,
)  # fmt: skip
"""At every cut-off that is judged; `oracle_share`, NDCG over the oracle's, where data is made."""
AT_PRIMARY = ("diversity", "novelty", "coverage", "gini")
"""At the primary cut-off and at the length of the lists."""
SMALLER_IS_BETTER = ("gini", "average_popularity", "miscalibration")

HEADLINE = (
    "study_precision@k", "study_diversity@k", "study_combined@k", "ndcg@k", "ndcg@10", "oracle_share@10", "recall@10",
    "coverage@10",
)  # fmt: skip
"""Figures that the printed table shows, where there are such."""


def known(config: EvaluationConfig) -> list[str]:
    """Every figure that can be an objective."""
    cuts = [*sorted({*config.ks, config.primary_k}), "k"]
    return [
        *(f"{metric}@{cut}" for metric in EVERYWHERE for cut in cuts),
        *(f"{metric}@{cut}" for metric in AT_PRIMARY for cut in (config.primary_k, "k")),
    ]


def objectives_of(names: Iterable[str], config: EvaluationConfig) -> tuple[str, ...]:
    """Objectives by their full names; without a cut-off they are at the length of the lists.

    Raises:
        UserError: there is no such figure.
    """
    there = known(config)
    full = tuple(name if "@" in name else f"{name}@k" for name in names)
    for name in full:
        if name not in there:
            raise UserError(f"grid: no objective {name}; there are {', '.join(there)}")
    return full


def is_larger_better(name: str) -> bool:
    """Whether more of a figure is better."""
    return name.partition("@")[0] not in SMALLER_IS_BETTER


def figures_of(trial: pa.Table, k: int) -> dict[str, float]:
    """The figures of a trial's table by name; `@k` are those at the length of its lists."""
    columns = (trial[name].to_pylist() for name in ("metric", "k", "value"))
    by_key = {(metric, cut): value for metric, cut, value in zip(*columns, strict=True)}
    for metric, cut in [key for key in by_key if key[0] == ORACLE_NDCG]:
        best = by_key.pop((metric, cut))
        if best:
            by_key[ORACLE_SHARE, cut] = by_key["ndcg", cut] / best
    named = {f"{metric}@k": value for (metric, cut), value in by_key.items() if cut == k}
    return named | {f"{metric}@{cut}": value for (metric, cut), value in by_key.items()}
