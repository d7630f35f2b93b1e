"""The registry as nights use it: an alias that follows the newest of them, also when several end at once."""

import multiprocessing
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from expectations.errors import Failure
from tasks.machine.processes import machine_name, owner_tag
from tasks.registry.registry import MACHINE_TAG, MODEL, PROCESS_TAG, Registry, make_tables
from tasks.registry.release_layout import MANIFEST_TAG
from tasks.registry.signing import SIGNATURE_TAG, Keys, is_signed
from tests.tasks.released import make_release

DATES = ["2026-03-01", "2026-03-02", "2026-03-03"]
TAGS = 10
"""Moments at which a tag is set at once; MLflow fails at about one of two."""


@pytest.fixture
def registry(tmp_path):
    found = Registry(tmp_path)
    found.client.create_registered_model(MODEL)
    return found


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return make_release(tmp_path_factory.mktemp("release") / "made")


def _release(registry, date):
    """A version of that night, whose files are nowhere, and the alias after it."""
    registry.client.create_model_version(MODEL, source=str(registry.home), tags={"nightjar.date": date})
    registry.follow("candidate")


def _release_at_once(home, date, barrier):
    registry = Registry(home)
    registry.versions()
    barrier.wait()
    _release(registry, date)


def _tag_at_once(home, text, barrier):
    registry = Registry(home)
    registry.versions()
    for number in range(TAGS):
        barrier.wait()
        registry.tag(1, f"tag{number}", text)


def _at_once(target, registry, texts):
    """Call it in as many processes as there are texts, and see all of them succeed."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(texts))
    nights = [context.Process(target=target, args=(registry.home, text, barrier)) for text in texts]
    for night in nights:
        night.start()
    for night in nights:
        night.join(120)
    assert [night.exitcode for night in nights] == [0] * len(texts)


def _day_of_candidate(registry):
    (version,) = [v for v in registry.versions() if "candidate" in v.aliases]
    return version.tags["nightjar.date"]


def test_an_alias_follows_the_newest_night_and_never_goes_back(registry):
    for date, expected in (("02", "02"), ("01", "02"), ("04", "04"), ("03", "04")):
        _release(registry, f"2026-03-{date}")
        assert _day_of_candidate(registry) == f"2026-03-{expected}"


def test_the_same_night_again_takes_it(registry):
    for number in (1, 2):
        _release(registry, DATES[0])
        assert registry.aliases() == {"candidate": number}


def test_nights_that_end_at_once_leave_it_with_the_newest(registry):
    """MLflow refuses one of two that set a new alias at the same moment, and lets the later write win."""
    _at_once(_release_at_once, registry, DATES)
    assert _day_of_candidate(registry) == DATES[2]


def test_a_tag_may_be_set_by_several_at_once(registry):
    """MLflow refuses all but one of those that add the same new tag at the same moment."""
    _release(registry, DATES[0])
    _at_once(_tag_at_once, registry, DATES)
    (version,) = registry.versions()
    for number in range(TAGS):
        assert version.tags[f"tag{number}"] in DATES


def test_tables_are_made_by_mlflows_own_command_where_set_up_has_prepared_none(tmp_path, monkeypatch):
    monkeypatch.setenv("NIGHTJAR_PREPARED", str(tmp_path / "nothing"))
    registry = Registry(tmp_path)
    registry.make_database()
    with closing(sqlite3.connect(registry.database)) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
    assert {"experiments", "runs", "registered_models", "model_versions", "alembic_version"} <= tables
    assert registry.versions() == []


def test_tables_that_cannot_be_made_are_told_with_the_last_words_of_the_command(tmp_path):
    (tmp_path / "some.db").write_text("no database")
    with pytest.raises(Failure, match=r"^MLflow's database could not be made at .*some.db: .*not a database"):
        make_tables(tmp_path / "some.db")


# --- writers of several machines, without a common lake ---------------------------------------------------------------


def test_two_that_register_the_same_release_at_once_agree_on_the_first(registry, bundle):
    """As each finds nothing to begin with; of the two versions that are made the later goes, with its run."""
    both, numbers = threading.Barrier(2), []
    logged = Registry._log

    def together(self: Registry, *arguments: Any) -> Any:
        done = logged(self, *arguments)
        both.wait(300)
        return done

    def publish() -> None:
        numbers.append(Registry(registry.home).publish("d1", bundle, "night", {}, {}, {}).number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registry, "_log", together)
        writers = [threading.Thread(target=publish) for _ in range(2)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(400)
    assert numbers == [1, 1] and [v.number for v in registry.versions()] == [1]
    (run,) = registry.client.search_runs([registry.experiment_id()])
    assert run.info.run_id == registry.versions()[0].run_id


def test_runs_of_killed_attempts_go_and_those_under_way_stay(registry, bundle):
    me = {PROCESS_TAG: owner_tag(), MACHINE_TAG: machine_name()}
    client, hour = registry.client, 3_600_000
    now = int(time.time() * 1000)
    begun = {
        "mine, under way": (me, now),
        "of a dead process": ({**me, PROCESS_TAG: "1.1"}, now),
        "another machine's, of now": ({**me, MACHINE_TAG: "another"}, now - hour),
        "another machine's, of yesterday": ({**me, MACHINE_TAG: "another"}, now - 24 * hour),
        "of an earlier version of the code": ({}, now - 24 * hour),
        "of another release": ({MANIFEST_TAG: "d2"}, now - 24 * hour),
    }
    for name, (tags, start) in begun.items():
        client.create_run(registry.experiment_id(), start, {MANIFEST_TAG: "d1", **tags}, name)
    ended = client.create_run(registry.experiment_id(), now, {MANIFEST_TAG: "d1", **me}, "failed")
    client.set_terminated(ended.info.run_id, "FAILED")
    registry.publish("d1", bundle, "night", {}, {}, {})
    left = {run.info.run_name for run in client.search_runs([registry.experiment_id()])}
    assert left == {"mine, under way", "another machine's, of now", "of another release", "night"}


def test_the_run_of_a_version_is_no_unfinished_one(registry, bundle):
    """Although a home that signs registers its own version of what somebody else has signed."""
    first = registry.publish("d1", bundle, "night", {}, {}, {})
    registry.tag(1, SIGNATURE_TAG, "somebody's")
    Keys(registry.home).make()
    second = registry.publish("d1", bundle, "night", {}, {}, {})
    assert second.number == 2 and {v.number for v in registry.versions()} == {1, 2}
    assert registry.client.get_run(first.run_id).info.lifecycle_stage == "active"
    assert registry.publish("d1", bundle, "night", {}, {}, {}).number == 2


def test_what_nobody_has_signed_is_signed_and_not_registered_twice(registry, bundle):
    registry.publish("d1", bundle, "night", {}, {}, {"nightjar.date": "2026-03-01"})
    public = Keys(registry.home).make()
    version = registry.publish("d1", bundle, "night", {}, {}, {"nightjar.date": "2026-03-01"})
    assert version.number == 1 and is_signed(MODEL, version.tags, [public])
    assert is_signed(MODEL, registry.versions()[0].tags, [public])
    assert registry.publish("d1", bundle, "night", {}, {}, {"nightjar.date": "2026-03-02"}).number == 2
