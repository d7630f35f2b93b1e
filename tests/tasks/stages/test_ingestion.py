"""Real data through the lake: keys follow content, a late day runs alone, where the source lies does not matter."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from expectations.errors import Failure, UserError
from tasks.sources.config import EventColumns, SourceConfig, UsersFile
from tasks.stages.ingestion import catalogue, catalogue_step, events, events_step, scan

TODAY = "2026-01-01"
DAYS = ("2020-05-01", "2020-05-02", "2020-05-03", "2020-05-04")


def write(folder: Path, days: tuple[str, ...], rating: int = 4) -> SourceConfig:
    """One file a day with the same four users and three items; `rating` is that of one event of the second day."""
    folder.mkdir(exist_ok=True)
    (folder / "users.csv").write_text("user,age\n" + "".join(f"u{n},{20 + n}\n" for n in range(4)))
    for day in days:
        stars = rating if day == DAYS[1] else 4
        rows = [f"u{n},i{n % 3},{day}T{10 + n}:00:00,{stars if n == 2 else 3 + n % 3}" for n in range(4)]
        (folder / f"{day}.csv").write_text("\n".join(["user,item,time,stars", *rows]))
    return SourceConfig(
        kind="table",
        path=str(folder),
        columns=EventColumns(rating="stars"),
        users=UsersFile(path="users.csv", age="age"),
        positive_min_rating=4,
    )


@pytest.fixture
def ingest(night):
    """Bring a source into the lake; returns its steps and which of them ran."""

    def run(config: SourceConfig):
        log = scan(config, night.home, TODAY)
        known = catalogue_step(log, [log.last_full_day])
        watched = events_step(log, list(log.days), {"user_id": known.made.users, "item_id": known.made.items})
        outcomes = [night.execute(step) for step in (known, watched)]
        return known, watched, outcomes

    return run


def test_a_source_arrives_whole(ingest, night, tmp_path):
    known, watched, outcomes = ingest(write(tmp_path / "source", DAYS))
    assert [o.rows for o in outcomes] == [4 + 3 + 7, 16]
    outside = {
        (r["kind"], r["id"]): r["external_id"] for r in night.artifact(known.made.id_map.ref).table().to_pylist()
    }
    rows = [r for ref in watched.refs("watches") for r in night.artifact(ref).table().to_pylist()]
    assert {(outside["user", r["user_id"]], outside["item", r["item_id"]]) for r in rows} == {
        (f"u{n}", f"i{n % 3}") for n in range(4)
    }
    assert all(r["positive"] == (r["rating"] >= 4) for r in rows)
    assert {r["watch_s"] for r in rows} == {None}
    named = {name for name, _ in night.artifact(known.made.users.ref).notes["substitutes"]}
    assert {"no_impressions", "no_items"} <= named


def test_the_same_again_is_cached_from_anywhere(ingest, tmp_path):
    ingest(write(tmp_path / "source", DAYS))
    shutil.copytree(tmp_path / "source", tmp_path / "elsewhere")
    again = ingest(write(tmp_path / "elsewhere", DAYS))
    assert [o.state for o in again[2]] == ["cached", "cached"]


@pytest.mark.parametrize("change", ["late", "corrected"])
def test_a_late_or_corrected_day_runs_alone(change, ingest, tmp_path):
    first = [d for d in DAYS if d != DAYS[1]] if change == "late" else DAYS
    _, before, _ = ingest(write(tmp_path / "source", tuple(first)))
    _, after, outcomes = ingest(write(tmp_path / "source", DAYS, rating=4 if change == "late" else 1))
    assert [o.ran for o in outcomes] == [0, 1]
    keys = [{ref.date: ref.key for ref in step.refs("watches")} for step in (before, after)]
    assert {d for d in DAYS if keys[0][d] != keys[1][d]} == {DAYS[1]}


def test_a_changed_bar_runs_the_days_whose_content_it_changes(ingest, tmp_path):
    config = write(tmp_path / "source", DAYS)
    ingest(config)
    _, _, outcomes = ingest(replace(config, positive_min_rating=3.5))
    assert [o.ran for o in outcomes] == [0, 0], "no rating lies between the bars"
    _, _, outcomes = ingest(replace(config, positive_min_rating=5))
    assert [o.ran for o in outcomes] == [0, 4]


def test_days_that_the_log_does_not_have(night, tmp_path):
    log = scan(write(tmp_path / "source", DAYS), night.home, TODAY)
    with pytest.raises(UserError, match="2020-06-01: the log has the days 2020-05-01 to 2020-05-04"):
        events_step(log, ["2020-06-01"], {})


def test_scratch_deleted_between_plan_and_run(night, tmp_path):
    log = scan(write(tmp_path / "source", DAYS), night.home, TODAY)
    step = events_step(log, DAYS, {})
    shutil.rmtree(night.home / "scratch")
    with pytest.raises(Failure, match="the parsed source is gone"):
        night.execute(step)
    scan(write(tmp_path / "source", DAYS), night.home, TODAY)
    assert night.execute(step).ran == 4


def test_stages_are_named_as_those_of_made_data():
    assert (catalogue.name, events.name) == ("catalogue", "events")
    assert (catalogue.produces, events.produces) == (("users", "items", "id_map"), ("watches",))
