"""Users and items: every declared column can be mapped, and every value is checked."""

from dataclasses import fields, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.datasets import ITEMS, USERS
from expectations.errors import UserError
from tasks.sources.catalogue import known_by
from tasks.sources.config import ItemsFile, SourceConfig, TextFile, UsersFile

LOG = "user,item,time\nann,m1,2020-05-01\nbob,m2,2020-05-02\n"


@pytest.fixture
def listed(tmp_path, table_source, look):
    """Catalogue of the log with a users or items file, by outside id."""

    def read(kind: str, content: str | dict, mapping: UsersFile | ItemsFile, day: str = "2020-05-02") -> dict:
        config: SourceConfig = table_source(LOG)
        name = f"{kind}.csv" if isinstance(content, str) else f"{kind}.parquet"
        path = tmp_path / "source" / name
        if isinstance(content, str):
            path.write_text(content)
        else:
            pq.write_table(pa.table(content), path)
        listing: dict[str, Any] = {kind: replace(mapping, path=name)}
        scan = look(replace(config, **listing))
        tables = known_by(scan, day).tables
        outside = scan.ids(kind[:-1]).external
        return {outside[row[f"{kind[:-1]}_id"]].as_py(): row for row in tables[kind].to_pylist()}

    return read


@pytest.mark.parametrize(("mapping", "dataset"), [(UsersFile, USERS), (ItemsFile, ITEMS)])
def test_every_declared_column_can_be_mapped(mapping, dataset):
    own = {"path", "snapshot", "table", "query", "id", "separator", "date_format", *(f.name for f in fields(TextFile))}
    assert {f.name for f in fields(mapping)} - own == set(dataset.schema.names) - set(dataset.key)


def test_users_of_a_csv(listed):
    text = "id,a,g,r,s\nbob, 41 ,m,EU,2020-04-30\nann,,F,,2020-05-02T10:00:00Z\nzoe,7,other,US,\n"
    users = listed("users", text, UsersFile(id="id", age="a", gender="g", region="r", signup_date="s"))
    assert {u["user_id"] for u in users.values()} == {0, 1, 2}
    assert (users["bob"]["age"], users["bob"]["gender"], users["bob"]["region"]) == (41, "male", "EU")
    assert (users["ann"]["age"], users["ann"]["gender"], users["ann"]["region"]) == (None, "female", None)
    assert users["zoe"]["gender"] == "other"
    assert users["bob"]["signup_date"] == date(2020, 4, 30)
    assert users["ann"]["signup_date"] == date(2020, 5, 1), "watched before signing up: the first event stands in"


def test_users_sign_up_when_they_sign_up(listed):
    users = listed("users", "user,s\nzoe,2020-05-02\nyan,2020-05-03\n", UsersFile(signup_date="s"))
    assert set(users) == {"ann", "bob", "zoe"}
    assert set(listed("users", "user,s\nzoe,2020-05-02\n", UsersFile(signup_date="s"), "2020-05-01")) == {"ann"}


def test_items_of_a_csv(listed):
    text = (
        "item,t,g,len,reg,up,until,series,season,vec\n"
        'm1,"A, b",Noir / Comedy,5400.5,EU/US,2019-01-01T12:00:00+02:00,2030-01-01,S-b,1,"[0.5, -1]"\n'
        "m2,C,,,,,,S-a,,1 2\n"
        "m3,D,Noir,60,,1577836800,,S-b,2,\n"
    )
    mapping = ItemsFile(
        separator="/", title="t", genres="g", duration_s="len", available_regions="reg",
        available_until="until", series_id="series", season="season", embedding="vec",
    )  # fmt: skip
    items = listed("items", text, mapping)
    first = items["m1"]
    assert (first["title"], first["genres"], first["duration_s"]) == ("A, b", ["Noir", "Comedy"], 5400.5)
    assert (first["available_regions"], first["season"], first["embedding"]) == (["EU", "US"], 1, [0.5, -1.0])
    assert first["available_until"] == datetime(2030, 1, 1, tzinfo=UTC)
    assert items["m2"]["genres"] is None and items["m2"]["embedding"] == [1.0, 2.0]
    assert items["m3"]["embedding"] is None
    assert [items[m]["series_id"] for m in ("m1", "m2", "m3")] == [1, 0, 1]


def test_items_of_parquet_keep_their_types(listed):
    vectors = np.arange(6, dtype=np.float64).reshape(2, 3)
    content = {
        "item": ["m1", "m2"],
        "genres": [["Noir"], None],
        "up": pa.array([datetime(2020, 5, 1, 12), None], pa.timestamp("ns")),
        "vec": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 3),
        "who": pa.array([70, 7], pa.int64()),
    }
    items = listed("items", content, ItemsFile(genres="genres", uploaded_at="up", embedding="vec", creator_id="who"))
    assert items["m1"]["uploaded_at"] == datetime(2020, 5, 1, tzinfo=UTC), "watched at midnight, so it was there"
    assert items["m1"]["genres"] == ["Noir"] and items["m2"]["genres"] is None
    assert items["m2"]["embedding"] == [3, 4, 5]
    assert [items[m]["creator_id"] for m in ("m1", "m2")] == [70, 7]


def test_what_is_not_listed_has_only_its_id(listed):
    users = listed("users", "user,age\nann,30\n", UsersFile(age="age"))
    assert users["bob"] == {**dict.fromkeys(USERS.schema.names), "user_id": 1}
    assert users["ann"]["age"] == 30


BAD = {
    "age": (
        "users",
        "user,age\nann,old\nbob,young\n",
        {"age": "age"},
        ["line 2, column 'age': 'old' is no whole number"],
    ),
    "half an age": ("users", "user,age\nann,3.5\n", {"age": "age"}, ["'3.5' is no whole number"]),
    "date": ("users", "user,s\nann,2020-13-01\n", {"signup_date": "s"}, ["line 2, column 's'", "is no date"]),
    "no id": ("users", "user,age\nann,3\n,4\n", {"age": "age"}, ["line 3, column 'user': no id"]),
    "two rows": ("users", "user,age\nann,3\nbob,4\nann,5\n", {"age": "age"}, ["2 rows have the id 'ann' and differ"]),
    "no rows": ("users", "user,age\n", {"age": "age"}, ["users.csv: there are no rows"]),
    "column": ("users", "user,Age\nann,3\n", {"age": "age"}, ["no column 'age'", "Did you mean 'Age'?"]),
    "fields": ("users", "user,age\nann,3,4\n", {"age": "age"}, ["users.csv: too few or too many fields in line 2"]),
    "vector": ("items", "item,v\nm1,1 2\nm2,1 x\n", {"embedding": "v"}, ["line 3, column 'v'", "is no vector"]),
    "lengths": ("items", "item,v\nm1,1 2\nm2,1 2\nm3,1\n", {"embedding": "v"}, ["line 4", "has not 2 numbers"]),
    "NaN": ("items", "item,v\nm1,1 2\nm2,1 nan\n", {"embedding": "v"}, ["line 3", "no finite number"]),
}


@pytest.mark.parametrize("name", BAD)
def test_values_that_do_not_fit(name, listed):
    kind, text, columns, words = BAD[name]
    mapping: Any = UsersFile if kind == "users" else ItemsFile
    with pytest.raises(UserError) as caught:
        listed(kind, text, mapping(**columns))
    assert f"{kind}.csv" in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_rows_repeated_word_for_word_count_once(listed):
    assert len(listed("users", "user,age\nann,3\nbob,4\nann,3\n", UsersFile(age="age"))) == 2


def test_listings_in_the_folder_of_the_log_are_no_log(tmp_path: Path, look):
    (tmp_path / "log.csv").write_text(LOG)
    (tmp_path / "people.csv").write_text("user,age\nann,3\n")
    config = SourceConfig(kind="table", path=str(tmp_path), users=UsersFile(path="people.csv", age="age"))
    assert sum(look(config).rows.values()) == 2


def test_groups_of_ages_count_as_their_youngest_age_and_are_told(tmp_path, table_source, look):
    ages = {"25-34": 25, " 35 – 44 ": 35, "45 to 54": 45, "65+": 65, ">=70": 70, "80 or older": 80, "<18": 17,
            "Under 18": 17, "0-17": 17, "1-17": 17, "25": 25, "": None, "N/A": None, "-1": None}  # fmt: skip
    config = table_source(LOG)
    lines = ["user,age", *(f"u{n},{age}" for n, age in enumerate(ages))]
    (tmp_path / "source" / "users.csv").write_text("\n".join(lines))
    found = look(replace(config, strict=False, users=UsersFile(path="users.csv", age="age")))
    users = known_by(found, "2020-05-02").tables["users"].to_pylist()
    outside = found.ids("user").external
    by_id = {outside[row["user_id"]].as_py(): row["age"] for row in users}
    assert [by_id[f"u{n}"] for n in range(len(ages))] == list(ages.values())
    told = "10 of 14 values of 'age' are groups of ages and count as the youngest age in them: '25-34'"
    assert any(told in note for note in found.notes)


def test_what_stands_for_unknown_is_unknown_and_told(tmp_path, table_source, look):
    ages = ["34", "-1", "0", "239", "N/A", "NULL", "old", "18"]
    rows = "".join(f"u{n},{age},{g},NA\n" for n, (age, g) in enumerate(zip(ages, "mfnMF-mf", strict=True)))
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "users.csv").write_text("user,age,sex,region\n" + rows)
    mapping = UsersFile(path="users.csv", age="age", gender="sex", region="region")
    found = look(replace(table_source(LOG), users=mapping))
    users = found.listing("user").to_pylist()
    assert [u["age"] for u in users] == [34, None, None, None, None, None, None, 18]
    assert [u["gender"] for u in users] == ["male", "female", None, "male", "female", None, "male", "female"]
    assert {u["region"] for u in users} == {"NA"}, "Namibia"
    told = " ".join(found.notes)
    assert "values of 'age' count as unknown: 'N/A', 'old', '-1', '0'" in told
    assert "2 of 8 values of 'sex' count as unknown" in told


@pytest.mark.parametrize(
    ("dates", "format_", "right"),
    [
        ([1995, 2001, 1937, 0], "", [date(1995, 1, 1), date(2001, 1, 1), None, None]),
        ([1995.0, 2001.0, None, None], "", [date(1995, 1, 1), date(2001, 1, 1), None, None]),
        ([19951103, 20010101, 19370101, 0], "", [date(1995, 11, 3), date(2001, 1, 1), None, None]),
        (["1995-11-03", "0000-00-00", "1900-01-01", "N/A"], "", [date(1995, 11, 3), None, None, None]),
        (["03/11/1995", "01/02/2001", "-", None], "%d/%m/%Y", [date(1995, 11, 3), date(2001, 2, 1), None, None]),
        ([0, 815356800, -1, 0], "", [None, date(1995, 11, 3), None, None]),
    ],
)
def test_dates_of_listings(dates, format_, right, listed):
    names = ["i1", "i2", "i3", "i4"]
    content = {"item": names, "up": pa.array(dates)}
    found = listed("items", content, ItemsFile(uploaded_at="up", date_format=format_))
    assert [found[n]["uploaded_at"] and found[n]["uploaded_at"].date() for n in names] == right


def test_rights_that_never_end(listed):
    ends = ["9999-12-31", "2030-01-01 00:00:00", "1970-01-01", "2999-12-31"]
    found = listed("items", {"item": ["1", "2", "3", "4"], "end": ends}, ItemsFile(available_until="end"))
    assert [found[n]["available_until"] for n in "1234"] == [None, datetime(2030, 1, 1, tzinfo=UTC), None, None]


def test_series_of_many_files_are_numbered_together(tmp_path, table_source, look):
    (tmp_path / "source" / "items").mkdir(parents=True)
    (tmp_path / "source" / "items" / "a.csv").write_text("item,s\nm1,lost\n")
    (tmp_path / "source" / "items" / "b.csv").write_text("item,s\nm2,fargo\nm3,lost\n")
    found = look(replace(table_source(LOG), items=ItemsFile(path="items", series_id="s")))
    assert found.listing("item")["series_id"].to_pylist() == [1, 0, 1]
