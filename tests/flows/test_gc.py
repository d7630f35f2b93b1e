"""`nightjar gc`: what work in flight needs stays, and what goes was found twice to be needed by nothing."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows import housekeeping
from flows.cli.gc import gc
from flows.home import prepare
from flows.housekeeping import Garbage, garbage, marked
from flows.night.records import RunRecord
from tasks.engine.lake import Lake, Ref
from tasks.engine.leases import hold
from tasks.machine.processes import owner_tag
from tasks.releases.pulling import _side
from tests.lakes import publish

DAY = "2026-03-01"
ITEMS, INDEX, STRAY = (Ref(d, DAY, k * 32) for d, k in (("items", "a"), ("index", "b"), ("users", "c")))
OLD = "20200101T000000-0000"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def names(found: list[Garbage]) -> set[str]:
    return {one.name for one in found}


def record(home: Path, lake: Lake, **changes: object) -> RunRecord:
    made = RunRecord(id=OLD, config="", overrides=[], lake=lake.url, date=DAY, owner=owner_tag())
    made = replace(made, **changes)  # type: ignore[arg-type]
    made.save(home)
    return made


def test_what_a_run_has_planned_is_kept_with_all_that_it_is_made_from(lake: Lake, home: Path) -> None:
    publish(lake, ITEMS)
    publish(lake, INDEX, [ITEMS])
    publish(lake, STRAY)
    assert names(garbage(home, lake, 0)) == {ITEMS.folder, INDEX.folder, STRAY.folder}
    lease = hold(lake, OLD, home, [INDEX])
    assert names(garbage(home, lake, 0)) == {STRAY.folder}
    lease.end()
    assert names(garbage(home, lake, 0)) == {STRAY.folder}, "its record may be damaged"
    record(home, lake, state="succeeded")
    record(home, lake, id="20200102T000000-0000", state="succeeded")
    assert names(garbage(home, lake, 0)) == {ITEMS.folder, INDEX.folder, STRAY.folder, f"run {OLD}"}
    assert names(garbage(home.parent / "another", lake, 0)) == {STRAY.folder}


@pytest.mark.parametrize("state", ["running", "interrupted", "failed"])
def test_the_artifacts_of_a_run_that_did_not_come_far_are_kept_as_long_as_its_record(
    state: str, lake: Lake, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is begun again sooner or later, and what it has made needs no making then."""
    publish(lake, ITEMS)
    record(home, lake, state=state, planned=[ITEMS.folder, INDEX.folder])
    record(home, lake, id="20200102T000000-0000", state="succeeded")
    monkeypatch.setattr(housekeeping, "began", lambda run_id: 0.0 if run_id != OLD else float("inf"))
    assert ITEMS.folder not in names(garbage(home, lake, 14))
    monkeypatch.setattr(housekeeping, "began", lambda run_id: 0.0)
    found = names(garbage(home, lake, 14))
    assert ITEMS.folder in found
    assert (f"run {OLD}" in found) == (state != "running"), "the record of what runs stays"


def test_what_is_found_to_be_needed_in_between_is_not_deleted(lake: Lake, home: Path) -> None:
    publish(lake, ITEMS)
    (one,) = garbage(home, lake, 0)
    lease = hold(lake, "begun meanwhile", home, [ITEMS])
    assert not one.remove() and lake.stands(ITEMS)
    lease.end(keep_s=0)
    assert one.remove() and not lake.stands(ITEMS)


def test_marks_tell_since_when_and_forget_what_is_needed_again(
    lake: Lake, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(lake, ITEMS)
    clock = iter([100.0, 200.0, 300.0, 400.0])
    found = garbage(home, lake, 0)
    monkeypatch.setattr(housekeeping.time, "time", lambda: next(clock))
    assert marked(lake, found) == {ITEMS.folder: 100.0}
    assert marked(lake, found) == {ITEMS.folder: 100.0}
    assert marked(lake, []) == {}
    assert marked(lake, found)[ITEMS.folder] > 100.0


def test_an_upload_that_was_interrupted_is_found_and_one_under_way_is_not(
    s3_url: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    lake = Lake(s3_url.replace("/night", f"/{tmp_path.name}"), tmp_path / "scratch")
    publish(lake, ITEMS)
    store, root = lake._store
    for ref in (INDEX, STRAY):
        store.create_dir(f"{root}/{ref.folder}", recursive=True)
        with store.open_output_stream(f"{root}/{ref.folder}/part-00000.parquet") as stream:
            stream.write(b"half")
    assert lake.unfinished() == sorted([INDEX, STRAY], key=lambda ref: ref.folder)
    hold(lake, "run", home, [ITEMS, INDEX])
    (left,) = garbage(home, lake, 0)
    assert left.name == f"unfinished {STRAY.folder}" and left.remove()
    assert lake.unfinished() == [INDEX]


def test_a_copy_that_is_being_pulled_is_none_of_the_old_ones(
    lake: Lake, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = home / "releases"
    (copies / "1").mkdir(parents=True)
    now = time.time() + 5
    monkeypatch.setattr(housekeeping.time, "time", lambda: now)
    with _side(copies / "2"):
        assert names(garbage(home, lake, 0)) == {"copy of release 1"}
    killed = copies / ".3.pulling"
    killed.mkdir()
    assert names(garbage(home, lake, 0)) == {"copy of release 1", "copy of release .3.pulling"}


def test_the_command_deletes_what_an_earlier_look_has_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("NIGHTJAR_HOME", str(home))
    prepare(home)
    lake = Lake(str(home / "lake"), home / "scratch" / "lake")
    publish(lake, ITEMS)

    def said(*words: str) -> str:
        return CliRunner().invoke(gc, words, catch_exceptions=False).output

    first = said("--keep-days", "0", "--delete")
    assert "(marked)" in first and "1 artifacts, 0.0 MiB marked; --delete removes them in 24 hours" in first
    assert lake.stands(ITEMS)
    marks = lake.record(housekeeping.MARKS, dict, "")
    assert marks is not None
    lake.write_record(housekeeping.MARKS, {"since": {n: t - 25 * 3600 for n, t in marks["since"].items()}})
    assert "would be deleted with --delete" in said("--keep-days", "0") and lake.stands(ITEMS)
    assert "1 artifacts, 0.0 MiB deleted" in said("--keep-days", "0", "--delete")
    assert not lake.stands(ITEMS)
    publish(lake, INDEX)
    assert "1 artifacts, 0.0 MiB deleted" in said("--delete", "--grace-hours", "0", "--keep-days", "0")
