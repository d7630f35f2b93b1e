"""What a protocol says in the end: a table beside published figures, and a JSON file that holds all of it."""

import importlib.metadata
import platform
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.protocols.published import published
from models.metrics.bootstrap import bootstrap_means
from models.metrics.ranking import PerUser

LIBRARIES = ("numpy", "scipy", "numba", "torch", "pyspark", "faiss-cpu")

Figures = dict[str, float]


@dataclass(frozen=True)
class Result:
    """Figures of the test and how they came about; fields are those of the JSON file."""

    protocol: str
    model: str
    data: str
    counts: tuple[int, int, int]
    metrics: Figures
    intervals: dict[str, tuple[float, float]]
    baselines: dict[str, Figures]
    columns: tuple[str, ...]
    config: dict[str, Any]
    epochs: int | None
    chosen: str
    chosen_by: str
    trials: list[dict[str, Any]]
    seed: int
    seconds: float
    peak_memory_mib: int
    test_looks: int
    rolling: dict[str, Any] | None = None
    notes: tuple[str, ...] = field(default=())

    def in_json(self) -> dict[str, Any]:
        users, items, interactions = self.counts
        source, rows = published(self.protocol, self.counts)
        own = {k: v for k, v in vars(self).items() if k not in ("counts", "columns")}
        return own | {
            "counts": {"users": users, "items": items, "interactions": interactions},
            "published": {"source": source, "figures": rows},
            "versions": versions(),
        }


def means(values: PerUser) -> Figures:
    """Means over users by names such as `recall@10`."""
    return {f"{metric}@{k}": round(float(np.nanmean(v)), 6) for (metric, k), v in values.items()}


def over_spans(spans: Sequence[dict[str, PerUser]]) -> dict[str, Any]:
    """Figures of every system in every span, the oldest first; their mean and standard deviation over the spans."""
    figures = {name: [means(span[name]) for span in spans] for name in spans[0]}

    def over(of: Callable[[list[float]], float]) -> dict[str, Figures]:
        return {
            name: {metric: round(float(of([one[metric] for one in found])), 6) for metric in found[0]}
            for name, found in figures.items()
        }

    return {"spans": figures, "mean": over(statistics.mean), "deviation": over(statistics.stdev)}


def intervals(values: PerUser, seed: int) -> dict[str, tuple[float, float]]:
    """95 % intervals by resampling users."""
    found = bootstrap_means(np.stack(list(values.values()), axis=1), seed)
    ends = zip(found.low.round(6).tolist(), found.high.round(6).tolist(), strict=True)
    return dict(zip(means(values), ends, strict=True))


def table(result: Result) -> str:
    """Our figures and the published ones, the worst first."""
    source, rows = published(result.protocol, result.counts)
    first = result.columns[0]
    named = [(row[first], name, row, True) for name, row in (*result.baselines.items(), (result.model, result.metrics))]
    named += [(row[first], name, row, False) for name, row in rows.items()]
    named.sort(key=lambda entry: entry[0], reverse=first == "rmse")
    width = max(len(name) for _, name, *_ in named) + 2
    lines = [f"{'':{width}}" + "".join(f"{column:>14}" for column in result.columns)]
    for _, name, row, is_ours in named:
        cells = "".join(f"{row[column]:>14.4f}" if column in row else f"{'':>14}" for column in result.columns)
        lines.append(f"{name:{width}}{cells}   {'ours' if is_ours else 'published'}")
    return "\n".join([*lines, *_remarks(result, source)])


def _remarks(result: Result, source: str) -> list[str]:
    (users, items, interactions), first = result.counts, result.columns[0]
    ends = (
        f"{column} {low:.4f} to {high:.4f}" for column in result.columns for low, high in [result.intervals[column]]
    )
    tried = len({trial["trial"] for trial in result.trials if trial["value"] is not None})
    times = "once" if result.test_looks == 1 else f"{result.test_looks} times"
    return [
        "",
        f"{result.protocol}: {users:,} users, {items:,} items, {interactions:,} interactions; seed {result.seed}",
        f"{result.model}, {'folds' if first == 'rmse' else '95 % by resampling users'}: {', '.join(ends)}",
        f"settings: {result.chosen} ({tried} tried), chosen by {result.chosen_by} on a part of train"
        + (f"; {result.epochs} epochs" if result.epochs else ""),
        f"this test set has been looked at {times} in this home",
        *_rolling(result),
        *result.notes,
        *([f"published: {source}"] if source else ["published: nothing is known for data with these counts"]),
        f"{result.seconds:.0f} s, peak memory {result.peak_memory_mib:,} MiB",
    ]


def _rolling(result: Result) -> Iterator[str]:
    """Mean and deviation over spans, a line a system."""
    if result.rolling:
        for name, found in result.rolling["spans"].items():
            mean, deviation = (result.rolling[of][name] for of in ("mean", "deviation"))
            told = (f"{column} {mean[column]:.4f}, deviation {deviation[column]:.4f}" for column in result.columns)
            yield f"{name}, mean of the last {len(found)} spans: {'; '.join(told)}"


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide figures."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in LIBRARIES}
