"""A Delta table is what its log says: the same rows as its own library reads, whatever was done to it."""

import json
import shutil
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.errors import UserError
from tasks.sources.config import EventColumns, ItemsFile, SourceConfig, UsersFile
from tasks.sources.parsed_files import parse
from tasks.sources.reading import read_whole
from tasks.sources.scan import scan
from tasks.sources.state import watches_of
from tasks.sources.table_formats import table_files
from tests.tasks.sources.delta_logs import column, deletion_vector, deletion_vector_file, write_log

TODAY = "2026-01-01"
COLUMNS = EventColumns(rating="rating")


def events(users: range, day: int = 1) -> pa.Table:
    """An event a user, on one day."""
    start = datetime(2025, 3, day, 6, tzinfo=UTC)
    return pa.table(
        {
            "user": pa.array(users, pa.int64()),
            "item": [f"i{u % 7}" for u in users],
            "time": pa.array([start + timedelta(seconds=u) for u in users], pa.timestamp("us", tz="UTC")),
            "rating": pa.array([float(u % 5) for u in users], pa.float32()),
            "day": [start.date()] * len(users),
        }
    )


def outside(found):
    """Events of a scan by their outside ids."""
    users, items = (found.ids(kind).external.to_pylist() for kind in ("user", "item"))
    rows = [row for day in found.days for row in watches_of(found, day).table.to_pylist()]
    return Counter((users[r["user_id"]], items[r["item_id"]], r["time"], r["rating"]) for r in rows)


def oracle(path, version=None):
    """The same as deltalake itself reads it."""
    rows = DeltaTable(path, version=version).to_pandas().to_dict("records")
    return Counter((str(r["user"]), r["item"], r["time"].to_pydatetime(), r["rating"]) for r in rows)


def read(folder, *names, snapshot="", key="source.path"):
    """Columns of a table, of all its files."""
    found: dict[str, list] = {name: [] for name in names}
    for file in table_files(folder, key, snapshot):
        for name, values in read_whole(file, list(names)).columns.items():
            found[name] += values.to_pylist()
    return found


STEP = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 50), st.integers(1, 3)),
    st.tuples(st.just("overwrite"), st.integers(0, 50), st.integers(1, 3)),
    st.tuples(st.just("delete"), st.integers(0, 50), st.just(0)),
    st.tuples(st.just("update"), st.integers(0, 50), st.just(0)),
    st.tuples(st.sampled_from(["optimize", "checkpoint", "vacuum"]), st.just(0), st.just(0)),
)


@settings(max_examples=15)
@given(steps=st.lists(STEP, max_size=5), partitioned=st.booleans())
def test_whatever_was_done_to_a_table_it_is_read_as_its_library_reads_it(tmp_path_factory, steps, partitioned):
    folder = tmp_path_factory.mktemp("delta")
    path, home = folder / "events", folder / "home"
    write_deltalake(path, events(range(100, 104)), partition_by=["day"] if partitioned else None)
    config = SourceConfig(kind="table", path=str(path), columns=COLUMNS)
    for what, n, day in steps:
        table = DeltaTable(path)
        if what in ("append", "overwrite"):
            write_deltalake(path, events(range(n, n + 6), day), mode=what)
        elif what == "delete":
            table.delete(f"user >= {n} and user < 100")
        elif what == "update":
            table.update(predicate=f"user < {n}", updates={"rating": "9.0"})
        elif what == "optimize":
            table.optimize.compact()
        elif what == "checkpoint":
            table.create_checkpoint()
        else:
            table.vacuum(0, dry_run=False, enforce_retention_duration=False)
        expected = dict.fromkeys(oracle(path), 1)  # a row that is there twice, word for word, counts once
        if expected:
            assert outside(scan(config, home, TODAY)) == expected
    for version in range(DeltaTable(path).version() + 1) if "vacuum" not in {s[0] for s in steps} else ():
        back = SourceConfig(kind="table", path=str(path), columns=COLUMNS, snapshot=str(version))
        if expected := dict.fromkeys(oracle(path, version), 1):
            assert outside(scan(back, home, TODAY)) == expected


def test_only_new_files_are_parsed_and_the_same_rows_have_the_same_digests(tmp_path, look, monkeypatch):
    parsed = []

    def noted(file, *rest):
        parsed.append(file.name)
        return parse(file, *rest)

    monkeypatch.setattr("tasks.sources.scan.parse", noted)
    path = tmp_path / "events"
    config = SourceConfig(kind="table", path=str(path), columns=COLUMNS)
    for day in (1, 2, 3):
        write_deltalake(path, events(range(day, 30), day), partition_by=["day"], mode="append")
        look(config)
        assert len(parsed) == day
    before = look(config)
    DeltaTable(path).optimize.z_order(["user"])
    after = look(config)
    assert (after.days, after.rows) == (before.days, before.rows)
    plain = tmp_path / "plain.parquet"
    pq.write_table(DeltaTable(path).to_pyarrow_table(), plain)
    assert look(SourceConfig(kind="table", path=str(plain), columns=COLUMNS)).days == before.days


def test_a_commit_during_the_scan_changes_nothing(tmp_path, look, monkeypatch):
    path = tmp_path / "events"
    write_deltalake(path, events(range(20)))

    def meanwhile(file, *rest):
        write_deltalake(path, events(range(20, 40), 2), mode="append")
        DeltaTable(path).delete("user < 10")
        return parse(file, *rest)

    monkeypatch.setattr("tasks.sources.scan.parse", meanwhile)
    found = look(SourceConfig(kind="table", path=str(path), columns=COLUMNS))
    assert found.rows == {"2025-03-01": 20}
    assert found.notes[0].startswith(f"source.path: read as Delta table {path}, version 0 of 20")


def test_users_and_items_are_read_by_their_snapshots_too(tmp_path, look):
    write_deltalake(tmp_path / "log", events(range(5)))
    write_deltalake(tmp_path / "users", pa.table({"user": range(5), "age": [20] * 5}))
    DeltaTable(tmp_path / "users").update(updates={"age": "30"})
    write_deltalake(tmp_path / "items", pa.table({"item": ["i1", "gone"], "title": ["One", "Gone"]}))
    DeltaTable(tmp_path / "items").delete("item = 'gone'")

    def ages(snapshot):
        users = UsersFile(path=str(tmp_path / "users"), age="age", snapshot=snapshot)
        items = ItemsFile(path=str(tmp_path / "items"), title="title")
        config = SourceConfig(kind="table", path=str(tmp_path / "log"), users=users, items=items)
        found = look(config)
        assert found.listing("item")["title"].to_pylist() == ["One"]
        return set(found.listing("user")["age"].to_pylist())

    assert (ages(""), ages("0"), ages("1")) == ({30}, {20}, {30})


def test_time_travel_goes_by_what_commits_say_of_their_time(tmp_path):
    path = tmp_path / "events"
    for day, n in ((1, 3), (2, 5), (3, 8)):
        write_deltalake(path, events(range(n)), mode="overwrite")
        log = path / "_delta_log" / f"{day - 1:020}.json"
        actions = [json.loads(line) for line in log.read_text().splitlines()]
        for action in actions:
            if "commitInfo" in action:
                action["commitInfo"]["timestamp"] = int(datetime(2025, 5, day, 12, tzinfo=UTC).timestamp() * 1000)
        log.write_text("\n".join(map(json.dumps, actions)))
    copy = Path(shutil.copytree(path, tmp_path / "copied today"))
    count = {s: len(read(copy, "user", snapshot=s)["user"]) for s in ("2025-05-02", "2025-05-02T14:00+02:00", "2")}
    assert count == {"2025-05-02": 3, "2025-05-02T14:00+02:00": 5, "2": 8}
    with pytest.raises(UserError, match=r"versions 0 to 2, the first of 2025-05-01T12:00.*none of 2025-05-01; choose"):
        read(copy, "user", snapshot="2025-05-01")
    with pytest.raises(UserError, match=r"no version 7; .* versions 0 to 2, set source.snapshot to one of them"):
        read(copy, "user", snapshot="7")
    for key in ("source.users", "source.items"):
        with pytest.raises(UserError, match=rf"^{key}.path: {key}.snapshot is 'yesterday'; give the number"):
            read(copy, snapshot="yesterday", key=f"{key}.path")
    with pytest.raises(UserError, match=r"source.snapshot is 'yesterday'; give the number of a version or a time"):
        read(copy, "user", snapshot="yesterday")


def test_files_of_a_version_that_vacuum_took_are_told(tmp_path):
    write_deltalake(tmp_path, events(range(5)))
    write_deltalake(tmp_path, events(range(9)), mode="overwrite")
    DeltaTable(tmp_path).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert len(read(tmp_path, "user")["user"]) == 9
    with pytest.raises(UserError, match=r"1 of the 1 files of version 0 of .* are gone, such as part.*VACUUM"):
        read(tmp_path, "user", snapshot="0")


def test_partition_values_come_from_the_log_in_the_types_of_the_table(tmp_path):
    table = events(range(3)).append_column("shop", pa.array(["a b%/=x", None, "ü"]))
    write_deltalake(tmp_path, table, partition_by=["day", "shop"])
    found = read(tmp_path, "day", "shop", "user")
    assert set(found["day"]) == {date(2025, 3, 1)}
    assert sorted(zip(found["user"], found["shop"], strict=True)) == [(0, "a b%/=x"), (1, None), (2, "ü")]


def test_columns_that_came_later_are_missing_in_older_files(tmp_path):
    write_deltalake(tmp_path, events(range(2)).drop_columns("rating"))
    write_deltalake(tmp_path, events(range(2, 4)), mode="append", schema_mode="merge")
    assert Counter(read(tmp_path, "rating")["rating"]) == {None: 2, 2.0: 1, 3.0: 1}


PLAIN = pa.table({"user": pa.array([1, 2, 3, 4], pa.int32()), "item": list("abcd")})


def test_rows_that_deletion_vectors_delete_stay_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.sources.table_files.BATCH_ROWS", 2)
    said = {"deletionVector": deletion_vector([1, 2])}
    columns = [column("user", "integer"), column("item", "string")]
    write_log(tmp_path / "t", PLAIN, columns, ("deletionVectors",), **said)
    assert read(tmp_path / "t", "user", "item") == {"user": [1, 4], "item": ["a", "d"]}


@pytest.mark.parametrize("mode", ["name", "id"])
def test_renamed_columns_are_found_under_their_physical_names(tmp_path, mode):
    table = pa.table(PLAIN.columns, names=["col-1", "col-2"])
    if mode == "id":  # the file may call them anything
        fields = [
            f.with_name(f"x{n}").with_metadata({"PARQUET:field_id": str(n)}) for n, f in enumerate(table.schema, 1)
        ]
        table = pa.table(table.columns, schema=pa.schema(fields))
    columns = [
        column("user", "integer", physicalName="col-1", id=1),
        column("item", "string", physicalName="col-2", id=2),
        column("day", "date", physicalName="col-3", id=3),
    ]
    write_log(
        tmp_path / "t",
        table,
        columns,
        partition={"col-3": "2025-03-01"},
        configuration={"delta.columnMapping.mode": mode, "delta.columnMapping.maxColumnId": "3"},
    )
    found = read(tmp_path / "t", "user", "item", "day")
    assert found == {"user": [1, 2, 3, 4], "item": list("abcd"), "day": [date(2025, 3, 1)] * 4}


def test_widened_columns_have_the_type_of_the_table(tmp_path):
    columns = [column("user", "long"), column("item", "string")]
    write_log(tmp_path / "t", PLAIN, columns, ("typeWidening",))
    (file,) = table_files(tmp_path / "t", "source.path", "")
    assert read_whole(file, ["user"]).columns["user"].type == pa.int64()


@pytest.mark.parametrize("feature", ["variantType", "catalogManaged"])
def test_what_is_not_understood_is_refused_by_name(tmp_path, feature):
    write_log(tmp_path / "t", PLAIN, [column("user", "integer"), column("item", "string")], (feature,))
    with pytest.raises(UserError, match=f"(?i){feature[:7]}") as told:
        read(tmp_path / "t", "user")
    assert str(told.value).count("\n") == 0


def test_a_log_without_its_beginning_is_refused(tmp_path):
    write_log(tmp_path / "t", PLAIN, [column("user", "integer"), column("item", "string")])
    log = tmp_path / "t" / "_delta_log" / f"{0:020}.json"
    log.write_text("\n".join(line for line in log.read_text().splitlines() if "metaData" not in line))
    with pytest.raises(UserError, match=r"has a _delta_log that deltalake cannot read \(.*metadata.*\); repair"):
        read(tmp_path / "t", "user")


@pytest.mark.parametrize("name", ["a b", "$x", "a%2Fb", "a%20b", "#1?x=2&y", "ü"])
def test_a_table_may_lie_anywhere(tmp_path, name):
    path = tmp_path / name / "t"
    columns = [column("user", "integer"), column("item", "string")]
    write_log(path, PLAIN, columns, ("deletionVectors",), deletionVector=deletion_vector([0]))
    assert read(path, "user")["user"] == [2, 3, 4]


@pytest.mark.parametrize("prefix", ["", "ab"])
@pytest.mark.parametrize("name", ["t", "a%2Fb", "a%20b"])
def test_deletion_vectors_may_lie_in_files_anywhere(tmp_path, name, prefix):
    path = tmp_path / name
    said = {"deletionVector": deletion_vector_file(path, [0, 3], prefix)}
    write_log(path, PLAIN, [column("user", "integer"), column("item", "string")], ("deletionVectors",), **said)
    before = sorted(path.rglob("*"))
    assert read(path, "user")["user"] == [2, 3]
    assert sorted(path.rglob("*")) == before


def test_a_part_of_a_table_is_no_log(tmp_path, look):
    path = tmp_path / "lake" / "events"
    write_deltalake(path, events(range(5)), partition_by=["day"])
    part = next(path.glob("day=*"))
    for inside in (part, next(part.glob("*.parquet"))):
        with pytest.raises(UserError, match=rf"is a part of the Delta table {path}, .*; give that folder itself"):
            look(SourceConfig(kind="table", path=str(inside)))
    with pytest.raises(UserError, match=rf"{path.parent} has in it the Delta table {path}, .*; give that folder"):
        look(SourceConfig(kind="table", path=str(path.parent)))


def test_hudi_is_refused_by_name_and_files_have_no_snapshots(tmp_path, look):
    (tmp_path / "hudi" / ".hoodie").mkdir(parents=True)
    pq.write_table(events(range(5)), tmp_path / "hudi" / "a.parquet")
    with pytest.raises(UserError, match=r"is a Hudi table, which cannot be read: .*; write its newest snapshot as"):
        look(SourceConfig(kind="table", path=str(tmp_path / "hudi")))
    with pytest.raises(UserError, match=r"is a part of the Hudi table"):
        look(SourceConfig(kind="table", path=str(tmp_path / "hudi" / "a.parquet")))
    pq.write_table(events(range(5)), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"is no Delta or Iceberg table, and has no snapshots; leave snapshot empty"):
        look(SourceConfig(kind="table", path=str(tmp_path / "a.parquet"), snapshot="3"))
