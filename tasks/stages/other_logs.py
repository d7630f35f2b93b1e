"""What a log says beside the plays, into the lake: what was shown, what else was done, what was searched for.

The stages are told a digest of content, as those of `tasks.stages.ingestion` are.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from expectations.errors import Failure
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import Step, merged, stage
from tasks.sources.days import Day
from tasks.sources.other_logs import (
    LogBeside,
    actions_on,
    find_beside,
    impressions_on,
    linked_watches,
    logs_beside,
    searches_on,
)
from tasks.sources.parsed_files import EPOCH
from tasks.sources.state import Scan, find_scan
from tasks.stages.groups import Watched


@stage(produces=Watched)
def events(out: Outputs, digest: str) -> None:
    """Watches of one day, each with the request of the impression that it came from.

    Args:
        digest: digest of the day, `Scan.days`.

    Raises:
        Failure: the day has another number of rows than when the log was looked through.
    """
    log = find_scan(out.home, "watches", out.date, digest)
    table = linked_watches(log, _number(out.date))
    _check(out, "watches", table.num_rows, log.rows[out.date])
    out["watches"].write(table)


@stage(produces="impressions")
def impressions(out: Outputs, digest: str) -> None:
    """What was shown on one day; `digest` is that of the day."""
    _write(out, "impressions", digest, impressions_on)


@stage(produces="actions")
def actions(out: Outputs, digest: str) -> None:
    """What else was done on one day; `digest` is that of the day."""
    _write(out, "actions", digest, actions_on)


@stage(produces="searches")
def searches(out: Outputs, digest: str) -> None:
    """What was searched for on one day; `digest` is that of the day."""
    _write(out, "searches", digest, searches_on)


STAGES = {"impressions": impressions, "actions": actions, "searches": searches}


def _write(out: Outputs, name: str, digest: str, day_of: Callable[[LogBeside, int], Day]) -> None:
    log = find_beside(out.home, name, out.date, digest)
    table = day_of(log, _number(out.date)).table
    _check(out, name, table.num_rows, log.rows[out.date])
    out[name].write(table)


def _number(date_: str) -> int:
    return (date.fromisoformat(date_) - EPOCH).days


def _check(out: Outputs, name: str, found: int, known: int) -> None:
    if found != known:
        raise Failure(f"{name} of {out.date}: {found:,} rows, but the log has {known:,} of that day")


def events_step(log: Scan, days: Sequence[str], audited_against: Mapping[str, Artifact]) -> Step[Watched]:
    """Watches of each day, linked to what was shown.

    Raises:
        UserError: the log does not have one of the days.
    """
    return merged((events(day, log.digest(day)) for day in days), audited_against)


def beside_steps(log: Scan, days: Sequence[str], audited_against: Mapping[str, Artifact]) -> list[Step[Artifact]]:
    """What the logs beside the plays say of each day, a step each; none where there is none."""
    return [
        merged((STAGES[name](day, one.days[day]) for day in days), audited_against)
        for name, one in logs_beside(log).items()
    ]
