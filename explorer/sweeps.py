"""Results of sweeps: `<home>/grids/*/results.parquet`, one row a combination of settings."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from models.metrics.bootstrap import bootstrap_means
from tasks.pages.plots import Estimate

RESULTS = "results.parquet"
SWEEP = "sweep"
"""Column that says which of several sweeps over different settings a row belongs to."""
_FIRST = ("study_combined@k", "ndcg@10", "study_precision@k", "study_diversity@k", "oracle_share@10", "recall@10",
          "coverage@10")  # fmt: skip
"""Figures that are shown first where a sweep has them."""


@dataclass(frozen=True)
class Sweep:
    """A table of combinations: which columns are settings, which are figures."""

    name: str
    table: pd.DataFrame
    settings: list[str]
    figures: list[str]


def sweeps(home: Path) -> list[str]:
    """Names of all sweeps that have results, newest first."""
    return sorted((path.parent.name for path in (home / "grids").glob(f"*/{RESULTS}")), reverse=True)


def load(home: Path, name: str) -> Sweep:
    """One sweep. Settings stand before the first figure, whose name has a cut-off, and take several values."""
    table = pd.read_parquet(home / "grids" / name / RESULTS)
    measured = [c for c in table.select_dtypes("number").columns if "@" in c and table[c].nunique() > 1]
    first = next((n for n, c in enumerate(table.columns) if "@" in c), len(table.columns))
    named = [c for c in table.columns[:first] if c != "rank"]
    settings = [c for c in named if table[c].astype(str).nunique() > 1] or named
    order = sorted(measured, key=lambda c: _FIRST.index(c) if c in _FIRST else len(_FIRST))
    return Sweep(name, table.dropna(subset=order[:1]).reset_index(drop=True), settings, order)


def effects(sweep: Sweep, setting: str, figure: str) -> dict[str, Estimate]:
    """Mean of a figure for each value of a setting, over all else, with its 95 % interval by bootstrap over rows.

    Of several sweeps each is compared with itself: what one is better or worse than all together is taken out first.
    """
    rows = sweep.table[[setting, figure]].assign(of=sweep.table[SWEEP] if SWEEP in sweep.settings else "").dropna()
    if setting != SWEEP:
        rows[figure] += rows[figure].mean() - rows.groupby("of")[figure].transform("mean")
    found = {}
    for value, group in sorted(rows.groupby(setting), key=lambda pair: in_order(pair[0])):
        values = group[figure].to_numpy(dtype=float)
        interval = bootstrap_means(values[:, None], seed=0, num_resamples=500)
        found[in_words(value)] = Estimate(*(float(v[0]) for v in (interval.mean, interval.low, interval.high)))
    return found


def in_words(value: object) -> str:
    """A value of a setting; a whole number that stands among missing ones is whole all the same."""
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


def in_order(value: object) -> tuple[int, float, str]:
    """What values of a setting are sorted by: numbers by size, then words."""
    return (0, float(value), "") if isinstance(value, int | float | np.number) else (1, 0.0, str(value))


def front(sweep: Sweep, x: str, y: str) -> list[int]:
    """Rows that no other beats in both figures, by rising x."""
    xs, ys = (sweep.table[c].fillna(-np.inf).to_numpy(dtype=float) for c in (x, y))
    best, kept = -np.inf, list[int]()
    for row in np.lexsort((-ys, -xs)).tolist():
        if ys[row] > best:
            best, kept = ys[row], [*kept, row]
    return kept[::-1]
