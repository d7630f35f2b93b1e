"""One run of a night, around its plan: the request, the warm-up beside the server's start, the record, the end."""

import dataclasses
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from datetime import date as Date
from functools import partial
from pathlib import Path
from typing import Any

from prefect.runtime import flow_run

from expectations.datasets import DATASETS
from expectations.errors import Failure, UserError
from flows.artifacts import show_stages
from flows.backfilling.watcher import DayWatcher, watcher_by_tags
from flows.conclusion import conclude
from flows.config import SECTIONS, NightlyConfig, calendar
from flows.environment import home_folder, prepare
from flows.execution import run_steps
from flows.nightly import nightly, plan_night
from flows.plan import Plan
from flows.runs import RunRecord, new_id
from flows.service.own_server import await_server
from flows.sources import Source, open_source
from tasks.explain import explain
from tasks.lake import Lake
from tasks.machine import Machine
from tasks.processes import claim_ownership, end_children, end_leftovers, owner_tag
from tasks.running import Night, Outcome, Watcher
from tasks.sources.scratch import sweep_asides
from tasks.stage import Step, plain


@dataclass(frozen=True)
class NightRequest:
    """What somebody asked for."""

    config: NightlyConfig
    date: Date | None
    lake: str
    from_stage: str = ""
    force: tuple[str, ...] = ()
    sequential: bool = False
    made_since: float = field(default_factory=time.time)
    build_docs: bool = True
    promotes: bool = True
    stages: tuple[str, ...] = ()
    config_name: str = ""
    overrides: tuple[str, ...] = ()

    def open_lake(self, home: Path) -> Lake:
        return Lake(self.lake, home / "scratch" / "lake")

    def forced(self, plan: Plan) -> frozenset[str]:
        """Stages to run again whatever stands: those named, and all that descend from `from_stage`.

        Raises:
            UserError: there is no such stage.
        """
        plan.check_names(filter(None, (*self.force, self.from_stage)))
        return frozenset(self.force) | (plan.after(self.from_stage) if self.from_stage else frozenset())


def plan_request(request: NightRequest, home: Path, source: Source | None = None) -> Plan:
    """The plan of a request; reads the source's days, runs nothing."""
    source = source or open_source(request.config, home)
    day = request.date or request.config.date or source.last_day(request.config.window)
    if day > source.latest:
        raise UserError(f"date {day}: the data ends on {source.latest}; choose that day or an earlier one")
    plan = plan_night(request.config, calendar(request.config.window, day, source.first), source)
    return plan.up_to(request.stages) if request.stages else plan


@dataclass
class Started:
    """A run under way."""

    request: NightRequest
    home: Path
    plan: Plan
    night: Night
    record: RunRecord
    threads: list[threading.Thread] = field(default_factory=list)
    error: BaseException | None = None
    """What the night ended with."""


def begin(request: NightRequest, home: Path) -> Started:
    """Plan, clear up after killed runs, and warm up what the missing stages will need."""
    plan = plan_request(request, home)
    clear_up(home, request.open_lake(home))
    started = start(request, home, plan, Machine(request.config.resources))
    warm_up(started)
    return started


def clear_up(home: Path, lake: Lake) -> None:
    """Make this process the owner of all that it starts, and end what killed runs have left behind."""
    claim_ownership()
    end_leftovers(str(home))
    lake.sweep()
    sweep_asides(home / "scratch")


def start(request: NightRequest, home: Path, plan: Plan, machine: Machine) -> Started:
    """A night with a record of its own, on a machine that it may share with others."""
    lake, force = request.open_lake(home), request.forced(plan)
    night = Night(lake, home, machine, force=force, made_since=request.made_since, docs=home / "data-docs")
    night.builds_docs, night.promotes = request.build_docs, request.promotes
    if request.sequential:
        night.one_at_a_time()
    overrides, day = list(request.overrides), plan.days.day
    registry = machine.resources.registry
    record = RunRecord(new_id(), request.config_name, overrides, request.lake, day, registry, owner_tag())
    record.settings = {} if request.config_name else plain(request.config)
    record.save(home)
    return Started(request, home, plan, night, record)


def warm_up(started: Started) -> None:
    """Start Spark and import what is slow to import while Prefect's server starts."""
    started.threads += warm_up_for(started.night, started.plan.steps)


def warm_up_for(night: Night, steps: Iterable[Step]) -> list[threading.Thread]:
    """The same for any steps; returns the threads that do it, to be waited for before a step runs."""
    missing = {s.name: s.stage for s in steps if night.misses(s)}
    jobs: list[Callable[[], Any]] = []
    threads: list[threading.Thread] = []
    if any("pyspark" in stage.libraries for stage in missing.values()):
        from tasks.spark import start_in_background

        start_in_background(night.resources, night.home)
    if any(DATASETS[name].is_table for stage in missing.values() for name in stage.produces):
        from tasks.audit import warm_up

        jobs.append(warm_up)
    if "release" in missing:
        jobs.append(partial(reach_registry, night))
    for job in jobs:
        thread = threading.Thread(target=_quietly(job), daemon=True)
        thread.start()
        threads.append(thread)
    return threads


def reach_registry(night: Night) -> None:
    """Import MLflow and make its tables, where there are none."""
    # MLflow's import sets up the SQLAlchemy mappers of whatever is imported by then, and fails for good when these are
    # Prefect's, half imported by the thread that starts the flow, as happens where Prefect has no server yet.
    if not os.environ.get("PREFECT_API_URL"):
        import prefect.server.database.orm_models  # noqa: F401

    from tasks.registry import Registry

    Registry(night.home, night.resources.registry).experiment_id()


def _quietly(job: Callable[[], Any]) -> Callable[[], None]:
    """A warm-up that fails says nothing: the stage that needs it meets the same error and explains it."""

    def run() -> None:
        with suppress(Exception):
            job()

    return run


UNDER_WAY: ContextVar[Started | None] = ContextVar("under_way", default=None)
"""The run that the command line has begun; a Prefect worker has none and begins its own."""


def execute(started: Started, watcher: Watcher) -> dict[str, Any]:
    """Run the plan under Prefect and keep its record, however it ends."""
    started.night.watcher = watcher
    await_server()
    token = UNDER_WAY.set(started)
    try:
        config = started.request.config
        parameters = {name: getattr(config, name) for name in SECTIONS}
        day, request = Date.fromisoformat(started.plan.days.day), started.request
        return nightly(date=day, lake=request.lake, stages=list(request.stages), **parameters)
    except Exception as error:
        # A server that cannot keep the state of the run, such as for the same full disk, must not hide how it ended.
        if started.error is not None and started.error is not error:
            raise started.error  # noqa: B904
        raise
    finally:
        UNDER_WAY.reset(token)


def carry_out(request: NightRequest) -> dict[str, Any]:
    """The body of the flow: run the steps, draw the conclusion, keep the record."""
    started = UNDER_WAY.get()
    if started:
        leave_at_once_when_told(partial(_note_interruption, started))
    else:
        home = home_folder()
        prepare(home)
        started = begin(dataclasses.replace(request, lake=request.lake or str(home / "lake")), home)
        day = watcher_by_tags(home, list(flow_run.tags or ()))
        if day:
            return _with_day(started, day)
    return _carry_out(started)


def _with_day(started: Started, day: DayWatcher) -> dict[str, Any]:
    """A night that a backfill has handed to the work pool keeps the file of its day."""
    started.night.watcher, started.night.promotes = day, False
    day.day_began(started.record.id)
    try:
        summary = _carry_out(started)
    except Exception as error:
        day.day_failed(error)
        raise
    day.day_succeeded(started.record.release.get("version"))
    return summary


def _carry_out(started: Started) -> dict[str, Any]:
    record, steps = started.record, started.plan.steps
    why = {step.name: explain_briefly(started, step) for step in steps}
    outcomes: list[Outcome] = []
    try:
        with started.night.machine.meter:
            for thread in started.threads:
                # SQLAlchemy fails when one thread sets up its mappers while another still imports MLflow's.
                thread.join()
            run_steps(started.night, steps, outcomes)
            summary = (
                conclude(started.night, started.plan, record, outcomes, started.request.config)
                if started.plan.is_whole
                else {}
            )
        record.state = "succeeded"
        return summary
    except BaseException as error:
        started.error, record.state, record.error = error, "failed", str(error)
        raise
    finally:
        record.seconds = time.monotonic() - started.night.began
        record.peak_bytes = started.night.machine.meter.peak_since()
        record.steps = [{**asdict(o), "why": why[o.step] if o.state == "ran" else ""} for o in outcomes]
        done = {o.step for o in outcomes}
        record.refs = {d: [r.folder for r in s.refs(d)] for s in steps if s.name in done for d in s.stage.produces}
        with suppress(OSError, Failure):
            record.save(started.home)
        # A server that does not answer must not hide how the night ended.
        with suppress(Exception):
            show_stages(outcomes)


def _note_interruption(started: Started, why: str) -> None:
    started.record.state, started.record.error = "interrupted", why
    with suppress(OSError, Failure):
        started.record.save(started.home)
    started.night.watcher.interrupted()


def leave_at_once_when_told(note: Callable[[str], None]) -> None:
    """Ctrl-C and SIGTERM end the process now, after `note`: waiting for stages is no use, what is published stands.

    Set inside a flow because Prefect sets a handler of its own when a flow begins; a night in a thread has no say.
    """

    def leave(number: int, frame: object) -> None:
        with suppress(OSError, Failure):
            note(signal.Signals(number).name)
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # threads whose JVM goes away would print tracebacks
        end_children()
        sys.stdout.flush()
        os._exit(128 + number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, leave)
        signal.signal(signal.SIGTERM, leave)


def explain_briefly(started: Started, step: Step) -> str:
    """Why a step is about to run, in one line."""
    if step.name in started.night.force:
        return "forced"
    runs = [e for e in explain(started.night.lake, step) if e.verdict == "run"]
    return "; ".join(list(dict.fromkeys(r for e in runs for r in e.reasons))[:3])
