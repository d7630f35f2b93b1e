"""`nightjar index add` on a registry: a version of its own, once; and what it reads from people's files."""

import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.errors import UserError
from tasks.registry.registry import Registry
from tasks.releases.new_items import add_items, read_items
from tasks.releases.pulling import pull
from tests.tasks.released import make_release, register


def test_the_same_addition_gives_the_same_version(tmp_path):
    registry = Registry(tmp_path / "home")
    base = register(registry, make_release(tmp_path / "made"))
    (tmp_path / "new.csv").write_text("external_id,title\nnew-1,One\nnew-2,Two\n")
    table = read_items(tmp_path / "new.csv")
    made, done = add_items(registry, base, table, ["i3"], tmp_path / "scratch")
    again, _ = add_items(registry, base, table, ["i3"], tmp_path / "scratch")
    assert (made.number, again.number, done.num_items) == (2, 2, 151)
    assert registry.aliases()["candidate"] == 2 and made.tags["nightjar.base"] == "1"
    pull(registry, base, tmp_path / "at")
    moved = pull(registry, registry.find("2"), tmp_path / "at")
    assert moved.parts == ("all",) and moved.fetched < moved.total / 2, "what both have is fetched once"
    with pytest.raises(UserError, match="version 2 has no recommendations"):
        pull(registry, registry.find("2"), tmp_path / "lists", ["recommendations"])


def test_a_csv_has_lists_numbers_and_times(tmp_path):
    (tmp_path / "n.csv").write_text(
        "external_id,title,genres,duration_s,available_regions,uploaded_at\n"
        "a,A film,drama|crime,5400,,2026-01-11T10:00:00\n"
        "b,,comedy,,north,\n"
    )
    first, second = read_items(tmp_path / "n.csv").to_pylist()
    moment = datetime.datetime(2026, 1, 11, 10, tzinfo=datetime.UTC)
    assert first["genres"] == ["drama", "crime"] and first["duration_s"] == 5400 and first["available_regions"] is None
    assert first["uploaded_at"] == moment and second["uploaded_at"] is None and second["title"] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title\nA\n", "column 'external_id' is missing; external_id and any of: available_regions"),
        ("external_id,titel\na,A\n", "column 'titel' is not known"),
        ("external_id,item_id\na,1\n", "column 'item_id' is not known"),
        ("external_id,duration_s\na,long\n", "column 'duration_s' is no float"),
        ("external_id,title\n,A\n", "1 rows have no external_id"),
        ("external_id,title\n", "n.csv has no rows"),
        ("external_id,title,title\na,A,B\n", "column 'title' is there more than once"),
        ("external_id,duration_s\na,-5\n", "break 1 rules of the dataset items(.|\\n)*duration_s"),
        ("external_id,content_type\na,banana\n", "break 1 rules of the dataset items(.|\\n)*content_type"),
        ("external_id,maturity_rating\na,zz\n", "break 1 rules of the dataset items(.|\\n)*maturity_rating"),
        ("external_id,title\na,A,B\n", "cannot be read as .csv"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path, text, words):
    (tmp_path / "n.csv").write_text(text)
    with pytest.raises(UserError, match=words):
        read_items(tmp_path / "n.csv")


def test_no_such_file_and_no_parquet(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_items(tmp_path / "none.parquet")
    (tmp_path / "n.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(UserError, match="cannot be read"):
        read_items(tmp_path / "n.parquet")
    pq.write_table(pa.table({"external_id": ["a"], "genres": [["x"]]}), tmp_path / "fine.parquet")
    assert read_items(tmp_path / "fine.parquet").to_pylist() == [{"external_id": "a", "genres": ["x"]}]
