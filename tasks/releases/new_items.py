"""`nightjar index add`: a release with new items between nights, as a version of its own."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from expectations.datasets import DATASETS
from expectations.errors import UserError
from models.serving.increment import EXTERNAL, Increment, extend
from tasks.engine.audit import audit
from tasks.engine.content_digest import file_sha256
from tasks.engine.lake import MANIFEST
from tasks.machine.scratch import aside
from tasks.registry.registry import Registry, Version
from tasks.registry.release_layout import FOLDER, MANIFEST_TAG
from tasks.releases.pulling import pull


def read_items(path: Path) -> pa.Table:
    """New items from a CSV or Parquet file: `external_id` and any columns of the dataset `items`.

    In CSV, lists have `|` between their values, and nothing is a missing value.

    Raises:
        UserError: no such file, an unknown column, a value that its column cannot hold.
    """
    schema = DATASETS["items"].schema
    names = {EXTERNAL, *schema.names} - {"item_id"}
    try:
        if path.suffix == ".csv":
            options = pyarrow.csv.ConvertOptions(
                strings_can_be_null=True, null_values=[""], column_types={n: pa.string() for n in names}
            )
            table = pyarrow.csv.read_csv(path, convert_options=options)
        else:
            table = pq.read_table(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: cannot be read as {path.suffix or 'Parquet'} ({error})") from error
    twice = [n for n in table.column_names if table.column_names.count(n) > 1]
    if twice:
        raise UserError(f"{path}: column {twice[0]!r} is there more than once")
    unknown = [n for n in table.column_names if n not in names]
    if unknown or EXTERNAL not in table.column_names:
        wrong = f"column {unknown[0]!r} is not known" if unknown else f"column {EXTERNAL!r} is missing"
        raise UserError(f"{path}: {wrong}; {EXTERNAL} and any of: {', '.join(sorted(names - {EXTERNAL}))}")
    fields = [pa.field(EXTERNAL, pa.string()), *(schema.field(n) for n in table.column_names if n != EXTERNAL)]
    table = pa.table({field.name: _cast(table[field.name], field, path) for field in fields})
    if table[EXTERNAL].null_count:
        raise UserError(f"{path}: {table[EXTERNAL].null_count} rows have no {EXTERNAL}")
    if not len(table):
        raise UserError(f"{path} has no rows")
    _audit(table, path)
    return table


def _audit(items: pa.Table, path: Path) -> None:
    """Hold new items to the rules of the dataset, those too that only warn of a log: these rows were chosen by hand."""
    today = datetime.now(UTC).date().isoformat()
    schema = DATASETS["items"].schema
    columns = {f.name: items[f.name] if f.name in items.column_names else pa.nulls(len(items), f.type) for f in schema}
    columns["item_id"] = pa.array(range(len(items)), pa.int32())
    with TemporaryDirectory() as folder:
        pq.write_table(pa.table(columns, schema=schema), Path(folder) / "part-00000.parquet")
        verdict = audit(DATASETS["items"], {today: Path(folder)})[today]
    found = (*verdict.failures, *verdict.warnings)
    if found:
        lines = [f"{finding.message}" for finding in found[:5]]
        raise UserError(f"{path}: the rows break {len(found)} rules of the dataset items\n" + "\n".join(lines))


def _cast(column: pa.ChunkedArray, field: pa.Field, path: Path) -> pa.ChunkedArray:
    try:
        if pa.types.is_list(field.type) and pa.types.is_string(column.type):
            return pc.split_pattern(column, "|").cast(field.type)
        if pa.types.is_timestamp(field.type) and not getattr(column.type, "tz", None):
            # UTC, where nothing else is said.
            return pc.assume_timezone(column.cast(pa.timestamp("us")), "UTC")
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UserError(f"{path}: column {field.name!r} is no {field.type} ({error})") from error


def add_items(
    registry: Registry, version: Version, items: pa.Table, removed: Sequence[str], scratch: Path
) -> tuple[Version, Increment]:
    """Register `version` with new items and without the removed ones; the same twice gives the same version.

    Raises:
        UserError, Failure: see `extend`; nothing is registered then.
    """
    with aside(scratch) as place:
        base, folder = place / "base", place / FOLDER
        pull(registry, version, base)
        digest = file_sha256(base / MANIFEST)
        before = json.loads((base / MANIFEST).read_text()).get("base")
        facts = {"version": version.number, "manifest": digest, **({"base": before} if before else {})}
        done = extend(base, folder, items, removed, facts)
        manifest = file_sha256(folder / MANIFEST)
        tags = {
            "date": version.tags.get("nightjar.date", ""),
            "base": version.number,
            MANIFEST_TAG.removeprefix("nightjar."): manifest,
            "added": done.added,
            "removed": done.removed,
        }
        made = registry.publish(
            manifest,
            folder,
            f"version {version.number} with {done.added} items more, {done.removed} fewer",
            {},
            {"index.recall": done.recall},
            {f"nightjar.{name}": str(value) for name, value in tags.items()},
        )
    registry.follow("candidate")
    return made, done
