"""Searches with Optuna: what to try next follows from what was tried, and hopeless trainings are stopped early.

Trials are asked for in rounds of `max_parallel`, and their results told in the order of their numbers once the round
has ended; the sampler is seeded anew for every round by how many trials there are. So a search that was killed and goes
on asks what it would have asked, and so does a repeated one, whatever ran faster.

Early stopping looks at the validation figure of the longest training that a trial needs, epoch by epoch, and stops it
where the best so far is below the median of earlier trials at that epoch (Optuna's MedianPruner; the idea is the median
stopping rule of Golovin et al. 2017, "Google Vizier"). Trainings that stand cost nothing and are told, not stopped.
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from expectations.files import read_json
from expectations.progress import EpochProgress
from flows.grid.config import AxisConfig, SearchConfig, SweepConfig
from flows.grid.metrics import is_larger_better
from flows.grid.rows import axes_of
from flows.grid.running import Hopeless, run_alone
from flows.grid.work import Trial
from flows.night.task_runs import in_its_own_words
from tasks.engine.running import Night, Watcher
from tasks.engine.stage import Step

TRAINING_LOG = "training_log.json"
ASKED_TIMES = 20
"""A sampler that asks for the same again and again is given up after so many times the budget."""


@dataclass
class Stopper(Watcher):
    """Reports each epoch of one trial's watched training, and stops it when the pruner says so."""

    trial: optuna.Trial
    stage: str
    behind: Watcher

    def started(self, step: Step, missing: int) -> None:
        self.behind.started(step, missing)

    def progressed(self, step: Step, done: int, total: int, what: str) -> None:
        self.behind.progressed(step, done, total, what)
        metric = what.metric if isinstance(what, EpochProgress) and step.name == self.stage else None
        if metric is not None:
            self.trial.report(metric, done)
            if self.trial.should_prune():
                raise Hopeless(f"{what}, below the median of earlier trials")

    def finished(self, outcome: Any) -> None:
        self.behind.finished(outcome)


@dataclass
class Search:
    """One sweep's search.

    Attributes:
        plan: axis values -> the planned trial.
        score: a trial that stands -> its objectives, in order.
        ended: told of every trial: judged, stopped (`Hopeless`) or failed.
        deadline: seconds of `time.monotonic` after which nothing more is asked.
    """

    sweep: SweepConfig
    config: SearchConfig
    night: Night
    plan: Callable[[dict[str, Any]], Trial]
    score: Callable[[Trial], list[float]]
    ended: Callable[[Trial, Exception | None], None]
    max_parallel: int = 1
    deadline: float | None = None

    def run(self, journal: Path) -> list[Trial]:
        """Search until the budget is spent or every combination was tried; returns the trials judged."""
        study, axes = open_study(journal, self.config), axes_of(self.sweep)
        space = {name: distribution(axis) for name, axis in axes.items()}
        judged: dict[str, Trial] = {}
        tried: set[str] = set()
        for frozen in study.get_trials(deepcopy=False):
            if frozen.state == TrialState.RUNNING:
                continue
            tried.add(_name(frozen.params))
            if frozen.state == TrialState.COMPLETE:
                judged[_name(frozen.params)] = self._planned(axes, frozen.params)
        for trial in judged.values():
            self._again(trial)
        most = min(self.config.trials, combinations(space))
        left = [t for t in study.get_trials(states=(TrialState.RUNNING,)) if t.params.keys() == space.keys()]
        while left or (len(tried) < most and not self._is_over(study, most)):
            study.sampler = sampler(self.config, len(study.get_trials(deepcopy=False)) - len(left))
            asked = [taken_up(study, journal, t.number) for t in left]
            room = 0 if left else min(self.max_parallel, most - len(tried))
            asked += [study.ask(space) for _ in range(room)]
            left = []
            found = self._round(study, asked, axes)
            tried |= {_name(one.params) for one in asked}
            judged |= found
        return list(judged.values())

    def _is_over(self, study: optuna.Study, most: int) -> bool:
        spent = self.deadline is not None and time.monotonic() > self.deadline
        return spent or len(study.get_trials(deepcopy=False)) >= ASKED_TIMES * most

    def _planned(self, axes: dict[str, AxisConfig], params: dict[str, Any]) -> Trial:
        return self.plan({name: value_of(axis, params[name]) for name, axis in axes.items()})

    def _again(self, trial: Trial) -> None:
        """A trial that was judged before this run; made again where its artifact has gone."""
        run_alone(self.night, trial)
        self.ended(trial, None)

    def _round(
        self, study: optuna.Study, asked: Sequence[optuna.Trial], axes: dict[str, AxisConfig]
    ) -> dict[str, Trial]:
        planned = [self._planned(axes, one.params) for one in asked]
        with ThreadPoolExecutor(self.max_parallel) as pool:
            errors = list(pool.map(self._judge, asked, planned))
        found = {}
        for one, trial, error in sorted(zip(asked, planned, errors, strict=True), key=lambda found: found[0].number):
            if error is None:
                study.tell(one.number, self.score(trial))
                found[_name(one.params)] = trial
            else:
                study.tell(one.number, state=TrialState.PRUNED if isinstance(error, Hopeless) else TrialState.FAIL)
            self.ended(trial, error)
        return found

    def _judge(self, asked: optuna.Trial, trial: Trial) -> Exception | None:
        stage = next((s.name for s in trial.before if s.stage.trains == "by epoch"), "")
        prunes = self.config.prune and len(self.config.objectives) == 1
        watcher = Stopper(asked, stage, self.night.watcher) if prunes else self.night.watcher
        night = replace(self.night, watcher=watcher)
        try:
            run_alone(night, trial)
        except Hopeless as error:
            return error
        except Exception as error:
            return in_its_own_words(night, trial.step, error)
        if prunes:
            self._tell_epochs(asked, trial, stage)
        return None

    def _tell_epochs(self, asked: optuna.Trial, trial: Trial, stage: str) -> None:
        """Report the epochs of a training that stood already, and so has told nothing while it ran."""
        told = asked.study.get_trials(deepcopy=False)[asked.number].intermediate_values
        for step in (s for s in trial.before if s.name == stage):
            log = read_json(self.night.artifact(step.cells[0].refs[0]).path / TRAINING_LOG)
            for epoch in log["epochs"]:
                if epoch["metric"] is not None and epoch["epoch"] not in told:
                    asked.report(round(epoch["metric"], 4), epoch["epoch"])


def open_study(journal: Path, config: SearchConfig) -> optuna.Study:
    """The study of one sweep; one that was killed goes on. A journal takes a line a fact and survives any kill."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=journal.stem,
        directions=["maximize" if is_larger_better(o) else "minimize" for o in config.objectives],
        sampler=sampler(config, 0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=config.startup_trials, n_warmup_steps=1),
        load_if_exists=True,
    )


def taken_up(study: optuna.Study, journal: Path, number: int) -> optuna.Trial:
    """A trial that a killed run asked for and nobody ended: the same parameters and number, to be judged now."""
    storage = JournalStorage(JournalFileBackend(str(journal)))
    study_id = storage.get_study_id_from_name(study.study_name)
    return optuna.Trial(study, storage.get_trial_id_from_study_id_trial_number(study_id, number))


def sampler(config: SearchConfig, num_trials: int) -> optuna.samplers.BaseSampler:
    """The sampler of the round that follows `num_trials` trials."""
    seed = config.seed * 1_000_003 + num_trials
    if config.method == "random":
        return optuna.samplers.RandomSampler(seed)
    return optuna.samplers.TPESampler(n_startup_trials=config.startup_trials, constant_liar=True, seed=seed)


def distribution(axis: AxisConfig) -> BaseDistribution:
    """What Optuna draws an axis from: values as JSON, or a range."""
    if axis.values:
        return CategoricalDistribution([json.dumps(value) for value in axis.values])
    low, high = axis.ends
    if axis.whole:
        return IntDistribution(int(low), int(high), log=axis.log)
    return FloatDistribution(low, high, log=axis.log)


def value_of(axis: AxisConfig, drawn: Any) -> Any:
    """The value of a setting that was drawn."""
    return json.loads(drawn) if axis.values else drawn


def combinations(space: dict[str, BaseDistribution]) -> int:
    """How many there are; a range has no end."""
    total = 1
    for one in space.values():
        total *= len(one.choices) if isinstance(one, CategoricalDistribution) else 10**9
    return total


def _name(params: dict[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)
