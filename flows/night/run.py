"""One run of a night, whoever asks for it: the command, the schedule, a backfill, the explorer.

`run` makes a flow run of its own, `run_in_this_flow` is for the body of a flow. Both carry out a plan, which
`flows.nightly.plan_request` makes, and keep a record of it however it ends.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run

from expectations.errors import Failure
from flows.config import SECTIONS
from flows.night.flow_run import as_flow_run
from flows.night.interruption import is_cancelled_in_prefect, leave_at_once_when_told
from flows.night.plan import Plan
from flows.night.prefect_page import show_stages
from flows.night.records import RunRecord
from flows.night.request import NightRequest
from flows.night.results import publish_results
from flows.night.task_runs import run_steps
from flows.night.time_limits import TIMEKEEPER, Limits
from flows.night.warm_up import WarmUp
from flows.outages import in_our_words
from flows.service.own_server import await_server
from tasks.engine.admission import Machine
from tasks.engine.explain import explain
from tasks.engine.lake import Lake
from tasks.engine.leases import Lease, hold
from tasks.engine.running import Night, Outcome, Watcher
from tasks.engine.stage import Step, plain
from tasks.machine.config import ResourcesConfig
from tasks.machine.home import from_here, told
from tasks.machine.processes import claim_ownership, end_leftovers, owner_tag
from tasks.machine.scratch import sweep_asides
from tasks.registry.registry import Registry


@dataclass
class Process:
    """What the nights of one process share: the machine, and what is slow to start."""

    machine: Machine
    warm_up: WarmUp = field(default_factory=WarmUp)


def take_over(home: Path, lake: Lake, resources: ResourcesConfig) -> Process:
    """Make this process the owner of all that it starts, and end what killed runs have left behind."""
    claim_ownership()
    end_leftovers(str(home))
    lake.sweep()
    sweep_asides(home / "scratch")
    return Process(Machine(resources))


def run(
    request: NightRequest, plan: Plan, home: Path, watcher: Watcher | None = None, process: Process | None = None
) -> dict[str, Any]:
    """Run a night as a flow run of its own; returns a summary, which is empty where the plan ends before its release.

    Args:
        watcher: told what happens.
        process: what it shares with other nights of this process; on its own where None.

    Raises:
        UserError, Failure: of the first stage that failed.
    """
    night = _begin(request, plan, home, watcher, process)  # Spark and more start while Prefect's server does
    parameters = {
        "date": plan.days.day,
        "lake": told(home, request.lake),
        "stages": list(request.stages),
        **{name: plain(getattr(request.config, name)) for name in SECTIONS},
    }
    try:
        with night.limits.night():
            await_server()
            return as_flow_run(plan.days.day, parameters, partial(_carry_out, night, ends_when_told=True))
    except Exception as error:
        # A server that cannot keep the state of the run, such as for the same full disk, must not hide how it ended.
        if night.error is not None and night.error is not error:
            raise night.error  # noqa: B904
        failure = in_our_words(error, home)
        if failure is None or failure is error:
            raise
        raise failure from error
    finally:
        with suppress(OSError, Failure):
            night.lease.end()


def run_in_this_flow(request: NightRequest, plan: Plan, home: Path, watcher: Watcher | None = None) -> dict[str, Any]:
    """The same in the flow run at hand."""
    night = _begin(request, plan, home, watcher)
    try:
        with night.limits.night():
            return _carry_out(night)
    finally:
        with suppress(OSError, Failure):
            night.lease.end()


@dataclass
class _Run:
    """A run under way.

    Attributes:
        lease: keeps what it needs from being deleted.
        limits: how long it and its stages may take.
        error: what it ended with.
    """

    request: NightRequest
    plan: Plan
    night: Night
    record: RunRecord
    warm_up: WarmUp
    lease: Lease
    limits: Limits
    error: BaseException | None = None


def _begin(
    request: NightRequest, plan: Plan, home: Path, watcher: Watcher | None = None, process: Process | None = None
) -> _Run:
    """Write down that it runs, and warm up what the missing stages will need."""
    lake, force = request.open_lake(home), request.forced(plan)
    process = process or take_over(home, lake, request.config.resources)
    night = Night(lake, home, process.machine, force=force, made_since=request.made_since, docs=home / "data-docs")
    night.builds_docs, night.promotes = request.build_docs, request.promotes
    night.watcher = watcher or Watcher()
    if request.sequential:
        night.one_at_a_time()
    record = _record(request, plan, home)
    lease = hold(lake, record.id, home, plan.refs)  # before anybody looks at what stands
    process.warm_up.begin(night, plan.steps)
    limits = Limits(f"the night of {plan.days.day}", record.id, night.resources, night.watcher.interrupted)
    night.limited = limits.stage
    record.save(home)  # last: from then on somebody may see it run, and end it
    return _Run(request, plan, night, record, process.warm_up, lease, limits)


def _record(request: NightRequest, plan: Plan, home: Path) -> RunRecord:
    return RunRecord(
        id=request.id,
        config=request.config_name,
        overrides=list(request.overrides),
        lake=told(home, request.lake),
        date=plan.days.day,
        registry=told(home, from_here(Registry(home, request.config.resources.registry).address)),
        night_hours=request.config.resources.night_hours,
        owner=owner_tag(),
        settings={} if request.config_name else plain(request.config),
        planned=sorted(ref.folder for ref in plan.refs),
        notes=list(plan.notes),
    )


def _carry_out(run: _Run, ends_when_told: bool = False) -> dict[str, Any]:
    """Run the steps, publish what came out, keep the record."""
    if ends_when_told:
        leave_at_once_when_told(partial(_note_interruption, run), lambda: TIMEKEEPER.flow_runs)
    night, record, steps = run.night, run.record, run.plan.steps
    why: dict[str, str] = {}
    outcomes: list[Outcome] = []
    try:
        why |= {step.name: _explain_briefly(night, step) for step in steps}
        with night.machine.meter, TIMEKEEPER.knows(str(flow_run.id or ""), record.id):
            run.warm_up.wait()
            run_steps(night, steps, outcomes)
            config = run.request.config
            summary = publish_results(night, run.plan, record, outcomes, config) if run.plan.is_whole else {}
        record.state = "succeeded"
        return summary
    except (KeyboardInterrupt, TerminationSignal):
        by_somebody = is_cancelled_in_prefect(str(flow_run.id))
        record.state, record.error = ("cancelled", "in Prefect") if by_somebody else ("interrupted", "SIGTERM")
        raise
    except BaseException as error:
        failure = in_our_words(error, night.home) or error
        run.error, record.state, record.error = failure, "failed", str(failure)
        if failure is error:
            raise
        raise failure from error
    finally:
        record.seconds = time.monotonic() - night.began
        record.peak_bytes = night.machine.meter.peak_since()
        record.steps = [{**asdict(o), "why": why[o.step] if o.state == "ran" else ""} for o in outcomes]
        if above := memory_above(outcomes, night.resources.memory_gib):
            night.watcher.warned(above)
            with suppress(Exception):
                get_run_logger().warning(above)
        done = {o.step for o in outcomes}
        record.refs = {}
        for ref in (ref for step in steps if step.name in done for cell in step.cells for ref in cell.refs):
            record.refs.setdefault(ref.dataset, []).append(ref.folder)
        with suppress(OSError, Failure):
            record.save(night.home)
        # A server that does not answer must not hide how the night ended.
        with suppress(Exception):
            show_stages(outcomes)


def memory_above(outcomes: Sequence[Outcome], memory_gib: float) -> str:
    """A sentence about the stage during which the process tree took most, when that was more than was given it."""
    worst = max((o for o in outcomes if o.state == "ran"), key=lambda o: o.peak_bytes, default=None)
    if worst is None or worst.peak_bytes <= memory_gib * 2**30:
        return ""
    return (
        f"{worst.step} ran while the run took {worst.peak_bytes / 2**30:.1f} GiB, more than resources.memory_gib "
        f"({memory_gib:g}): see that the machine has as much, and give it that"
    )


def _note_interruption(run: _Run, why: str) -> None:
    run.record.state, run.record.error = "interrupted", why
    with suppress(OSError, Failure):
        run.record.save(run.night.home)
    run.night.watcher.interrupted()


def _explain_briefly(night: Night, step: Step) -> str:
    """Why a step is about to run, in one line."""
    if step.name in night.force:
        return "forced"
    runs = [e for e in explain(night.lake, step) if e.verdict == "run"]
    return "; ".join(list(dict.fromkeys(r for e in runs for r in e.reasons))[:3])
