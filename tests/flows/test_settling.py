"""A home of earlier code is settled once: its records tell relatively, its commands work on what they worked on."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows import settling
from flows.settling import settle
from tasks.machine.home import facts_of, lake_of, registry_of


def write(path: Path, **values: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))
    return path


def run(home: Path, number: int, lake: str = "", registry: str = "", released: bool = True) -> Path:
    """A record as earlier code kept it."""
    id_ = f"2026010{number}T000000-aaaa"
    report = str(home / "reports/2026-01-01/fusion/report.html")
    release = {"version": 1, "report": report, "data_docs": str(home / "data-docs/index.html")} if released else {}
    return write(
        home / "runs" / id_ / "run.json", id=id_, lake=lake or str(home / "lake"), registry=registry, release=release
    )


def test_records_tell_of_what_is_within_relatively(tmp_path):
    home = tmp_path / "home"
    own, other = run(home, 1, registry=f"sqlite:///{home}/mlflow/mlflow.db"), run(home, 2, lake="/other/lake")
    backfill = write(home / "backfills/20260101T000000-aaaa/backfill.json", request={"lake": str(home / "lake")})
    settle(home)
    told = json.loads(own.read_text())
    assert told["lake"] == "lake" and told["registry"] == "sqlite:///mlflow/mlflow.db"
    assert told["release"]["report"] == "reports/2026-01-01/fusion/report.html"
    assert json.loads(backfill.read_text())["request"]["lake"] == "lake"
    assert json.loads(other.read_text())["lake"] == "/other/lake"


@pytest.mark.parametrize("place", ["where it was", "moved", "copied"])
def test_its_lake_is_its_own_wherever_it_is(tmp_path, place):
    was, home = tmp_path / "was", tmp_path / ("was" if place == "where it was" else "home")
    run(was, 1)
    service = write(was / "service" / "prefect.pid.json", name="prefect")
    if place != "where it was":
        shutil.copytree(was, home)
        if place == "moved":
            shutil.rmtree(was)
    settle(home)
    assert lake_of(home) == str(home / "lake") and registry_of(home) == ""
    kept = home / "service" / "prefect.pid.json"
    assert kept.exists() == (place == "where it was") and service.exists() == (place != "moved")


def test_it_goes_on_with_lake_and_registry_of_its_newest_released_night(tmp_path):
    run(tmp_path, 1, lake="s3://old/lake")
    run(tmp_path, 2, lake="s3://bucket/lake", registry="http://mlflow:5000")
    run(tmp_path, 3, lake="/failed/lake", registry="http://failed:5000", released=False)
    settle(tmp_path)
    assert lake_of(tmp_path) == "s3://bucket/lake" and registry_of(tmp_path) == "http://mlflow:5000"
    run(tmp_path, 4, lake="/later/lake")
    settle(tmp_path)
    assert lake_of(tmp_path) == "s3://bucket/lake", "that is asked once"


def test_what_earlier_code_kept_relatively_was_meant_from_the_current_folder(tmp_path, monkeypatch):
    (home := tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    run(home, 1, lake="mylake", registry="sqlite:///mine.db")
    settle(home)
    assert lake_of(home) == str(tmp_path / "mylake") and registry_of(home) == f"sqlite:///{tmp_path}/mine.db"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"release": []}', '{"release": {"report": 3}, "lake": 4}'])
def test_damaged_records_are_left_to_who_reads_them(tmp_path, text):
    path = run(tmp_path, 1)
    path.write_text(text)
    settle(tmp_path)
    assert facts_of(tmp_path) and lake_of(tmp_path) == str(tmp_path / "lake")
    assert path.read_text() == text or json.loads(path.read_text()) == json.loads(text)


def test_of_first_commands_at_the_same_moment_all_get_one_id(tmp_path):
    run(tmp_path, 1)

    def settled(_: int) -> str:
        settle(tmp_path)
        facts = facts_of(tmp_path)
        return facts.id if facts else ""

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(settled, range(16)))
    assert len(ids) == 1 and "" not in ids


def test_a_copy_is_another_home_with_the_same_choices(tmp_path):
    home, copy = tmp_path / "home", tmp_path / "copy"
    run(home, 1, lake="s3://bucket/lake")
    settle(home)
    shutil.copytree(home, copy)
    settle(copy)
    first, second = facts_of(home), facts_of(copy)
    assert first and second and first.id != second.id and lake_of(copy) == "s3://bucket/lake"
    settle(copy)
    assert facts_of(copy) == second and facts_of(home) == first


def test_a_disk_that_is_mounted_anew_makes_no_copy(tmp_path, monkeypatch):
    """The file system's numbers are others then, and the path is the same."""
    settle(tmp_path)
    facts = facts_of(tmp_path)
    monkeypatch.setattr(settling, "mark_of", lambda home: "another-1")
    settle(tmp_path)
    now = facts_of(tmp_path)
    assert facts and now and (now.id, now.mark) == (facts.id, "another-1")
