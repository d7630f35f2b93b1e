"""How everything ended that a process was at when one of its nights, or a stage of it, took too long."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from expectations.errors import Failure
from flows.backfilling.state import all_backfills
from flows.grid.state import all_sweeps
from flows.night.records import all_runs
from flows.service.api import Api

BESIDE = "its process was ended: "
"""Said of what ran beside it."""


def write_down(home: Path, owner: str, run: str, stage: str | None, sentence: str) -> None:
    """Into the records of runs, days of backfills and sweeps: what took too long has failed, what ran beside it has
    been interrupted.

    Args:
        owner: tag of the process.
        run: id of the run that took too long; empty where that was a sweep.
        stage: the one that did; None for the whole night.
        sentence: what is told.
    """
    for record in all_runs(home):
        if record.state == "running" and record.owner == owner:
            mine = record.id == run
            record.state, record.error = ("failed", sentence) if mine else ("interrupted", BESIDE + sentence)
            with suppress(OSError, Failure):
                record.save(home)
    for one in all_backfills(home):
        for day in one.days():
            if day.state == "running" and day.owner == owner:
                day.interrupt(BESIDE + sentence)
                if day.run == run:
                    day.state, day.reason = "failed", sentence
                    if stage in day.stages:
                        day.stages[stage].state, day.stages[stage].reason = "failed", sentence
                with suppress(OSError, Failure):
                    one.save(day)
    for sweep in all_sweeps(home):
        if sweep.state == "running" and sweep.owner == owner:
            sweep.state, sweep.error = "failed", sentence
            with suppress(OSError, Failure):
                sweep.save()


def tell_prefect(flow_runs: Mapping[str, str], run: str, sentence: str) -> None:
    """Call the flow runs timed out that belong to a run, and those above all; crashed what ran beside it.

    Args:
        flow_runs: run that each flow run is of; empty for one above.
    """
    if not os.environ.get("PREFECT_API_URL"):
        return
    api = Api(os.environ["PREFECT_API_URL"], os.environ.get("PREFECT_API_AUTH_STRING", ""), timeout_s=5.0)
    for id_, of in flow_runs.items():
        with suppress(Failure):
            if of in ("", run):
                api.set_state(id_, "FAILED", "TimedOut", sentence)
            else:
                api.set_state(id_, "CRASHED", "Crashed", BESIDE + sentence)
