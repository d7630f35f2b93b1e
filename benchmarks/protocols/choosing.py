"""Choose on validation, train anew on all of train, look at the test once."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.protocols.progress import Teller
from benchmarks.protocols.settings import in_json, stopping_at
from benchmarks.protocols.task import Task
from models.catalogue import Model
from models.collaborative.popularity import Popularity, WithPopularity, decayed_counts
from models.evaluation.cases import Scores, mean_metric, metrics_per_user
from models.interactions import Floats, Histories, Interactions, Ints, Recommender, Trained, Training
from models.metrics.ranking import PerUser
from spark_jobs.config import PopularityConfig

BUDGET_S = 16 * 60.0
"""No trial is begun that could, with the training after it, end later than this: the command must end in 20 minutes."""


@dataclass(frozen=True)
class Trial:
    """One set of settings, judged on validation.

    Attributes:
        value: None for one that there was no time for; larger is better.
        share: of popularity in the scores, the best of those that were tried.
    """

    words: str
    settings: Any
    value: float | None = None
    epochs: int | None = None
    share: float = 0.0
    seconds: float = 0.0
    is_error: bool = False
    """The value is an error with its sign turned."""

    @property
    def figure(self) -> float | None:
        """The value as it is told: an error as itself."""
        return -self.value if self.is_error and self.value is not None else self.value

    def in_json(self) -> dict[str, Any]:
        return {
            "trial": self.words,
            "config": in_json(self.settings),
            "value": self.figure,
            "epochs": self.epochs,
            "popularity_share": self.share,
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Trainer:
    """A model of the catalogue with what its trainings share."""

    model: Model
    scratch: Path
    seed: int
    threads: int
    tell: Teller

    def train(self, data: Interactions, settings: Any, judge: Callable[[Recommender], float] | None = None) -> Trained:
        """One training, in an empty folder of its own."""
        folder = self.scratch / f"training-{len(list(self.scratch.iterdir()))}"
        folder.mkdir()
        return self.model.train(data, settings, Training(folder, self.seed, self.threads, judge, self.tell.progress))


def compare(trainer: Trainer, candidates: Sequence[tuple[str, Any]], run: Callable[[str, Any], Trial]) -> list[Trial]:
    """Every candidate on validation by `run` (words, settings -> trial, of which the larger value is better)."""
    tell, trials = trainer.tell, list[Trial]()
    for number, (words, settings) in enumerate(candidates, 1):
        longest = max((trial.seconds for trial in trials), default=0.0)
        # After the last trial comes one more training, on more data, and the test.
        if trials and tell.seconds + 2.5 * longest > BUDGET_S:
            tell.say(f"trial {number} of {len(candidates)} ({words}): no time left for it")
            trials.append(Trial(words, settings))
            continue
        tell.say(f"trial {number} of {len(candidates)}: {words}")
        began = tell.seconds
        done = run(words, settings)
        trials.append(replace(done, seconds=tell.seconds - began))
        epochs = f", {done.epochs} epochs" if done.epochs else ""
        tell.say(f"  validation {done.figure:.4f}{epochs}" + (f", popularity {done.share:.0%}" if done.share else ""))
    return trials


def best(trials: Sequence[Trial]) -> Trial:
    """The best on validation; of equal ones the earlier."""
    return max(trials, key=lambda trial: -np.inf if trial.value is None else trial.value)


def most_chosen(chosen: Sequence[Trial]) -> Trial:
    """What most of several parts chose; where two choices are equally frequent, the one that was made first."""
    (words, _), *_ = Counter(trial.words for trial in chosen).most_common()
    return next(trial for trial in chosen if trial.words == words)


def _judge(metric: Callable[[Scores], float]) -> Callable[[Recommender], float]:
    return lambda model: metric(model.scores)


def choose(trainer: Trainer, task: Task, candidates: Sequence[tuple[str, Any]]) -> list[Trial]:
    """Every candidate trained on each validation case's part of train, and judged there; values are means of these."""
    cases = (task.validation, *task.earlier)
    shares = task.popularity_shares if trainer.model.name != "popularity" else (0.0,)

    def run(words: str, settings: Any) -> Trial:
        values, epochs = [], []
        for case in cases:
            metric = mean_metric(case, *task.chosen_by)
            trained = trainer.train(case.train, settings, _judge(metric))
            values.append([metric(_scores(trained.model, case.train, share)) for share in shares])
            epochs.append(trained.epochs)
        means = np.mean(values, axis=0)
        first = int(means.argmax())
        return Trial(words, settings, float(means[first]), _middle(epochs), shares[first])

    return compare(trainer, candidates, run)


def _middle(epochs: list[int | None]) -> int | None:
    """The median of where several trainings stopped."""
    known = [one for one in epochs if one is not None]
    return round(float(np.median(known))) if known else None


def _scores(model: Recommender, data: Interactions, share: float) -> Scores:
    return WithPopularity(model, _popularity(data), share).scores if share else model.scores


def _popularity(data: Interactions) -> Floats:
    """Popularity of every item with the settings that nights have by default, float `[I]`."""
    return decayed_counts(data, PopularityConfig().half_life_days)


def refit(trainer: Trainer, task: Task, chosen: Trial) -> Scores:
    """Train on all of train with the settings and epochs that were chosen."""
    trainer.tell.say(
        f"training on all of train: {chosen.words}" + (f", {chosen.epochs} epochs" if chosen.epochs else "")
    )
    model = trainer.train(task.test.train, stopping_at(chosen.settings, chosen.epochs)).model
    return _scores(model, task.test.train, chosen.share)


def systems(task: Task, name: str, scores: Scores, seed: int) -> dict[str, Scores]:
    """The model beside chance and popularity, which stand in every table."""
    return {
        "random": Random(task.test.train.num_items, seed).scores,
        "popularity": Popularity(_popularity(task.test.train)).scores,
        name: scores,
    }


def look_at_test(task: Task, of: dict[str, Scores], tell: Teller) -> dict[str, PerUser]:
    """Metrics of every system on the test."""
    found: dict[str, PerUser] = {}
    for name, scores in of.items():
        tell.say(f"test: {name}")
        found[name] = metrics_per_user(task.test, scores, task.ks, tell.progress)
    return found


class Random:
    """Chance: new scores at every call."""

    def __init__(self, num_items: int, seed: int) -> None:
        self._num_items, self._rng = num_items, np.random.default_rng(seed)

    def scores(self, users: Ints, histories: Histories) -> np.ndarray:
        return self._rng.random((len(users), self._num_items), dtype=np.float32)
