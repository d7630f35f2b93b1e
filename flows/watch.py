"""The deployment `watch`: at a certain hour, is the night of yesterday released? A run that says no fails, and so
reaches whoever is notified of failed runs."""

from datetime import date as Date

from prefect import flow

from expectations.errors import Failure, UserError
from flows.home import home_folder, prepare
from flows.night.schedule import scheduled_day
from flows.surroundings import needs
from tasks.machine.home import lake_of
from tasks.registry.registry import Registry


@flow(name="watch", flow_run_name="watch for the night")
def watch(date: Date | None = None, registry: str = "", lake: str = "") -> int:
    """The version that was released for a day; the run fails when there is none yet, or when nights could not run.

    Args:
        date: Day that must be released; by default the day before the scheduled start, in the schedule's time zone.
        registry: Registry URL; by default the one of the home.
        lake: Lake URL; by default the one of the home.
    """
    home = home_folder()
    prepare(home)
    day = date or scheduled_day()
    if day is None:
        raise UserError("date: name the day that must be released; only a scheduled run knows it by itself")
    troubles = needs(home, lake_of(home, lake), registry)
    if troubles:
        raise Failure(f"what a night needs is not well on the morning after {day}:\n" + "\n".join(map(str, troubles)))
    versions = Registry(home, registry).versions()
    found = [v.number for v in versions if v.day == day.isoformat()]
    if not found:
        newest = max((v.day for v in versions), default="") or "none at all"
        raise Failure(
            f"the night of {day} is late: no release of it yet, the newest is of {newest}; see the runs of `nightly`, "
            f"and make it with: nightjar backfill {day} {day}"
        )
    return found[0]
