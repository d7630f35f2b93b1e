"""Users and items of a source as known on a day."""

import hashlib
import json
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.datasets import DATASETS
from expectations.substitutes import Substitute
from tasks.engine.content_digest import table_digest
from tasks.sources.ids import Ids
from tasks.sources.parsed_files import EPOCH
from tasks.sources.state import Scan
from tasks.sources.values import MICROS_PER_DAY

_DATED = {"user": ("users", "signup_date"), "item": ("items", "uploaded_at")}


@dataclass(frozen=True)
class KnownCatalogue:
    """Tables `users`, `items` and `id_map`, and what stands in for what is not known."""

    tables: dict[str, pa.Table]
    substitutes: tuple[Substitute, ...]

    @property
    def digests(self) -> dict[str, str]:
        return {name: table_digest(table, DATASETS[name].key) for name, table in self.tables.items()}


def catalogue_digest(scan: Scan, date: str) -> str:
    """Digest of the users, items and ids known on a day, and of what stands in for what is not known.

    The scan remembers it, so that the stage finds the scan by it.
    """
    marks = list(scan.folder.glob(scan.catalogue_mark(date, "*").name))
    if marks:
        return marks[0].name.rpartition("-")[2]
    made = known_by(scan, date)
    text = json.dumps([sorted(made.digests.items()), [s.to_list() for s in made.substitutes]])
    digest = hashlib.sha256(text.encode()).hexdigest()
    scan.catalogue_mark(date, digest).touch()
    return digest


def known_by(scan: Scan, date_: str) -> KnownCatalogue:
    """Users, items and ids known by the end of a day: listed by then (or without a date), or in an event by then.

    An item watched before its upload date was there: its first watch, if it has been by then, replaces the date.
    Nothing that happens after the day changes the result.
    """
    day = (date.fromisoformat(date_) - EPOCH).days
    tables, maps, told = {}, [], []
    for kind, (dataset, dated) in _DATED.items():
        ids = scan.ids(kind)
        known = np.flatnonzero(ids.known_day <= day).astype(np.int32)
        listing = scan.listing(kind)
        rows = listing.take(_row_or_null(ids.listed_row[known])).drop_columns("external_id")
        rows, early = _not_after_first_event(rows, dated, ids, known, day)
        tables[dataset] = pa.table({f"{kind}_id": known, **{n: rows[n] for n in rows.column_names}})
        maps.append(pa.table({"kind": [kind] * len(known), "id": known, "external_id": ids.external.take(known)}))
        if early:
            told.append(Substitute("first_events", {"count": early, "dataset": dataset, "dated": dated}))
        absent = int((ids.listed_row[known] < 0).sum())
        if absent and listing.num_rows:
            told.append(Substitute("not_listed", {"count": absent, "dataset": dataset}))
    schema = DATASETS["id_map"].schema
    return KnownCatalogue({**tables, "id_map": pa.concat_tables(maps).cast(schema)}, (*scan.substitutes, *told))


def _row_or_null(rows: np.ndarray) -> pa.Array:
    return pa.array(rows, mask=rows < 0)


def _not_after_first_event(rows: pa.Table, dated: str, ids: Ids, known: np.ndarray, day: int) -> tuple[pa.Table, int]:
    place = rows.column_names.index(dated)
    type_ = rows[dated].type
    happened = ids.first_time[known] < (day + 1) * MICROS_PER_DAY
    micros = pa.array(ids.first_time[known], mask=~happened)
    first = micros.cast(pa.timestamp("us", tz="UTC")).cast(type_, safe=False)
    early = pc.fill_null(pc.less(first, rows[dated]), False)
    corrected = pc.if_else(early, first, rows[dated])
    return rows.set_column(place, rows.schema.field(dated), corrected), pc.sum(early).as_py() or 0
