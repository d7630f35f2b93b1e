"""Results of sweeps in `<home>/grids/*`: `results.parquet`, one row a combination of settings, and `effects.parquet`,
one row a step between two values of a setting and a figure.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from flows.grid.metrics import is_larger_better, is_of_yardstick
from models.evaluation.effects import pareto_front

RESULTS, EFFECTS = "results.parquet", "effects.parquet"
SWEEP = "sweep"
"""Column that says which of several sweeps over different settings a row belongs to."""
_FIRST = ("study_combined@k", "ndcg@10", "study_precision@k", "study_diversity@k", "oracle_share@10", "recall@10",
          "coverage@10")  # fmt: skip
"""Figures that are shown first where a sweep has them."""


@dataclass(frozen=True)
class Sweep:
    """A table of combinations: which columns are settings, which are figures; and what each step of a setting does."""

    name: str
    table: pd.DataFrame
    settings: list[str]
    figures: list[str]
    effects: pd.DataFrame

    def effects_on(self, figure: str) -> pd.DataFrame:
        """The steps that a figure is told of, everything else being equal."""
        return self.effects[self.effects["metric"] == figure] if len(self.effects) else self.effects


def sweeps(home: Path) -> list[str]:
    """Names of all sweeps that have results, newest first."""
    return sorted((path.parent.name for path in (home / "grids").glob(f"*/{RESULTS}")), reverse=True)


def load(home: Path, name: str) -> Sweep:
    """One sweep. Settings stand before the first figure, whose name has a cut-off, and take several values."""
    folder = home / "grids" / name
    table = pd.read_parquet(folder / RESULTS)
    effects = pd.read_parquet(folder / EFFECTS) if (folder / EFFECTS).is_file() else pd.DataFrame()
    numbers = [c for c in table.select_dtypes("number").columns if "@" in c and not is_of_yardstick(c)]
    measured = [c for c in numbers if table[c].nunique() > 1]
    first = next((n for n, c in enumerate(table.columns) if "@" in c), len(table.columns))
    named = [c for c in table.columns[:first] if c != "rank"]
    settings = [c for c in named if table[c].astype(str).nunique() > 1] or named
    order = sorted(measured, key=lambda c: _FIRST.index(c) if c in _FIRST else len(_FIRST))
    return Sweep(name, table.dropna(subset=order[:1]).reset_index(drop=True), settings, order, effects)


def in_words(value: object) -> str:
    """A value of a setting; a whole number that stands among missing ones is whole all the same."""
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


def in_order(value: object) -> tuple[int, float, str]:
    """What values of a setting are sorted by: numbers by size, then words."""
    return (0, float(value), "") if isinstance(value, int | float | np.number) else (1, 0.0, str(value))


def worth(sweep: Sweep, figure: str) -> pd.Series:
    """A figure of every combination such that more is better."""
    return sweep.table[figure] if is_larger_better(figure) else -sweep.table[figure]


def front(sweep: Sweep, x: str, y: str) -> list[int]:
    """Rows that have both figures and that no other beats in them, by rising x."""
    both = sweep.table[[x, y]].dropna().index
    best = both[pareto_front(np.stack([worth(sweep, name)[both] for name in (x, y)], axis=1))]
    return sweep.table.loc[best].sort_values([x, y]).index.tolist()
