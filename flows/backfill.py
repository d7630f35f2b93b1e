"""Many nights: the flow behind `nightjar backfill` and behind the deployment of that name in Prefect's UI."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import date as Date
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run
from pydantic import Field

from expectations.errors import Failure
from flows.backfilling.driver import Driver
from flows.backfilling.listener import Listener
from flows.backfilling.prefect_runs import cancel_nights, close_lost_runs, tag_this_run
from flows.backfilling.request import RERUN_DEFAULT, BackfillRequest, OnFailure, Order, Rerun, Where
from flows.backfilling.state import CANCELLED, Backfill, all_backfills, find_backfill
from flows.backfilling.work import WorkList
from flows.config import NightlyConfig
from flows.home import home_folder, prepare
from flows.night.interruption import is_cancelled_in_prefect, leave_at_once_when_told
from flows.night.lakes import open_lake
from flows.night.records import all_runs
from flows.night.run import take_over
from flows.night.time_limits import TIMEKEEPER
from flows.nightly import plan_request
from tasks.engine.audit import build_docs
from tasks.engine.stage import plain
from tasks.machine.home import lake_of
from tasks.registry.ledger import Ledger
from tasks.registry.registry import Registry

LISTENERS: dict[str, Listener] = {}
"""Who listens to a backfill by its id: the command line, when it has begun it."""


@flow(name="backfill", flow_run_name="backfill {start} to {end}")
def backfill(
    start: Date,
    end: Date,
    stages: list[str] | None = None,
    exclude: list[Date] | None = None,
    max_parallel: Annotated[int, Field(ge=1, le=64)] = 1,
    on: Where = "here",
    order: Order = "forward",
    on_failure: OnFailure = "stop",
    retries: Annotated[int, Field(ge=0, le=10)] = 0,
    rerun: list[Rerun] | None = None,
    promote: bool = False,
    lake: str = "",
    night: NightlyConfig = NightlyConfig(),
    resume: str = "",
) -> dict[str, Any]:
    """Run the nights of a range of days, only what is missing, failed or stale of each.

    Args:
        start: First logical day.
        end: Last logical day.
        stages: Only these stages and what they need; by default all of them, up to the release.
        exclude: Days to leave out.
        max_parallel: Nights side by side, within `night.resources`.
        on: In this process, which shares one Spark application among the nights, or handed to the workers of the pool.
        order: Oldest day first, or newest.
        on_failure: What the failure of a day means for the days after it.
        retries: How often a day that failed is tried again.
        rerun: Which days run: missing, failed, stale (the default is these three), or all of them anew.
        promote: Move the alias `champion` to the newest day's release when every day has succeeded.
        lake: Lake URL, or a folder below the home; by default the home's lake.
        night: Settings of every night; its `date` is not used.
        resume: Id of a backfill to go on with, instead of a new one.
    """
    home = home_folder()
    prepare(home)
    if resume:
        one = find_backfill(home, resume)
    else:
        request = BackfillRequest(
            start=start.isoformat(),
            end=end.isoformat(),
            config=plain(night),
            config_name="",
            lake=lake_of(home, lake),
            stages=tuple(stages or ()),
            exclude=tuple(d.isoformat() for d in exclude or ()),
            max_parallel=max_parallel,
            on=on,
            order=order,
            on_failure=on_failure,
            retries=retries,
            rerun=tuple(rerun or RERUN_DEFAULT),
            promote=promote,
        )
        # Prefect retries a run under its own id: that goes on with the backfill that the run has made.
        this = str(flow_run.id or "")
        one = next((b for b in all_backfills(home) if this and b.flow_run == this), None) or Backfill.create(
            home, request, this
        )
        tag_this_run(one.tag)
    return carry_out(one)


def carry_out(one: Backfill) -> dict[str, Any]:
    """Run what is open of a backfill.

    Raises:
        Failure: a day failed.
    """
    lake = open_lake(one.home, one.request.lake)
    work = WorkList(one.request, one.home, lake, all_runs(one.home), plan_request)
    process = take_over(one.home, lake, one.request.night.resources)
    driver = Driver(one, work, lake, LISTENERS.get(one.id, Listener()), process)
    with one.driven():
        one.mark_resumed()
        leave_at_once_when_told(lambda why: _interrupted(one, driver, why), lambda: TIMEKEEPER.flow_runs)
        close_lost_runs(one)
        with TIMEKEEPER.knows(str(flow_run.id or "")):
            driver.run(driver.plan())
        summary = one.to_dict()
        if one.request.on == "here" and summary["counts"].get("succeeded"):
            build_docs(one.home / "data-docs")
        if one.request.promote and not summary["counts"].get("failed"):
            _promote(one)
    _show_in_prefect(summary)
    failed = [d for d in summary["days"] if d["state"] == "failed"]
    if failed:
        raise Failure(
            f"{len(failed)} of {len(summary['days'])} days failed, first {failed[0]['day']}: {failed[0]['reason']}\n"
            f"  when that is mended: nightjar backfill resume {one.id}"
        )
    return summary


def _interrupted(one: Backfill, driver: Driver, why: str) -> bool:
    """Write down how far it came; whether somebody has cancelled it: here, or its run in Prefect."""
    if not one.is_cancelled and is_cancelled_in_prefect(str(flow_run.id)):
        one.mark_cancelled()
        with suppress(Exception):  # its nights in the pool end as well, where the server can be asked
            cancel_nights(one, but=str(flow_run.id))
    driver.interrupt(CANCELLED if one.is_cancelled else why)
    return one.is_cancelled


def _promote(one: Backfill) -> None:
    """Move `champion` to the newest release of the newest day, which may have stood before."""
    registry, newest = Registry(one.home, one.request.night.resources.registry), max(one.request.days)
    numbers = [v.number for v in registry.versions() if v.day == newest]
    # A backfill that is resumed has said so already.
    if numbers and Ledger(registry).repair() != max(numbers):
        Ledger(registry).move(max(numbers), f"backfill {one.id} --promote")


def _show_in_prefect(summary: Mapping[str, Any]) -> None:
    names = ("day", "state", "reason", "attempts", "seconds", "version")
    rows = [{name: "" if day[name] is None else day[name] for name in names} for day in summary["days"]]
    create_table_artifact(rows, key="backfill", description=f"Backfill {summary['id']}: {summary['state']}")
