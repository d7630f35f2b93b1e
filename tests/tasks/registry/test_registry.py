"""The registry as nights use it: an alias that follows the newest of them, also when several end at once."""

import multiprocessing
import sqlite3
from contextlib import closing

import pytest

from expectations.errors import Failure
from tasks.registry.registry import MODEL, Registry, make_tables

DATES = ["2026-03-01", "2026-03-02", "2026-03-03"]
TAGS = 10
"""Moments at which a tag is set at once; MLflow fails at about one of two."""


@pytest.fixture
def registry(tmp_path):
    found = Registry(tmp_path)
    found.client.create_registered_model(MODEL)
    return found


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
