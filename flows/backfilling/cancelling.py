"""Stops a backfill, whoever runs it."""

import os

from expectations.processes import end
from flows.backfilling.state import CANCELLED, Backfill

PATIENCE_S = 15.0


def cancel(one: Backfill) -> None:
    """Take what waits out of the queue and end the process that runs it; what is published stands.

    That process writes the states of its days itself; where it is gone already, this does.
    """
    one.mark_cancelled()
    driver = one.driver
    if driver is not None:
        end([driver], PATIENCE_S)
    if os.environ.get("PREFECT_API_URL"):
        from flows.backfilling.prefect_runs import cancel_nights

        cancel_nights(one)
    for day in one.days():
        if day.state == "planned":
            day.state, day.reason = "skipped", CANCELLED
            one.save(day)
        elif day.state == "interrupted":
            one.save(day)
