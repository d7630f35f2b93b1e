"""Prefect's own records of a backfill's runs: whether the server answers, and runs whose process is gone."""

import socket
from contextlib import suppress
from uuid import UUID

import psutil
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.runtime import flow_run
from prefect.states import Cancelled, Cancelling, Crashed, State

from flows.backfilling.state import Backfill
from flows.service.prefect_internals import FLOW_RUN
from tasks.machine.processes import owner_is_alive


def api_answers() -> bool:
    """Whether Prefect's server is there."""
    with suppress(Exception), get_client(sync_client=True) as client:
        return client.api_healthcheck() is None
    return False


def open_runs(client: SyncPrefectClient, *tags: str) -> list[FlowRun]:
    """Runs with all these tags that have not ended."""
    types = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]
    chosen = FlowRunFilter(
        tags=FlowRunFilterTags(all_=list(tags)),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=types)),
    )
    return list(client.read_flow_runs(flow_run_filter=chosen))


def close_lost_runs(one: Backfill) -> int:
    """Call crashed what Prefect still takes for running, though the process is gone; returns how many runs.

    To be called by the one that drives the backfill: the run of an earlier driver is lost, a night when its process is.
    """
    with get_client(sync_client=True) as client:
        runs = [r for r in open_runs(client, one.tag) if r.state_type != StateType.SCHEDULED and _is_lost(one, r)]
        for run in runs:
            client.set_flow_run_state(run.id, Crashed(message="the process that ran it is gone"), force=True)
    return len(runs)


def cancel_nights(one: Backfill, but: str = "") -> None:
    """Have Prefect end the nights that the pool runs, and take those from it that no worker has begun.

    Args:
        but: id of a run of it that is left alone, as Prefect sees to it.
    """
    with get_client(sync_client=True) as client:
        for run in (run for run in open_runs(client, one.tag) if str(run.id) != but):
            # A worker ends the process of a run that is to be cancelled, and then calls it so.
            runs = run.state_type == StateType.RUNNING and run.infrastructure_pid and not process_is_gone(run)
            state: State = Cancelling() if runs else Cancelled(message="its backfill was cancelled")
            client.set_flow_run_state(run.id, state, force=True)


def _is_lost(one: Backfill, run: FlowRun) -> bool:
    if str(run.id) == str(flow_run.id):
        return False
    day = next((tag.removeprefix("day:") for tag in run.tags if tag.startswith("day:")), None)
    if day is None:
        return True
    if run.infrastructure_pid:
        return process_is_gone(run)
    owner = one.day(day).owner
    return run.deployment_id is None and bool(owner) and not owner_is_alive(owner)


def process_is_gone(run: FlowRun) -> bool:
    """Whether the process that a worker started for a run has ended; of another machine's nothing is known: False."""
    host, _, pid = (run.infrastructure_pid or "").rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        return psutil.Process(int(pid)).environ().get(FLOW_RUN) != str(run.id)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return True
    except (psutil.Error, OSError):
        return False


def tag_this_run(tag: str) -> None:
    """Add a tag to the flow run that is under way."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(UUID(str(flow_run.id)), tags=sorted({*flow_run.tags, tag}))
