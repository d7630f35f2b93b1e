"""One run of a sweep, from the request to what came out."""

import shlex
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.runtime import flow_run

from expectations.errors import Failure, UserError
from flows.grid.request import REQUEST, GridRequest
from flows.grid.results import Judged, Results, effects_of, read, worth, write
from flows.grid.rows import row_of
from flows.grid.running import Hopeless, run_trials
from flows.grid.state import Sweep, lease_name, sweep_of
from flows.grid.tracking import Tracker
from flows.grid.work import Planner, Trial, by_bundle, shared_steps
from flows.night.interruption import is_cancelled_in_prefect, leave_at_once_when_told
from flows.night.lakes import open_lake
from flows.night.run import take_over
from flows.night.time_limits import TIMEKEEPER, Limits
from flows.night.warm_up import WarmUp, reach_registry
from models.evaluation.effects import Effect
from tasks.engine.lake import Ref
from tasks.engine.leases import Lease, hold
from tasks.engine.running import Night, Watcher
from tasks.machine.home import lake_of
from tasks.registry.registry import Registry


class Listener(Watcher):
    """Told what happens to a sweep, besides what happens to its steps; this one does not listen."""

    def begins(self, sweep: Sweep, total: int) -> None: ...

    def judged(self, row: Judged) -> None: ...

    def concluding(self) -> None: ...


@dataclass
class Run:
    """A run of a sweep under way."""

    request: GridRequest
    sweep: Sweep
    night: Night
    planner: Planner
    listener: Listener
    tracker: Tracker
    warm_up: WarmUp
    lease: Lease
    rows: dict[str, Judged] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ended(self, trial: Trial, error: Exception | None) -> None:
        """A trial was judged, or was not."""
        stopped = isinstance(error, Hopeless)
        row = Judged(trial, error=str(error), stopped=stopped) if error else read(self.night, trial)
        with self._lock:
            new = trial.row.name not in self.rows
            self.rows[trial.row.name] = row
        if new:
            self.tracker.add(row)
            self.listener.judged(row)


def carry_out(request: GridRequest, home: Path, listener: Listener) -> dict[str, Any]:
    """Judge every configuration that is asked for and write down what came out; returns a summary.

    Raises:
        UserError: the request cannot be, or another process runs it.
        Failure: a configuration could not be judged; the results of the others are written all the same.
    """
    began = time.monotonic()
    planner = request.planner(home)
    trials = [planner.plan(row) for row in request.rows()]
    sweep = sweep_of(home, request.told(home), trials[0].step.cells[0].key)
    lake = open_lake(home, request.lake)
    process = take_over(home, lake, request.night.resources)
    with sweep.driven():
        night = Night(lake, home, process.machine, watcher=listener)
        tracker = Tracker(sweep, Registry(home, request.night.resources.registry))
        night.limited = Limits(f"the sweep {sweep.id}", "", night.resources, listener.interrupted).stage
        lease = hold(lake, lease_name(sweep.id), home, _needed(trials))  # before anybody looks at what stands
        run = Run(request, sweep, night, planner, listener, tracker, process.warm_up, lease)
        leave_at_once_when_told(lambda why: _interrupted(run, why), lambda: TIMEKEEPER.flow_runs)
        request.write(sweep.folder / REQUEST)
        listener.begins(sweep, len(trials) if request.search.method == "grid" else _most(request))
        try:
            with TIMEKEEPER.knows(str(flow_run.id or "")):
                _run(run, trials)
            return _conclude(run, began)
        except BaseException as error:
            sweep.state, sweep.error = "failed", str(error)
            raise
        finally:
            sweep.seconds = time.monotonic() - began
            with suppress(OSError, Failure):
                sweep.save()
            with suppress(OSError, Failure):
                lease.end()


def _needed(trials: Iterable[Trial]) -> set[Ref]:
    """All that trials read and make."""
    steps = [step for trial in trials for step in (*trial.before, trial.step)]
    return {ref for step in steps for cell in step.cells for ref in cell.refs}


def _most(request: GridRequest) -> int:
    return request.search.trials * len(request.grid.sweeps)


def _interrupted(run: Run, why: str) -> None:
    by_somebody = is_cancelled_in_prefect(str(flow_run.id))
    run.sweep.state, run.sweep.error = ("cancelled", "in Prefect") if by_somebody else ("interrupted", why)
    run.sweep.save()
    run.listener.interrupted()


def _run(run: Run, trials: list[Trial]) -> None:
    night, request = run.night, run.request
    missing = [t for t in trials if night.misses(t.step)]
    run.warm_up.begin(night, [*shared_steps(missing), *(t.step for t in missing)])
    if missing or request.search.method != "grid":
        reach_registry(night)
    run.warm_up.wait()
    with night.machine.meter, run.tracker.running():
        if request.search.method == "grid":
            run_trials(night, trials, request.parallel, run.ended)
        else:
            _search(run)
        _note_best(run)


def _search(run: Run) -> None:
    """One search a sweep, one after the other; the minutes are for all of them."""
    from flows.grid.search import Search

    request, config = run.request, run.request.search
    sweeps = list(request.grid.sweeps.items())
    until = time.monotonic() + 60 * config.minutes if config.minutes else None
    for number, (name, sweep) in enumerate(sweeps):
        share = None if until is None else time.monotonic() + (until - time.monotonic()) / (len(sweeps) - number)

        def plan(chosen: dict[str, Any], name: str = name) -> Trial:
            trial = run.planner.plan(row_of(name, request.grid.sweeps[name], chosen, request.night))
            run.lease.add(_needed([trial]))
            return trial

        def score(trial: Trial) -> list[float]:
            figures = read(run.night, trial).figures
            return [figures[objective] for objective in config.objectives]

        search = Search(sweep, config, run.night, plan, score, run.ended, request.parallel, share)
        search.run(run.sweep.folder / f"{name}.journal")


def _note_best(run: Run) -> None:
    """For `nightjar grid list` and the run in MLflow."""
    objectives = run.request.search.objectives
    good = [row for row in run.rows.values() if row.figures]
    if good:
        best = max(good, key=lambda row: worth(row, objectives[0]))
        figures = {name: best.figures[name] for name in objectives if name in best.figures}
        run.sweep.best = {"name": best.trial.row.name, "figures": figures}


def _conclude(run: Run, began: float) -> dict[str, Any]:
    run.listener.concluding()
    sweep, objectives = run.sweep, run.request.search.objectives
    results = Results.of(objectives, list(run.rows.values()))
    stopped = [row for row in results.rows if row.stopped]
    failed = [row for row in results.rows if row.error and not row.stopped]
    if not results.good:
        raise Failure(failed[0].error if failed else "grid: no configuration was judged; give the search more time")
    if objectives[0] not in results.good[0].figures:
        raise UserError(
            f"grid: no configuration has {objectives[0]}, which only made data have; choose another objective"
        )
    found = {name: effects_of(results, name, run.request.night.evaluation) for name in results.sweeps}
    configs = write(sweep.folder, results, found)
    page = _report(run, results, found, time.monotonic() - began)
    sweep.refs = _refs(run)
    sweep.counts = {"configurations": len(results.rows), "stopped": len(stopped), "failed": len(failed)}
    if failed:
        raise Failure(
            f"{len(failed)} of {len(results.rows)} configurations could not be judged; the first, "
            f"{failed[0].trial.row.name}: {failed[0].error}\n  the others: nightjar grid show {sweep.id}"
        )
    sweep.state = "succeeded"
    return {
        "id": sweep.id, "best": results.rows[0].to_dict(results.axes),
        "combinations": len(results.rows), "stopped": len(stopped),
        "results": str(sweep.folder / "results.parquet"), "winner": str(sweep.folder / "winner.yaml"),
        "winners": {name: str(path) for name, path in configs.items()}, "report": str(page),
    }  # fmt: skip


def _refs(run: Run) -> dict[str, list[str]]:
    """What the sweep stands on, by dataset."""
    refs: dict[str, set[str]] = {}
    for row in run.rows.values():
        for ref in [row.trial.ref, *row.trial.step.needs] if row.figures else []:
            refs.setdefault(ref.dataset, set()).add(ref.folder)
    return {dataset: sorted(folders) for dataset, folders in refs.items()}


def _report(run: Run, results: Results, found: dict[str, list[Effect]], seconds: float) -> Path:
    from flows.grid.report import write_report

    elsewhere = ["--lake", run.request.lake] if run.request.lake != lake_of(run.night.home) else []
    command = shlex.join(["nightjar", "grid", str(run.sweep.folder / REQUEST), *elsewhere])
    systems = len(by_bundle(row.trial for row in results.rows))
    return write_report(run.sweep, results, found, seconds, systems, command)
