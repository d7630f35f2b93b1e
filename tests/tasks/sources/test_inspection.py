"""What data are taken for that nobody has described, and that the settings written for them read them."""

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.errors import UserError
from flows.config import check_config
from tasks.sources.inspection import inspect
from tasks.sources.scan import scan

DAYS = 20
NUM_EVENTS = 600


def events(seed: int = 0) -> list[tuple[str, str, datetime, int]]:
    """User, item, time, stars."""
    random, start, step = Random(seed), datetime(2024, 3, 1, tzinfo=UTC), DAYS * 86_400 // NUM_EVENTS
    return [
        (
            f"u{random.randint(1, 30)}",
            f"i{random.randint(1, 60)}",
            start + timedelta(seconds=n * step),
            random.randint(1, 5),
        )
        for n in range(NUM_EVENTS)
    ]


def write(path: Path, rows: list[tuple], header: list[str] | None, delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerows([header, *rows] if header else rows)


def read(found, home: Path):
    """By the settings that were written, as a night reads them."""
    return scan(check_config({"source": found.source}, "test").source, home, "2026-01-01")


def plain(rows):
    return [(u, i, t.isoformat(), s) for u, i, t, s in rows]


@pytest.mark.parametrize(
    "names",
    [
        ["user", "item", "time", "rating"],
        ["userId", "movieId", "timestamp", "rating"],
        ["User-ID", "ISBN", "Date", "Book-Rating"],
        ["reviewerID", "asin", "unixReviewTime", "overall"],
        ["visitorid", "itemid", "event_time", "stars"],
    ],
)
def test_columns_are_found_by_their_names(tmp_path, names):
    write(tmp_path / "log.csv", plain(events()), names)
    found = inspect(str(tmp_path / "log.csv"))
    columns = {"user": "user", "item": "item", "time": "time"} | found.source.get("columns", {})
    assert [columns[kind] for kind in ("user", "item", "time", "rating")] == names
    assert found.source["positive_min_rating"] == 4 and not found.warnings
    assert sum(read(found, tmp_path / "home").rows.values()) == NUM_EVENTS


@pytest.mark.parametrize("written", ["iso", "s", "ms", "%m/%d/%Y %I:%M:%S %p", "parquet", "json"])
def test_what_is_found_reads_every_row(tmp_path, written):
    rows, path = events(), tmp_path / "log.csv"
    seconds = {"s": 1, "ms": 1000}
    if written == "parquet":
        path = tmp_path / "log.parquet"
        columns = dict(zip(("member", "video_id", "watched_at", "score"), zip(*rows, strict=True), strict=True))
        pq.write_table(pa.table({"user": columns.pop("member"), **columns}), path)
    elif written == "json":
        path = tmp_path / "log.jsonl"
        each = [{"user": {"id": u}, "item": i, "time": t.isoformat(), "rating": s} for u, i, t, s in rows]
        path.write_text("\n".join(map(json.dumps, each)))
    else:

        def said(time: datetime) -> object:
            if written in seconds:
                return int(time.timestamp()) * seconds[written]
            return time.isoformat() if written == "iso" else time.strftime(written)

        write(path, [(u, i, said(t), s) for u, i, t, s in rows], ["user", "item", "time", "rating"])
    given = {"user": "user.id"} if written == "json" else {}
    log = read(inspect(str(path), given), tmp_path / "home")
    assert sum(log.rows.values()) == NUM_EVENTS and len(log.days) == DAYS
    assert (log.num_users, log.num_items) == (30, 60)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 1, 0)])
def test_a_log_without_names_is_told_by_its_values_and_that_is_said(tmp_path, order):
    """A user comes before an item, as everybody writes them; a track is finer than its artist."""
    rows = [(u, f"artist {int(i[1:]) % 7}", i, str(int(t.timestamp()))) for u, i, t, _ in events()]
    write(tmp_path / "raw.tsv", [tuple(row[n] for n in order) for row in rows], None, "\t")
    found = inspect(str(tmp_path / "raw.tsv"))
    assert "has no names" in found.warnings[0]
    assert found.source["header"][order.index(3)] == "time"
    log = read(found, tmp_path / "home")
    assert sum(log.rows.values()) == NUM_EVENTS
    if order.index(0) < order.index(1):
        assert found.source["header"][order.index(0)] == "user" and found.source["header"][order.index(2)] == "item"


def test_log_users_and_items_of_a_folder_are_told_apart(tmp_path):
    rows = events()
    write(
        tmp_path / "set" / "a-films.csv",
        [(f"i{n}", f"Film {n}", "Drama") for n in range(1, 61)],
        ["id", "name", "genre"],
    )
    write(tmp_path / "set" / "plays.csv", plain(rows), ["customer", "product", "at", "stars"])
    write(tmp_path / "set" / "who.csv", [(f"u{n}", 20 + n, "DE") for n in range(1, 31)], ["id", "age", "country"])
    write(tmp_path / "set" / "prices.csv", [(f"x{n}", n) for n in range(9)], ["code", "price"])
    found = inspect(str(tmp_path / "set"))
    assert found.source["items"] == {"path": "a-films.csv", "id": "id", "title": "name", "genres": "genre"}
    assert found.source["users"] == {"path": "who.csv", "id": "id", "age": "age", "region": "country"}
    assert found.source["columns"] == {"user": "customer", "item": "product", "time": "at", "rating": "stars"}
    assert any(line.startswith("prices.csv: not used") for line in found.lines)
    log = read(found, tmp_path / "home")
    assert sum(log.rows.values()) == NUM_EVENTS
    assert log.listing("item").num_rows == 60 and log.listing("user").num_rows == 30


def test_a_folder_of_parts_is_one_log(tmp_path):
    rows = plain(events())
    for day in range(3):
        write(tmp_path / "log" / f"day={day}" / "part-0.csv", rows[day::3], ["user", "item", "time", "rating"])
    found = inspect(str(tmp_path / "log"))
    assert found.source["path"] == str(tmp_path / "log")
    assert sum(read(found, tmp_path / "home").rows.values()) == NUM_EVENTS


@pytest.mark.parametrize("seen", [1, 10, 100])
def test_the_bar_follows_from_the_scale(tmp_path, seen):
    rows = [(u, i, t.isoformat(), s * seen // 5 if seen > 1 else s // 3) for u, i, t, s in events()]
    write(tmp_path / "log.csv", rows, ["user", "item", "time", "rating"])
    assert inspect(str(tmp_path / "log.csv")).source["positive_min_rating"] == {1: 1, 10: 7, 100: 70}[seen]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["user", "item", "price"], "no column of log.csv looks like the time of an event"),
        (["a", "b", "c"], "the item and the time of an event"),
    ],
)
def test_what_is_missing_is_named_with_what_is_there(tmp_path, names, words):
    write(tmp_path / "log.csv", [("x", "y", n) for n in range(20)], names)
    with pytest.raises(UserError, match=words) as told:
        inspect(str(tmp_path / "log.csv"))
    assert "--time COLUMN" in str(told.value) and repr(names[2]) in str(told.value)


def test_times_that_may_be_two_things_are_times_and_the_night_asks_which(tmp_path):
    rows = [(u, i, t.strftime("%d/%m/%Y"), s) for u, i, t, s in events() if t.day <= 12]
    write(tmp_path / "log.csv", rows, ["user", "item", "time", "rating"])
    found = inspect(str(tmp_path / "log.csv"))
    with pytest.raises(UserError, match=r"source\.time_format"):
        read(found, tmp_path / "home")


def test_a_column_that_is_named_is_taken(tmp_path):
    write(
        tmp_path / "log.csv", [(*row, row[2]) for row in plain(events())], ["user", "item", "time", "rating", "stamp"]
    )
    found = inspect(str(tmp_path / "log.csv"), {"time": "stamp"})
    assert found.source["columns"]["time"] == "stamp"


def test_movielens_is_known(tmp_path):
    pd.DataFrame({"userId": [1], "movieId": [1], "rating": [4.0], "timestamp": [1]}).to_csv(tmp_path / "ratings.csv")
    pd.DataFrame({"movieId": [1], "title": ["A"], "genres": ["Drama"]}).to_csv(tmp_path / "movies.csv")
    assert inspect(str(tmp_path)).source["kind"] == "movielens"
