"""Bad sources end in one message that names the thing and the remedy; nothing is lost without being counted."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.errors import Failure, UserError
from tasks.sources import scan as scanning
from tasks.sources.config import EventColumns, SourceConfig, UsersFile

HEADER = "user,item,time\n"
GOOD = "a,x,2020-01-01\n"
FINE = {"user": [1], "item": [2], "time": [1_500_000_000]}


def refused(look, config, *words: str, today: str = "2026-01-01") -> str:
    with pytest.raises(UserError) as caught:
        look(config, today)
    for word in words:
        assert word in str(caught.value)
    return str(caught.value)


BAD_ROWS = {
    "impossible date": (HEADER, GOOD, "b,y,2020-02-30", "", ["impossible time", "line 3", "'2020-02-30'"]),
    "no date at all": (HEADER, GOOD, "b,y,hello", "", ["impossible time", "'hello'"]),
    "missing time": (HEADER, GOOD, "b,y,", "", ["impossible time", "line 3: time is missing"]),
    "missing user": (HEADER, GOOD, " ,y,2020-01-01", "", ["no user", "line 3"]),
    "missing item": (HEADER, GOOD, "b,NULL,2020-01-01", "", ["no item", "line 3: item is missing"]),
    "future": (HEADER, GOOD, "b,y,2026-01-02", "", ["in the future, after 2026-01-01", "'2026-01-02'"]),
    "zero time": (HEADER, "b,y,1500000000\n", "a,x,0", "", ["before 1980-01-01", "source.time_unit", "'0'"]),
    "NaN": ("user,item,time,r\n", "a,x,2020-01-01,5\n", "a,y,2020-01-01,NaN", "rating", ["is no number", "r 'NaN'"]),
    "infinite": ("user,item,time,r\n", "a,x,2020-01-01,5\n", "a,y,2020-01-01,inf", "rating", ["is no number", "'inf'"]),
    "words": ("user,item,time,r\n", "a,x,2020-01-01,5\n", "a,y,2020-01-01,good", "rating", ["is no number", "'good'"]),
    "weight 0": (
        "user,item,time,r\n",
        "a,x,2020-01-01,5\n",
        "a,y,2020-01-01,0",
        "weight",
        ["weight that is not above 0"],
    ),
    "negative": ("user,item,time,r\n", "a,x,2020-01-01,5\n", "a,y,2020-01-01,-1", "watch_s", ["not 0 or more", "'-1'"]),
    "percent": ("user,item,time,r\n", "a,x,2020-01-01,1\n", "a,y,2020-01-01,50", "completion", ["not 0 to 1", "'50'"]),
    "fields": (HEADER, GOOD, "a,b\na,b,c,d", "", ["2 rows with too few or too many fields", "line 3: 'a,b'"]),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_rows_that_cannot_be_used_stop_the_night_or_are_left_out(name, table_source, look):
    header, good, bad, column, words = BAD_ROWS[name]
    config = table_source(header + good + bad, columns=EventColumns(**({column: "r"} if column else {})))
    refused(look, config, *words, "log.csv", "source.strict=false")
    scan = look(replace(config, strict=False))
    (told,) = scan.notes
    assert told.startswith("Left out: log.csv: ")
    assert all(word in told for word in words)
    assert sum(scan.rows.values()) == 1


def test_a_wrong_unit_is_told(table_source, look):
    refused(look, table_source(HEADER + "a,x,1500000000\n", time_unit="ms"), "before 1980-01-01", "source.time_unit")


def test_line_numbers_count_what_was_left_out_before(table_source, look):
    rows = ["a,x,2020-01-01"] * 2 + ["too,few"] + ["a,y,2020-01-01"] + ["a,b,c,d"] + ["a,z,2020-13-01"]
    refused(look, table_source(HEADER + "\n".join(rows)), "line 7: time '2020-13-01'", "line 4: 'too,few'", "line 6")


def test_all_reasons_are_told_at_once_with_few_examples(table_source, look):
    text = HEADER + "".join(f"u{i},x,2020-02-31\n" for i in range(100)) + ",x,2020-01-01\n"
    told = refused(look, table_source(text), "101 rows", "100 rows with an impossible time", "1 row with no user")
    assert told.count("2020-02-31") == 3


def test_the_future_comes(table_source, look):
    config = table_source(f"{HEADER}{GOOD}b,y,2025-12-31T23:00\n", strict=False)
    before = look(config, "2025-12-30")
    assert before.last_day == "2020-01-01"
    assert "in the future" in before.notes[0]
    after = look(config, "2026-01-01")
    assert after.last_day == "2025-12-31"
    assert not [n for n in after.notes if "future" in n]


PLACES: dict[str, tuple[str, Literal["table", "movielens"], list[str]]] = {
    "not set": ("", "table", ["source.path is not set", "--set source.path=DIR"]),
    "missing": ("{}/nope", "table", ["nope does not exist"]),
    "empty folder": ("{}/empty", "table", ["no CSV, JSON or Parquet file in"]),
    "url": ("s3://bucket/log", "table", ["s3://bucket/log is a URL"]),
    "other format": ("{}/log.xlsx", "table", ["none of CSV (.csv", "log.xlsx"]),
    "mixed": ("{}/mixed", "table", ["has both CSV", "and Parquet"]),
    "no MovieLens": ("{}/empty", "movielens", ["no MovieLens folder", "u.data", "it is empty"]),
    "folder above": ("{}/above", "movielens", ["Did you mean", "ml-1m"]),
    "a file": ("{}/log.xlsx", "movielens", ["is a file; give the folder"]),
    "items missing": ("{}/above/ml-1m", "movielens", ["movies.dat is missing"]),
}


@pytest.mark.parametrize("name", PLACES)
def test_places_that_are_no_source(name, tmp_path, look):
    (tmp_path / "empty").mkdir()
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "a.csv").write_text(HEADER + GOOD)
    pq.write_table(pa.table(FINE), tmp_path / "mixed" / "a.parquet")
    (tmp_path / "above" / "ml-1m").mkdir(parents=True)
    (tmp_path / "above" / "ml-1m" / "ratings.dat").write_text("1::1::5::900000000\n")
    (tmp_path / "log.xlsx").write_bytes(bytes(range(32)) * 9)
    path, kind, words = PLACES[name]
    refused(look, SourceConfig(kind=kind, path=path.format(tmp_path)), *words)


FILES: dict[str, tuple[bytes, dict[str, Any], list[str]]] = {
    "no bytes": (b"", {}, ["log.csv has no usable event"]),
    "header only": (HEADER.encode(), {}, ["no usable event"]),
    "other case": (b"User,item,time\na,x,2020-01-01\n", {}, ["no column 'user'", "Did you mean 'User'?"]),
    "other delimiter": (
        b"user;item;time\na;b;2020-01-01\n", {"delimiter": ","}, ["no column 'user'", "source.delimiter"],
    ),
    "latin-1": (HEADER.encode() + b"\xe9,x,2020-01-01\n", {}, ["log.csv: not utf-8", "source.encoding"]),
    "no encoding": (HEADER.encode(), {"encoding": "klingon"}, ["source.encoding: 'klingon'"]),
    "bar without rating": (
        (HEADER + GOOD).encode(), {"positive_min_rating": 4}, ["source.positive_min_rating", "source.columns.rating"],
    ),
    "users not there": (
        (HEADER + GOOD).encode(), {"users": UsersFile(path="u.csv")}, ["source.users.path", "u.csv does not exist"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_files_that_cannot_be_read(name, table_source, look):
    content, settings, words = FILES[name]
    config = table_source("", **settings)
    Path(config.path).write_bytes(content)
    refused(look, config, *words)


def test_other_delimiters_and_encodings_can_be_read(table_source, look):
    config = table_source("", delimiter=";", encoding="latin-1")
    Path(config.path).write_bytes("user;item;time\né;x;2020-01-01\n".encode("latin-1"))
    assert look(config).ids("user").external.to_pylist() == ["é"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"user": pa.array([[1]])}, ["column 'user' has the type list", "text or whole numbers"]),
        ({"item": [1.5]}, ["column 'item' has fractions"]),
        ({"time": [True]}, ["column 'time' has the type bool"]),
        ({"user": [True]}, ["column 'user' has the type bool", "text or whole numbers"]),
        ({"r": [[1.0]]}, ["column 'r' has the type list", "numbers are needed"]),
        ({"r": ["good"]}, ["rating that is no number", "row 1: r 'good'"]),
        ({"r": [float("nan")]}, ["rating that is no number", "r 'nan'"]),
    ],
)
def test_columns_of_a_wrong_type(columns, words, parquet_source, look):
    mapping = EventColumns(rating="r" if "r" in columns else "")
    refused(look, replace(parquet_source({**FINE, **columns}), columns=mapping), "source.parquet", *words)


@pytest.mark.parametrize("damage", ["truncated", "pages", "something else"])
def test_unreadable_parquet(damage, parquet_source, look):
    rows = 2000
    config = parquet_source(
        {"user": np.arange(rows) * 7919 % rows, "item": np.arange(rows), "time": np.arange(rows) + 1_500_000_000}
    )
    path = Path(config.path)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "truncated": whole[: len(whole) // 2],
            "pages": whole[:40] + b"\xff" * 1500 + whole[1540:],
            "something else": b"hello",
        }[damage]
    )
    refused(look, config, "source.parquet: not readable as Parquet", "Write it again")


def system_change() -> str:
    usual = "".join(f"u{i % 5},i{i % 3},2020-01-0{d}T{i:02d}:00\n" for d in (1, 2, 3) for i in range(12))
    return HEADER + usual + "".join(f"{i % 5},{i % 3},2020-01-04T{i:02d}:00\n" for i in range(12))


def test_a_day_of_nothing_but_new_ids(table_source, look):
    config = table_source(system_change())
    refused(
        look, config, "2020-01-04: all users and items of its 12 events are new", "'0'", "'u0'", "source.strict=false"
    )
    kept = look(replace(config, strict=False))
    assert kept.rows["2020-01-04"] == 12
    assert kept.notes[0].startswith("2020-01-04: all users and items")


def test_new_users_alone_are_no_reason_to_stop(table_source, look):
    assert look(table_source(re.sub(r"^(\d),", r"\1,i", system_change(), flags=re.M))).notes == ()


def test_a_file_that_changes_while_it_is_read(table_source, look, monkeypatch):
    config = table_source(HEADER + GOOD)
    parse = scanning.parse

    def growing(file, *others):
        found = parse(file, *others)
        with file.path.open("a") as log:
            log.write("b,y,2020-01-02\n")
        return found

    monkeypatch.setattr(scanning, "parse", growing)
    with pytest.raises(Failure, match=r"log\.csv changed while it was read; run again"):
        look(config)
    monkeypatch.setattr(scanning, "parse", parse)
    assert look(config).last_day == "2020-01-02"


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("u.item", "5|Film|||x|1\n", ["u.item: row 1", "6 fields, not 9"]),
        ("u.item", "5|Film|31-Foo-1995||x|0|0|0|1\n", ["u.item: row 1"]),
        ("u.user", "1|old|F|x|1\n", ["u.user: row 1", "'old'"]),
        ("u.user", "1|20|F|x|1\n1|21|F|x|1\n", ["rows have the id '1' and differ"]),
    ],
)
def test_movielens_files_that_are_none(file, content, words, shapes, world, look, tmp_path):
    config = shapes["100k"](world, tmp_path / "source")
    (tmp_path / "source" / file).write_text(content)
    refused(look, config, *words)


def test_a_log_of_nothing_but_malformed_lines(table_source, look):
    refused(look, table_source(HEADER + "a,b\na,b,c,d\n"), "2 rows with too few or too many fields", "line 2: 'a,b'")


@pytest.mark.parametrize(
    ("rating", "words"),
    [
        (lambda n: 1 + n % 3, "ratings are 1 to 3, median 2 (1: 4, 2: 4, 3: 4 times)"),
        (lambda n: "", "no rating is known"),
        (lambda n: 5, ""),
    ],
)
def test_a_bar_that_nothing_reaches_names_itself_and_what_there_is(rating, words, table_source, look):
    rows = "".join(f"a,i{n},2020-01-01T{n:02d}:00,{rating(n)}\n" for n in range(12))
    config = table_source("user,item,time,r\n" + rows, columns=EventColumns(rating="r"), positive_min_rating=4)
    told = look(config).unreached
    assert words in told and bool(told) == bool(words)
    assert not words or "source.positive_min_rating=4: none of 12 events is a positive" in told
