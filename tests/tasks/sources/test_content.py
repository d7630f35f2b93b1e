"""What changes a day is its content, and only its own."""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.sources import scan as scanning
from tasks.sources.catalogue import catalogue_digest
from tasks.sources.state import find_scan, watches_of


def changed_days(before, after) -> set[str]:
    return {d for d in {*before.days, *after.days} if before.days.get(d) != after.days.get(d)}


@pytest.mark.parametrize("shape", ["100k", "1m", "csv", "parquet"])
def test_a_late_day_changes_that_day_alone(shape, shapes, world, look, tmp_path):
    day = "2020-03-05"
    late = look(shapes[shape](world.without_day(day), tmp_path / "late"))
    assert late.rows[day] == 0
    assert changed_days(late, look(shapes[shape](world, tmp_path / "whole"))) == {day}


def test_a_corrected_event_changes_its_day_alone(shapes, world, look, tmp_path):
    config = shapes["100k"](world, tmp_path / "source")
    before = look(config)
    event = world.events[20]
    corrected = replace(
        world, events=(*world.events[:20], replace(event, rating=6 - event.rating + 0.0), *world.events[21:])
    )
    assert corrected.events[20].rating != event.rating
    shapes["100k"](corrected, tmp_path / "source")
    assert changed_days(before, look(config)) == {event.day}


def test_order_and_files_do_not_matter(shapes, world, look, tmp_path):
    events = list(world.events)
    random.Random(3).shuffle(events)
    before = look(shapes["parquet"](world, tmp_path / "a"))
    shuffled = look(shapes["parquet"](replace(world, events=tuple(events)), tmp_path / "b"))
    assert shuffled.days == before.days


def test_a_new_day_changes_nothing_that_was_known(shapes, world, look, tmp_path):
    """Without listings too: what is known on a day does not depend on what comes later."""
    config = shapes["hive"](world.without_day("2020-03-12"), tmp_path / "source")
    before = look(config)
    known = {day: catalogue_digest(before, day) for day in before.days}
    shapes["hive"](world, tmp_path / "source")
    after = look(config)
    assert changed_days(before, after) == {"2020-03-12"}
    assert {day: catalogue_digest(after, day) for day in before.days} == known


def test_only_changed_files_are_read_again(shapes, world, look, tmp_path, monkeypatch):
    parsed: list[str] = []
    parse = scanning.parse

    def counting(file, *others):
        parsed.append(file.name)
        return parse(file, *others)

    monkeypatch.setattr(scanning, "parse", counting)
    config = shapes["hive"](world.without_day("2020-03-08"), tmp_path / "source")
    look(config)
    assert len(parsed) == 10
    look(config)
    assert len(parsed) == 10, "nothing changed, nothing read"
    shapes["hive"](world, tmp_path / "source")
    look(config)
    assert parsed[10:] == ["day=2020-03-08/part-0.csv"]


def test_a_touched_file_has_the_same_days(shapes, world, look, tmp_path):
    config = shapes["20m"](world, tmp_path / "source")
    before = look(config)
    os.utime(tmp_path / "source" / "ratings.csv", (1, 1))
    after = look(config)
    assert after.folder != before.folder
    assert after.days == before.days


def test_scratch_may_be_deleted(shapes, world, look, tmp_path, home):
    config = shapes["csv"](world, tmp_path / "source")
    before = look(config)
    for path in sorted((home / "scratch").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert look(config).days == before.days


@pytest.mark.parametrize("text", ["", '{"days": {"2020-', "null", "[]", '{"days": 3}', "<html>"])
@pytest.mark.parametrize("name", ["scan.json", "part.json"])
def test_a_damaged_record_in_scratch_is_made_again(name, text, table_source, look, home, capsys):
    config = table_source("user,item,time\na,x,1500000000\nb,x,1500000000\na,y,1500090000\n")
    other = table_source("user,item,time\nc,z,1500000000\n", "other.csv")
    before, beside = look(config), look(other)
    rows = watches_of(before, before.first_day).table
    source = before.folder.parents[1]
    (damaged,) = source.glob({"scan.json": "states/*/scan.json", "part.json": "parts/*/part.json"}[name])
    damaged.write_text(text)
    if name == "scan.json":  # a stage that needs another source is not stopped by it
        day = beside.first_day
        assert find_scan(home, "watches", day, beside.days[day]).folder == beside.folder
    else:  # the parsed file is asked again only where the log is looked through again
        (before.folder / "scan.json").unlink()
    after = look(config)
    assert after.days == before.days and after.rows == before.rows
    assert watches_of(after, after.first_day).table.equals(rows)
    assert capsys.readouterr().err.count(f"{damaged} is damaged") == 1
    assert look(config).days == before.days and capsys.readouterr().err == ""


def test_leftovers_of_killed_runs_are_swept(shapes, world, look, tmp_path, home):
    config = shapes["csv"](world, tmp_path / "source")
    look(config)
    (parts,) = (home / "scratch" / "sources").glob("*/parts")
    dead, own = parts / ".999999999.1-abc", parts / f".{_alive()}-abc"
    dead.mkdir()
    own.mkdir()
    look(config)
    assert not dead.exists()
    assert own.exists(), "another run is at work in it"


def test_old_states_are_swept(shapes, world, look, tmp_path):
    config = shapes["csv"](world, tmp_path / "source")
    old = look(config).folder
    shapes["csv"](world.without_day("2020-03-05"), tmp_path / "source")
    look(config)
    assert old.exists(), "a night may still read it"
    os.utime(old, (1, 1))
    look(config)
    assert not old.exists()


def test_bars_decide_what_is_positive(shapes, world, look, tmp_path):
    config = shapes["100k"](world, tmp_path / "source")
    all_, some = look(config), look(replace(config, positive_min_rating=4))
    assert changed_days(all_, some), "a bar changes the content"
    for day in all_.days:
        assert all(watches_of(all_, day).table["positive"].to_pylist())
        rows = watches_of(some, day).table.to_pylist()
        assert [r["positive"] for r in rows] == [r["rating"] >= 4 for r in rows]


def test_completion_bar_and_derived_completion(table_source, look):
    rows = ["a,x,2020-01-01T10:00,30,100", "b,x,2020-01-01T11:00,150,100", "c,x,2020-01-01T12:00,,100"]
    config = table_source("\n".join(["user,item,time,seconds,length", *rows]))
    columns = replace(config.columns, watch_s="seconds", duration_s="length")
    rows = watches_of(
        look(replace(config, columns=columns, positive_min_completion=0.5)), "2020-01-01"
    ).table.to_pylist()
    assert [r["completion"] for r in rows] == [pytest.approx(0.3), 1.0, None]
    assert [r["positive"] for r in rows] == [False, True, False], "an unknown completion meets no bar"
    assert [r["watch_s"] for r in rows] == [30, 150, None]


def test_weights_come_through_and_missing_ones_are_1(table_source, look):
    config = table_source("user,item,time,w\na,x,2020-01-01T10:00,2.5\nb,x,2020-01-01T11:00,\n")
    rows = watches_of(look(replace(config, columns=replace(config.columns, weight="w"))), "2020-01-01").table
    assert rows["weight"].to_pylist() == [2.5, 1.0]


def test_repeated_rows_are_kept_once_and_counted(table_source, look):
    config = table_source(
        "user,item,time,stars\na,x,1500000000,3\na,x,1500000000,\na,x,1500000000,5\na,y,1500000000,1\n"
    )
    scan = look(replace(config, columns=replace(config.columns, rating="stars")))
    rows = watches_of(scan, scan.first_day).table.to_pylist()
    assert [(r["item_id"], r["rating"]) for r in rows] == [(0, 5), (1, 1)]
    assert scan.notes == ("2 rows repeat a user, item and time of another row; one of each was kept.",)


def test_watch_ids_are_unique_over_days_and_stable(shapes, world, look, tmp_path):
    scan = look(shapes["csv"](world, tmp_path / "source"))
    ids = [i for day in scan.days for i in watches_of(scan, day).table["watch_id"].to_pylist()]
    assert len(set(ids)) == len(ids) == len(world.events)
    without = look(shapes["csv"](world.without_day("2020-03-05"), tmp_path / "late"))
    assert watches_of(without, "2020-03-09").table.equals(watches_of(scan, "2020-03-09").table)


def test_where_the_source_lies_does_not_matter(shapes, world, look: Callable, tmp_path: Path):
    assert look(shapes["csv"](world, tmp_path / "a")).days == look(shapes["csv"](world, tmp_path / "b")).days


def _alive() -> str:
    from tasks.machine.processes import owner_tag

    return owner_tag()
