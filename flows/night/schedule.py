"""Which night a run of the schedule is about, and the nights before it that nobody made.

A scheduled night is about the day before its *scheduled* start in its schedule's time zone, however late it really
starts. So a machine that was off for three days makes three different nights of the three runs that Prefect kept for
it, and each missed day once, in order: whichever of them starts first makes up for the days before its own, and the
others find theirs cached.
"""

import dataclasses
from collections.abc import Iterable
from contextvars import Context
from datetime import date as Date
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prefect import tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger

from expectations.errors import Failure, UserError
from flows.night.flow_run import NAME, as_flow_run
from flows.night.records import new_id
from flows.night.request import NightRequest, Planner
from flows.night.run import run_in_this_flow
from flows.night.sources import open_source
from tasks.engine.stage import plain
from tasks.machine.home import told
from tasks.registry.registry import Registry

LATE = "late"
"""Tag of the runs of nights that were missed."""


def name_of_night() -> str:
    """Name of the flow run: the day it is about, as far as that is known before the data is looked at."""
    context = FlowRunContext.get()
    day = (context and (context.parameters or {}).get("date")) or scheduled_day()
    return f"{NAME} {day}" if day else NAME


def scheduled_day() -> Date | None:
    """The day that the flow run at hand is about, if a schedule started it."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or not run.auto_scheduled or run.expected_start_time is None:
        return None
    return run.expected_start_time.astimezone(_time_zone(run)).date() - timedelta(days=1)


def _time_zone(run: FlowRun) -> ZoneInfo:
    """That of the schedule which made the run; of the deployment's first schedule when that one is gone."""
    assert run.deployment_id, "a schedule belongs to a deployment"
    with get_client(sync_client=True) as client:
        schedules = {s.id: s.schedule for s in client.read_deployment(run.deployment_id).schedules}
    made_by = schedules.get(run.created_by.id) if run.created_by and run.created_by.id else None
    schedule = made_by or next(iter(schedules.values()), None)
    return ZoneInfo(getattr(schedule, "timezone", None) or "UTC")


def missed_days(released: Iterable[str], day: Date, at_most: int) -> tuple[list[Date], list[Date]]:
    """Days between the newest one released before `day` and `day`: (to make up for, left out), oldest first.

    Where nothing was released before, nothing was missed. The newest `at_most` days are made up for.
    """
    newest = max((d for d in released if d and d < day.isoformat()), default=None)
    if newest is None:
        return [], []
    first = Date.fromisoformat(newest) + timedelta(days=1)
    between = [first + timedelta(days=n) for n in range((day - first).days)]
    kept = max(len(between) - at_most, 0)
    return between[kept:], between[:kept]


def run_due_nights(request: NightRequest, home: Path, plan: Planner, catch_up_days: int) -> dict[str, Any]:
    """The night that is asked for; before it, when the schedule asks, those that were missed, as runs of their own.

    A missed night that fails again does not hold up the later ones, but the run that made up for it fails at its end.

    Raises:
        UserError: the log does not have the day yet.
        Failure: a missed night failed again.
    """
    if request.date:
        return run_in_this_flow(request, plan(request, home), home)
    source = open_source(request.config, home)
    day = scheduled_day()
    if day is None:
        newest = dataclasses.replace(request, date=source.last_day(request.config.window))
        _rename(f"{NAME} {newest.date}")
        return run_in_this_flow(newest, plan(newest, home, source), home)
    released = [v.day for v in Registry(home, request.config.resources.registry).versions()]
    missed, left_out = missed_days(released, day, catch_up_days) if not request.stages else ([], [])
    if left_out:
        get_run_logger().warning(
            f"{len(left_out)} nights from {left_out[0]} to {left_out[-1]} were missed and are left out: more than "
            f"catch_up_days ({catch_up_days}); make them with: nightjar backfill {left_out[0]} {left_out[-1]}"
        )
    late = [dataclasses.replace(request, date=d, id=new_id()) for d in missed if d <= source.latest]
    failed = [str(one.date) for one in late if not _make_up_for(one, home, plan)]
    if day > source.latest:
        raise UserError(
            f"night of {day}: the log ends on {source.latest}; once it has the day, retry this run, or leave it to "
            "the next scheduled night, which makes up for it"
        )
    tonight = dataclasses.replace(request, date=day)
    summary = run_in_this_flow(tonight, plan(tonight, home, source), home)
    if failed:
        raise Failure(
            f"{day} is released, but nights made up for failed again: {', '.join(failed)}; look for runs tagged {LATE}"
        )
    return summary


def _make_up_for(request: NightRequest, home: Path, plan: Planner) -> bool:
    """Run a missed night as a flow run of its own; whether it was released.

    Not below the run at hand, hence the empty context: when that is retried, Prefect would hand back the night's old
    run, whatever became of it.
    """
    parameters = {"date": str(request.date), "lake": told(home, request.lake), **plain(request.config)}

    def run() -> None:
        with tags("nightjar", NAME, LATE):
            as_flow_run(str(request.date), parameters, lambda: run_in_this_flow(request, plan(request, home), home))

    try:
        Context().run(run)
    except Exception:  # Prefect has logged it, and keeps it with the run
        return False
    return True


def _rename(name: str) -> None:
    context = FlowRunContext.get()
    if context and context.flow_run:
        with get_client(sync_client=True) as client:
            client.set_flow_run_name(context.flow_run.id, name)
