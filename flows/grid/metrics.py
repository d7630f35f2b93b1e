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

YARDSTICKS = ("popularity", "random", "oracle")
"""Systems that stand beside every configuration; their figures begin with their name."""


def headline(primary_k: int) -> tuple[str, ...]:
    """Figures that the printed table shows, where there are such."""
    lengths = ("study_precision", "study_diversity", "study_combined", "ndcg")
    cuts = ("ndcg", "oracle_share", "recall", "coverage")
    return (*(f"{metric}@k" for metric in lengths), *(f"{metric}@{primary_k}" for metric in cuts))


def best_by(primary_k: int) -> tuple[str, ...]:
    """Figures whose best configuration is told and written out as a config, besides the objectives."""
    return headline(primary_k)[:5]


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


def is_of_yardstick(name: str) -> bool:
    """Whether a figure is not a configuration's own, such as `popularity_ndcg@10`."""
    return name.startswith(tuple(f"{system}_" for system in YARDSTICKS)) and not name.startswith(ORACLE_SHARE)


def figures_of(trial: pa.Table, k: int) -> dict[str, float]:
    """The figures of a trial's table by name; `@k` are those at the length of its lists."""
    columns = (trial[name].to_pylist() for name in ("metric", "k", "value"))
    by_key = {(metric, cut): value for metric, cut, value in zip(*columns, strict=True)}
    for metric, cut in [key for key in by_key if key[0] == ORACLE_NDCG]:
        best = by_key[metric, cut]
        if best:
            by_key[ORACLE_SHARE, cut] = by_key["ndcg", cut] / best
    named = {f"{metric}@k": value for (metric, cut), value in by_key.items() if cut == k}
    return named | {f"{metric}@{cut}": value for (metric, cut), value in by_key.items()}
