"""One protocol from files to figures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.protocols import ranking, rating
from benchmarks.protocols.choosing import Trainer, Trial, best, choose, look_at_test, most_chosen, refit, systems
from benchmarks.protocols.formats import find_files
from benchmarks.protocols.progress import Teller
from benchmarks.protocols.rating import FOLDS, fold_rmse, folds, that_rate
from benchmarks.protocols.results import Result, intervals, means, over_spans
from benchmarks.protocols.settings import candidates, in_json, stopping_at, that_rank
from benchmarks.protocols.task import Build, Files, Task
from benchmarks.protocols.test_set_looks import look
from expectations.errors import UserError
from models.metrics.ranking import PerUser
from tasks.machine.memory import Meter

__all__ = ["Teller", "Trainer", "run"]

RANKING: dict[str, Build] = {
    "fixed-split": ranking.fixed_split,
    "leave-one-out": ranking.leave_one_out,
    "sampled-negatives": ranking.sampled_negatives,
    "temporal": ranking.temporal,
}
RATING = "kfold-rmse"


def run(protocol: str, data: Path, trainer: Trainer, config: Path | None, home: Path, spans: int = 1) -> Result:
    """Choose, train, look at the test once.

    Args:
        spans: tests end to end, each after its own training; more than one are those of `temporal`.

    Raises:
        UserError: the folder does not hold what the protocol needs, or the settings are wrong.
        Failure: a training went wrong.
    """
    of: dict[str, Any] = {"protocol": protocol, "model": trainer.model.name, "data": str(data), "seed": trainer.seed}
    with Meter() as meter:
        files = find_files(data)
        if protocol == RATING:
            figures = _rated(of, files, trainer, config, home)
        else:
            more = {"spans": spans} if spans > 1 else {}
            task = RANKING[protocol](files, trainer.seed, **more)
            figures = _ranked(of, task, trainer, config, home)
        return Result(
            **of, **figures, seconds=round(trainer.tell.seconds, 1), peak_memory_mib=meter.peak_since() // 2**20
        )


def _ranked(of: dict[str, Any], task: Task, trainer: Trainer, config: Path | None, home: Path) -> dict[str, Any]:
    name = trainer.model.name
    settings = that_rank(trainer.model, candidates(trainer.model, config, timed=task.test.train.times is not None))
    trainer.tell.say("{}: {:,} users, {:,} items, {:,} interactions".format(of["data"], *task.counts))
    trials = choose(trainer, task, settings)
    chosen = best(trials)
    tests = [replace(task, test=case) for case in (*task.rolled, task.test)]
    looks, judged = zip(*(_look(of, one, chosen, trainer, home) for one in tests), strict=True)
    found = judged[-1]
    return {
        "counts": task.counts,
        "metrics": means(found[name]),
        "intervals": intervals(found[name], trainer.seed),
        "baselines": {other: means(values) for other, values in found.items() if other != name},
        "columns": task.columns,
        "config": in_json(stopping_at(chosen.settings, chosen.epochs)),
        "epochs": chosen.epochs,
        "chosen": chosen.words + (f", mixed with {chosen.share:.0%} popularity" if chosen.share else ""),
        "chosen_by": "{}@{}".format(*task.chosen_by),
        "trials": [trial.in_json() for trial in trials],
        "test_looks": looks[-1],
        "rolling": over_spans(judged) if task.rolled else None,
        "notes": task.notes,
    }


def _look(
    of: dict[str, Any], task: Task, chosen: Trial, trainer: Trainer, home: Path
) -> tuple[int, dict[str, PerUser]]:
    """Train on what is before a test and look at it: how often that was done, and the metrics of every system."""
    scores = refit(trainer, task, chosen)
    looks = look(home, task.test.digest, of)
    return looks, look_at_test(task, systems(task, trainer.model.name, scores, trainer.seed), trainer.tell)


def _rated(of: dict[str, Any], files: Files, trainer: Trainer, config: Path | None, home: Path) -> dict[str, Any]:
    if trainer.model.name != "als":
        raise UserError(f"kfold-rmse predicts ratings, which {trainer.model.name} does not: choose --model als")
    settings = that_rate(trainer.model, candidates(trainer.model, config))
    data = rating.read(files)
    counts = (data.num_users, data.num_items, len(data.users))
    trainer.tell.say("{}: {:,} users, {:,} items, {:,} ratings".format(of["data"], *counts))
    looks = 0
    figures, trials = list[dict[str, float]](), list[list[Trial]]()
    for number, fold in enumerate(folds(data), 1):
        trainer.tell.say(f"fold {number} of {FOLDS}")
        found, tried = fold_rmse(trainer, fold, data, settings)
        looks = looks or look(home, data.digest, of)
        figures.append(found)
        trials.append(tried)
    mean = {name: {"rmse": round(float(np.mean([f[name] for f in figures])), 6)} for name in figures[0]}
    chosen = [best(tried) for tried in trials]
    return {
        "counts": counts,
        "metrics": mean.pop("als"),
        "intervals": {"rmse": (min(f["als"] for f in figures), max(f["als"] for f in figures))},
        "baselines": mean,
        "columns": ("rmse",),
        "config": in_json(most_chosen(chosen).settings),
        "epochs": None,
        "chosen": "; ".join(sorted({one.words for one in chosen})),
        "chosen_by": "rmse in every fold",
        "trials": [
            {"fold": n, "chosen": trial is one, **trial.in_json()}
            for n, (tried, one) in enumerate(zip(trials, chosen, strict=True), 1)
            for trial in tried
        ],
        "test_looks": looks,
        "notes": ("the interval of rmse is from the best to the worst of the five folds",),
    }
