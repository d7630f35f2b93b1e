"""A night of a backfill as a run of Prefect's work pool: any worker may take it, on whatever machine."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date as Date
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from expectations.errors import Failure
from flows.backfilling.prefect_runs import open_runs, process_is_gone
from flows.backfilling.state import Backfill
from flows.config import SECTIONS
from tasks.engine.stage import plain
from tasks.machine.home import told

DEPLOYMENT = "nightly/day"
"""Takes any number of runs at once: the deployment of the schedule lets one at a time through."""

POLL_S = 1.0
LOST_S = 5.0
"""A run whose process is gone has this long to report its own end."""


class Gone(Failure):
    """Prefect's server does not answer."""


class Lost(Failure):
    """The process of a night is gone, killed with its machine or its worker; the night can be run again."""


class Cancelled(Failure):
    """Somebody has cancelled the run of a night in Prefect."""


class Withdrawn(Failure):
    """A night that no worker had begun when the backfill was stopped."""


def run_in_pool(one: Backfill, day: str, stopped: Callable[[], bool]) -> None:
    """Have a worker run the night of a day, or wait for the one that already does.

    Raises:
        Failure: the night failed.
        Cancelled: somebody has cancelled its run.
        Lost: its process is gone.
        Withdrawn: the backfill was stopped before a worker took it.
        Gone: Prefect's server is.
    """
    try:
        with get_client(sync_client=True) as client:
            run = _under_way(client, one, day) or _submit(client, one, day)
            _follow(client, one, day, run.id, stopped)
    except (httpx.HTTPError, OSError) as error:
        raise Gone(f"Prefect's server does not answer ({type(error).__name__})") from error


def _under_way(client: SyncPrefectClient, one: Backfill, day: str) -> FlowRun | None:
    """The run of an earlier, interrupted driver that has not ended. An ended one is never taken for this one."""
    return next((r for r in open_runs(client, one.tag, f"day:{day}") if not process_is_gone(r)), None)


def _submit(client: SyncPrefectClient, one: Backfill, day: str) -> FlowRun:
    try:
        deployment = client.read_deployment_by_name(DEPLOYMENT)
    except ObjectNotFound:
        raise Failure(
            f"Prefect has no deployment {DEPLOYMENT}; start the service (nightjar up), or: "
            "prefect --no-prompt deploy --all --prefect-file deployments/prefect.yaml"
        ) from None
    sections = {name: plain(getattr(one.request.night, name)) for name in SECTIONS}
    lake = told(one.home, one.request.lake)
    parameters: dict[str, Any] = {"date": day, "lake": lake, "stages": list(one.request.stages), **sections}
    return client.create_flow_run_from_deployment(
        deployment.id, parameters=parameters, name=f"nightly {Date.fromisoformat(day)}", tags=[one.tag, f"day:{day}"]
    )


def _follow(client: SyncPrefectClient, one: Backfill, day: str, run_id: UUID, stopped: Callable[[], bool]) -> None:
    lost_since: float | None = None
    while True:
        run = client.read_flow_run(run_id)
        state = run.state
        if state is not None and state.is_final():
            if state.is_completed():
                return
            if state.is_cancelled():
                raise Cancelled("its run was cancelled in Prefect")
            if state.is_crashed():
                raise Lost(state.message or "its process is gone")
            raise Failure(one.day(day).failure or state.message or state.name)
        if stopped() and state is not None and state.is_scheduled():
            with suppress(httpx.HTTPError):
                client.delete_flow_run(run_id)
            raise Withdrawn("no worker had begun it")
        # A killed process reports nothing: Prefect would take its run for running for ever.
        if process_is_gone(run):
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > LOST_S:
                client.set_flow_run_state(run_id, Crashed(message="the process that ran it is gone"), force=True)
        else:
            lost_since = None
        time.sleep(POLL_S)
