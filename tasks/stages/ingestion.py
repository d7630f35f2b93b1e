"""Real data into the lake: `scan` looks through a source, then a plan has its catalogue and its days as steps.

Both stages are told a digest of content, by which they find the parsed source in scratch: where it lies decides no key.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from expectations.datasets import WATCHES
from expectations.errors import Failure
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import Step, merged, stage
from tasks.sources.catalogue import catalogue_digest, known_by
from tasks.sources.scan import scan
from tasks.sources.state import Scan, find_scan, watches_of
from tasks.stages.groups import Known, Watched

__all__ = ["catalogue", "catalogue_step", "events", "events_step", "scan"]


@stage(produces=Known)
def catalogue(out: Outputs, digest: str) -> None:
    """Users, items and ids as known on the day.

    Args:
        digest: `catalogue_digest` of the day.
    """
    known = known_by(find_scan(out.home, "catalogue", out.date, digest), out.date)
    for name, table in known.tables.items():
        out[name].write(table)
    out.note(substitutes=[s.to_list() for s in known.substitutes])


@stage(produces=Watched)
def events(out: Outputs, digest: str) -> None:
    """Watches of one day.

    Args:
        digest: digest of the day, `Scan.days`.

    Raises:
        Failure: the day has another number of rows than when the log was looked through.
    """
    log = find_scan(out.home, "watches", out.date, digest)
    table = watches_of(log, out.date).table
    if table.num_rows != log.rows[out.date]:
        raise Failure(
            f"watches of {out.date}: {table.num_rows:,} rows, but the log has {log.rows[out.date]:,} of that day"
        )
    for field in WATCHES.schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    out["watches"].write(table)


def catalogue_step(log: Scan, dates: Sequence[str]) -> Step[Known]:
    """Users, items and the id map as known on each date."""
    return merged(catalogue(date, catalogue_digest(log, date)) for date in dates)


def events_step(log: Scan, days: Sequence[str], audited_against: Mapping[str, Artifact]) -> Step[Watched]:
    """Watches of each day.

    Raises:
        UserError: the log does not have one of the days.
    """
    return merged((events(day, log.digest(day)) for day in days), audited_against)
