"""Results of sweeps: `<home>/grids/*/results.parquet`, one row a combination of settings."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from models.metrics.bootstrap import bootstrap_means
from tasks.pages.plots import Estimate

RESULTS = "results.parquet"
_FIRST = ("combined", "ndcg@10", "precision", "diversity")
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
    """One sweep. A setting is named as in a config (`pipeline.k`, `system`) and takes several values."""
    table = pd.read_parquet(home / "grids" / name / RESULTS)
    named = [c for c in table.columns if c == "system" or ("." in c and "@" not in c)]
    settings = [c for c in named if table[c].astype(str).nunique() > 1] or named
    numbers = [c for c in table.select_dtypes("number").columns if c not in {*named, "rank", "trial"}]
    figures = [c for c in numbers if table[c].nunique() > 1]
    figures.sort(key=lambda c: _FIRST.index(c) if c in _FIRST else len(_FIRST))
    return Sweep(name, table, settings, figures)


def effects(sweep: Sweep, setting: str, figure: str) -> dict[str, Estimate]:
    """Mean of a figure for each value of a setting, over all else, with its 95 % interval by bootstrap over rows."""
    rows = sweep.table[[setting, figure]].dropna()
    found = {}
    for value, group in sorted(rows.groupby(setting), key=lambda pair: in_order(pair[0])):
        values = group[figure].to_numpy(dtype=float)
        interval = bootstrap_means(values[:, None], seed=0, num_resamples=500)
        found[str(value)] = Estimate(*(float(v[0]) for v in (interval.mean, interval.low, interval.high)))
    return found


def in_order(value: object) -> tuple[int, float, str]:
    """What values of a setting are sorted by: numbers by size, then words."""
    return (0, float(value), "") if isinstance(value, int | float | np.number) else (1, 0.0, str(value))


def front(sweep: Sweep, x: str, y: str) -> list[int]:
    """Rows that no other beats in both figures, by rising x."""
    xs, ys = sweep.table[x].to_numpy(dtype=float), sweep.table[y].to_numpy(dtype=float)
    best, kept = -np.inf, list[int]()
    for row in np.lexsort((-ys, -xs)).tolist():
        if ys[row] > best:
            best, kept = ys[row], [*kept, row]
    return kept[::-1]
