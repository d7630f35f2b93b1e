"""An Iceberg table is what its metadata says: the same rows as its own library reads, wherever the table lies."""

import json
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import FileScanTask
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType

from expectations.errors import UserError
from tasks.sources.config import EventColumns, SourceConfig
from tasks.sources.reading import read_whole
from tasks.sources.scan import scan
from tasks.sources.state import watches_of
from tasks.sources.table_formats import table_files

TODAY = "2026-01-01"
COLUMNS = EventColumns(rating="rating")


def events(users: range, day: int = 1) -> pa.Table:
    start = datetime(2025, 3, day, 6, tzinfo=UTC)
    return pa.table(
        {
            "user": pa.array(users, pa.int32()),
            "item": [f"i{u % 7}" for u in users],
            "time": pa.array([start + timedelta(seconds=u) for u in users], pa.timestamp("us", tz="UTC")),
            "rating": pa.array([float(u % 5) for u in users], pa.float32()),
        }
    )


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    folder = tmp_path_factory.mktemp("iceberg")
    catalogue = SqlCatalog("own", uri=f"sqlite:///{folder}/catalogue.db", warehouse=f"file://{folder}/warehouse")
    catalogue.create_namespace("log")
    return catalogue


@pytest.fixture(scope="module")
def make(catalogue):
    """Makes a table with the schema of some rows; gives it and its folder."""

    def made(rows, by=None, **properties):
        name = f"log.t{len(catalogue.list_tables('log'))}"
        table = catalogue.create_table(name, rows.schema, properties=properties)
        if by:
            with table.update_spec() as change:
                change.add_field(by[0], by[1], "part")
        table.append(rows)
        return table, folder_of(table)

    return made


def folder_of(table):
    return Path(table.location().removeprefix("file://"))


def read(folder, *names, snapshot=""):
    found: dict[str, list] = {name: [] for name in names}
    for file in table_files(folder, "source.path", snapshot):
        for name, values in read_whole(file, list(names)).columns.items():
            found[name] += values.to_pylist()
    return found


def outside(found):
    users, items = (found.ids(kind).external.to_pylist() for kind in ("user", "item"))
    rows = [row for day in found.days for row in watches_of(found, day).table.to_pylist()]
    return Counter((users[r["user_id"]], items[r["item_id"]], r["time"], r["rating"]) for r in rows)


def oracle(table, **of):
    """The same as pyiceberg itself reads it; a row that is there twice, word for word, counts once."""
    rows = table.scan(**of).to_arrow().to_pylist()
    return {(str(r["user"]), r["item"], r["time"], r["rating"]): 1 for r in rows}


STEP = st.tuples(st.sampled_from(["append", "overwrite", "delete"]), st.integers(0, 50), st.integers(1, 3))


@settings(max_examples=4)
@given(
    steps=st.lists(STEP, max_size=3),
    by=st.sampled_from([None, ("item", IdentityTransform())]),
)
def test_whatever_was_done_to_a_table_it_is_read_as_its_library_reads_it(make, tmp_path_factory, steps, by):
    home = tmp_path_factory.mktemp("home")
    table, folder = make(events(range(100, 104)), by)
    for what, n, day in steps:
        if what == "append":
            table.append(events(range(n, n + 6), day))
        elif what == "overwrite":
            table.overwrite(events(range(n, n + 6), day))
        else:
            table.delete(f"user >= {n}")
        if expected := oracle(table):
            assert outside(scan(SourceConfig(kind="table", path=str(folder), columns=COLUMNS), home, TODAY)) == expected
    for snapshot in table.snapshots():
        if expected := oracle(table, snapshot_id=snapshot.snapshot_id):
            config = SourceConfig(kind="table", path=str(folder), columns=COLUMNS, snapshot=str(snapshot.snapshot_id))
            assert outside(scan(config, home, TODAY)) == expected


def test_columns_are_found_by_their_ids_and_widened(make, look):
    table, folder = make(events(range(3)))
    with table.update_schema() as change:
        change.update_column("user", LongType())
        change.rename_column("user", "member")
    with table.update_schema() as change:
        change.add_column("user", LongType())
        change.delete_column("rating")
    table.append(
        pa.table({**{n: events(range(3, 5))[n] for n in ("item", "time")}, "member": pa.array([3, 4], pa.int64())})
    )
    found = read(folder, "member", "user")
    assert sorted(found["member"]) == [0, 1, 2, 3, 4] and set(found["user"]) == {None}
    assert {read_whole(f, ["member"]).columns["member"].type for f in table_files(folder, "", "")} == {pa.int64()}
    with pytest.raises(UserError, match="no column 'rating'"):
        read(folder, "rating")
    # As of its first snapshot the table has the names that it had then.
    first = str(table.snapshots()[0].snapshot_id)
    assert sorted(read(folder, "user", "rating", snapshot=first)["user"]) == [0, 1, 2]


def test_position_deletes_are_deleted(make, monkeypatch, tmp_path):
    monkeypatch.setattr("tasks.sources.table_files.BATCH_ROWS", 2)
    table, folder = make(events(range(6)))
    (task,) = table.scan().plan_files()
    deletes = tmp_path / "deletes.parquet"
    pq.write_table(pa.table({"file_path": [task.file.file_path] * 2 + ["other"], "pos": [1, 4, 0]}), deletes)
    delete = type(task.file).from_args(
        content=1, file_path=str(deletes), file_format="PARQUET", partition=task.file.partition, record_count=3,
        file_size_in_bytes=deletes.stat().st_size,
    )  # fmt: skip
    delete.spec_id = 0
    plan = [FileScanTask(task.file, {delete})]
    monkeypatch.setattr("pyiceberg.table.DataScan.plan_files", lambda self: plan)
    assert read(folder, "user") == {"user": [0, 2, 3, 5]}


def test_equality_deletes_are_refused_with_the_remedy(make, monkeypatch):
    _, folder = make(events(range(3)))

    def refuse(self):
        raise ValueError(
            "PyIceberg does not yet support equality deletes: https://github.com/apache/iceberg/issues/6568"
        )

    monkeypatch.setattr("pyiceberg.table.DataScan.plan_files", refuse)
    with pytest.raises(
        UserError, match=r"cannot be read by pyiceberg \(.*equality deletes.*\); merge them into the data"
    ):
        read(folder, "user")


def test_a_table_may_have_moved_anywhere(make, tmp_path):
    table, folder = make(events(range(3)))
    table.append(events(range(3, 5), 2))
    moved = tmp_path / "a %2F $x #1?x=2&y ü" / "t"
    moved.parent.mkdir()
    shutil.move(folder, moved)
    assert sorted(read(moved, "user")["user"]) == [0, 1, 2, 3, 4]
    newest = max((moved / "metadata").glob("*.metadata.json"))
    assert sorted(read(newest, "user")["user"]) == [0, 1, 2, 3, 4]
    gone = next((moved / "data").rglob("*.parquet"))
    gone.unlink()
    with pytest.raises(UserError, match=rf"{gone.name} is not there, and the table needs it; copy the whole table"):
        read(moved, "user")
    shutil.rmtree(moved / "data")
    for manifest in (moved / "metadata").glob("*.avro"):
        manifest.unlink()
    with pytest.raises(UserError, match=r"\.avro, which .*metadata.json names, is not there; copy the whole table"):
        read(moved, "user")


def test_which_version_counts_in_a_folder(make, tmp_path):
    table, folder = make(events(range(3)))
    table.append(events(range(3, 5), 2))
    assert len(read(folder, "user")["user"]) == 5
    newest = max((folder / "metadata").glob("*.metadata.json"))
    other = newest.with_name(newest.name.split("-")[0] + "-of-a-commit-that-failed.metadata.json")
    shutil.copy(newest, other)
    with pytest.raises(
        UserError, match=r"does not say which of its files is the newest; give as path the \*.metadata.json"
    ):
        read(folder, "user")
    assert len(read(newest, "user")["user"]) == 5
    other.unlink()
    for number, path in enumerate(sorted((folder / "metadata").glob("*.metadata.json")), 8):  # as Hadoop's tables are
        path.rename(path.with_name(f"v{number}.metadata.json"))
    (folder / "metadata" / "version-hint.text").write_text("9")
    assert len(read(folder, "user")["user"]) == 5


def test_time_travel_and_what_is_told(make, look):
    table, folder = make(events(range(3)))
    table.append(events(range(3, 5), 2))
    first, second = table.snapshots()
    between = datetime.fromtimestamp(first.timestamp_ms / 1000, UTC).isoformat()
    assert len(read(folder, "user", snapshot=between)["user"]) == 3
    assert len(read(folder, "user", snapshot="2100-01-01")["user"]) == 5
    for asked in ("7", "2001-01-01"):
        with pytest.raises(
            UserError, match=rf"has no snapshot {asked}; the last that it has are {first.snapshot_id} of 2"
        ):
            read(folder, "user", snapshot=asked)
    found = look(SourceConfig(kind="table", path=str(folder), columns=COLUMNS))
    assert found.notes[0].startswith(
        f"source.path: read as Iceberg table {folder}, snapshot {second.snapshot_id} of 20"
    )


def test_a_part_of_a_table_is_no_log(make, look):
    _, folder = make(events(range(3)))
    for inside in (folder / "data", next((folder / "data").rglob("*.parquet"))):
        with pytest.raises(UserError, match=r"is a part of the Iceberg table .*; give that folder itself"):
            look(SourceConfig(kind="table", path=str(inside)))


def test_damaged_metadata_is_one_sentence(make):
    _, folder = make(events(range(3)))
    newest = max((folder / "metadata").glob("*.metadata.json"))
    newest.write_text(json.dumps({"format-version": 2}))
    with pytest.raises(UserError, match=r"cannot be read by pyiceberg \(.*\); give another metadata file") as told:
        read(folder, "user")
    assert "\n" not in str(told.value)
