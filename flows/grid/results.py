"""What came out of a sweep: a row a configuration, the best by each figure, the effects of parameters, configs to run.

Everything here is read from the trials' artifacts, so it can be drawn up again at any time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date as Date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from expectations.files import replacing, write_text
from flows.grid.metrics import best_by, figures_of, headline, is_larger_better
from flows.grid.work import Trial
from models.evaluation.config import EvaluationConfig
from models.evaluation.effects import Effect, effects, pareto_front
from tasks.engine.running import Night
from tasks.engine.stage import plain

EFFECTS_ON = ("study_precision", "study_diversity", "ndcg", "recall", "diversity", "novelty")
"""Figures that the effect of each parameter is told on: at the length of the lists. Beside them the study's combined
one, and those of FIXED at the primary cut-off."""
FIXED = ("ndcg",)


@dataclass
class Judged:
    """A configuration with its figures, or why it has none.

    Attributes:
        by_user: name of a figure -> user ids and their values.
        seconds: that judging took. `training_seconds`: of the models in its bundle, whoever trained them.
        stopped: a search has given up its training; no failure.
    """

    trial: Trial
    figures: dict[str, float] = field(default_factory=dict)
    by_user: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    seconds: float = 0.0
    training_seconds: float = 0.0
    error: str = ""
    stopped: bool = False

    @property
    def sweep(self) -> str:
        return self.trial.row.sweep

    def to_dict(self, axes: Iterable[str]) -> dict[str, Any]:
        """A row of the table of results: what was chosen on each of all sweeps' axes, the headline, the rest."""
        names = headline(self.trial.row.config.evaluation.primary_k)
        first = {name: self.figures[name] for name in names if name in self.figures}
        return {
            "sweep": self.sweep, **{axis: self.trial.row.chosen.get(axis) for axis in axes}, **first,
            "seconds": self.seconds, "training_seconds": self.training_seconds, **self.figures,
            "error": self.error, "trial": self.trial.ref.folder,
        }  # fmt: skip


def read(night: Night, trial: Trial) -> Judged:
    """A trial that stands."""
    artifact = night.artifact(trial.ref)
    table, k = artifact.table(), int(artifact.notes["k"])
    keys = list(zip(table["metric"].to_pylist(), table["k"].to_pylist(), strict=True))
    fixed = trial.row.config.evaluation.primary_k
    wanted = {(m, k): f"{m}@k" for m in EFFECTS_ON} | {(m, fixed): f"{m}@{fixed}" for m in FIXED}
    by_user = {
        wanted[key]: tuple(table[name][place].values.to_numpy() for name in ("user_ids", "by_user"))
        for place, key in enumerate(keys)
        if key in wanted
    }
    # Where the cut-off is the length of the lists, one figure has two names.
    by_user |= {f"{m}@k": by_user[f"{m}@{fixed}"] for m in FIXED if k == fixed}
    trained = [s.cells[0].refs[0] for s in trial.before if s.stage.trains]
    return Judged(
        trial,
        figures_of(table, k),
        by_user,
        float(artifact.run.get("seconds", 0.0)),
        round(sum(float(night.artifact(ref).run.get("seconds", 0.0)) for ref in trained if night.lake.stands(ref)), 3),
    )


@dataclass
class Results:
    """A sweep's configurations, the best by its first objective first; those that failed last."""

    objectives: tuple[str, ...]
    rows: list[Judged]

    @classmethod
    def of(cls, objectives: tuple[str, ...], rows: Sequence[Judged]) -> "Results":
        """Ranked; equal ones by name, as which is judged first depends on the machine."""
        return cls(objectives, sorted(rows, key=lambda row: (-worth(row, objectives[0]), row.trial.row.name)))

    @property
    def good(self) -> list[Judged]:
        """Those that have figures."""
        return [row for row in self.rows if row.figures]

    def best(self, name: str, sweep: str = "") -> Judged | None:
        """The best configuration (of one sweep) by a figure."""
        rows = [row for row in self.good if name in row.figures and sweep in ("", row.sweep)]
        return max(rows, key=lambda row: worth(row, name), default=None)

    @property
    def axes(self) -> list[str]:
        """Everything that varies, in all sweeps."""
        return list(dict.fromkeys(axis for row in self.rows for axis in row.trial.row.chosen))

    @property
    def sweeps(self) -> list[str]:
        """Names of the sweeps, in the order of their best."""
        return list(dict.fromkeys(row.sweep for row in self.rows))

    def of_sweep(self, sweep: str) -> list[Judged]:
        return [row for row in self.good if row.sweep == sweep]

    def front(self) -> list[bool]:
        """Which of `good` no other beats in every objective; with one objective, in the study's two and NDCG."""
        names = [n for n in self.axes_of_front if all(n in row.figures for row in self.good)]
        signed = [[worth(row, name) for name in names] for row in self.good]
        return [bool(b) for b in pareto_front(np.array(signed))] if signed and names else []

    @property
    def axes_of_front(self) -> tuple[str, ...]:
        return self.objectives if len(self.objectives) > 1 else ("study_combined@k", self.ndcg)

    @property
    def primary_k(self) -> int:
        """The night's cut-off, by which configurations with lists of any length are compared."""
        return self.rows[0].trial.row.config.evaluation.primary_k

    @property
    def ndcg(self) -> str:
        return f"ndcg@{self.primary_k}"

    @property
    def headline(self) -> list[str]:
        """Figures of the tables, in their order."""
        return [name for name in headline(self.primary_k) if any(name in row.figures for row in self.good)]

    @property
    def best_by(self) -> list[str]:
        """Objectives and the figures that are always told, each once."""
        return list(dict.fromkeys([*self.objectives, *best_by(self.primary_k)]))


def worth(row: Judged, name: str) -> float:
    """A figure such that more is better; least where there is none."""
    value = row.figures.get(name, float("nan"))
    if np.isnan(value):
        return float("-inf")
    return value if is_larger_better(name) else -value


def effects_of(results: Results, sweep: str, config: EvaluationConfig) -> list[Effect]:
    """The effect of each parameter of a sweep, user by user; names of figures as in the table."""
    rows = results.of_sweep(sweep)
    users = np.unique(np.concatenate([ids for row in rows for ids, _ in row.by_user.values()] or [np.empty(0, int)]))
    names = [name for name in rows[0].by_user if all(name in row.by_user for row in rows)] if rows else []
    values = {_plainly(name): np.stack([_spread(row, name, users) for row in rows]) for name in names}
    settings = [row.trial.row.chosen for row in rows]
    found = effects(settings, values, config.seed, config.num_resamples, config.confidence_level) if names else []
    return [Effect(**{**asdict(e), "metric": e.metric if "@" in e.metric else f"{e.metric}@k"}) for e in found]


def _plainly(name: str) -> str:
    """The name under which effects know a figure at the length of the lists."""
    return name.removesuffix("@k")


def _spread(row: Judged, name: str, users: np.ndarray) -> np.ndarray:
    """Values `[U]` of all users of the sweep, NaN for who has none here."""
    ids, values = row.by_user[name]
    spread = np.full(len(users), np.nan)
    spread[np.searchsorted(users, ids)] = values
    return spread


def write(folder: Path, results: Results, found: Mapping[str, Sequence[Effect]]) -> dict[str, Path]:
    """Write `results.parquet`, `effects.parquet`, `winner.yaml` and `winners/<figure>.yaml`; returns the configs."""
    front = iter(results.front())
    ranked = [
        {"rank": n, **row.to_dict(results.axes), "pareto": next(front, False) if row.figures else False}
        for n, row in enumerate(results.rows, 1)
    ]
    _write_table(folder / "results.parquet", ranked)
    told = [
        {"sweep": sweep, **asdict(e), "before": str(e.before), "after": str(e.after)}
        for sweep, of in found.items()
        for e in of
    ]
    _write_table(folder / "effects.parquet", told)
    configs: dict[str, Path] = {}
    for name in results.best_by:
        best = results.best(name)
        if best:
            configs[name] = folder / "winners" / f"{name}.yaml"
            write_text(configs[name], _config(best, name))
    first = results.best(results.objectives[0])
    if first:
        write_text(folder / "winner.yaml", _config(first, results.objectives[0]))
    return configs


def _config(best: Judged, name: str) -> str:
    chosen = ", ".join(f"{axis}={value}" for axis, value in best.trial.row.chosen.items())
    head = (
        f"# Best {name} ({best.figures[name]:.4f}) of its sweep: {best.sweep} with {chosen}. Run: nightjar run FILE\n"
    )
    # Of the day that it was judged on: another day's night would train anew.
    config = replace(best.trial.row.config, date=Date.fromisoformat(best.trial.ref.date))
    return head + yaml.safe_dump(plain(config), sort_keys=False)


def _write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with replacing(path) as aside:
        pq.write_table(_table(rows), aside)


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows that need not have the same columns; values of several kinds in one column become text."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        kinds = {type(v) for v in values if v is not None}
        mixed = len(kinds) > 1 and not kinds <= {int, float}
        if kinds == {int, float}:
            values = [None if v is None else float(v) for v in values]
        columns[name] = pa.array([None if v is None else str(v) for v in values] if mixed else values)
    return pa.table(columns)


def table_for_people(path: Path | str) -> list[dict[str, Any]]:
    """The rows of a `results.parquet` with what a person looks at: what was chosen, and the headline."""
    table = pq.read_table(path)
    names = table.column_names
    first = names[: names.index("seconds") + 1]
    return [{n: row[n] for n in first if row[n] is not None} for row in table.to_pylist()]
