"""The stages that bring real data into the lake; `tasks.sources.scan` looks through the source before they are planned.

Both are told a digest of content, by which they find the parsed source in scratch: where it lies decides no key.
"""

import pyarrow as pa

from expectations.datasets import WATCHES
from tasks.outputs import Outputs
from tasks.sources.catalogue import catalogue
from tasks.sources.state import find_scan
from tasks.stage import stage


@stage(produces=("users", "items", "id_map"))
def ingest_catalogue(out: Outputs, digest: str) -> None:
    """Users, items and ids as known on the day.

    Args:
        digest: `tasks.sources.catalogue.catalogue_digest` of the day.
    """
    made = catalogue(find_scan(out.home, "catalogue", out.date, digest), out.date)
    for name, table in made.tables.items():
        out[name].write(table)
    out.note(substitutes=list(made.substitutes))


@stage(produces=("watches",))
def ingest_events(out: Outputs, digest: str) -> None:
    """Watches of one day.

    Args:
        digest: `Scan.days` of the day.
    """
    table = find_scan(out.home, "watches", out.date, digest).day(out.date).table
    for field in WATCHES.schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    out["watches"].write(table)
